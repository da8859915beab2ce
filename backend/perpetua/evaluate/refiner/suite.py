"""Plays refiners on clips that nothing was trained on, and says how far each is from the coarse video.

The cameras of a scene film the same matter, so they are no independent witnesses: a scene's figure is the mean over its clips, and means and
intervals are over scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.refiner.baselines import carried, kept_background, temporal_filter
from perpetua.evaluate.refiner.figures import METRICS, figures_of
from perpetua.evaluate.video.intervals import bootstrap
from perpetua.phys4d.data.store import About, Entry, read_clips
from perpetua.phys4d.data.unpack import Refine, coarse_clip, true_clip
from perpetua.progress import Progress

COARSE = "coarse"
BASELINES: dict[str, Refine] = {
    COARSE: coarse_clip,
    "kept background": kept_background,
    "carried first frame": carried,
    "temporal filter": temporal_filter,
}
TRUTH = "truth"
"""The row of the truth itself: the floor of what is seen in pictures."""
KEPT_CLIPS = 6
"""The worst clips whose videos are kept for the page."""


Figures = Mapping[str, Mapping[str, float]]
"""Of a clip: by refiner, and by key of ``METRICS``."""


@dataclass(frozen=True)
class Estimate:
    """Over scenes. ci95: of the mean, by bootstrap of the scenes; None for one scene."""

    mean: float
    ci95: tuple[float, float] | None
    scenes: int
    clips: int


@dataclass(frozen=True)
class ClipResult:
    about: About
    figures: Figures


@dataclass
class RefinerResult:
    """judged: the refiner that the differences are told of first; others by name.  videos: [T, H, W, 3] of the worst clips, by clip and refiner.
    compared: pairs of names that are held against each other besides."""

    judged: str
    names: list[str]
    clips: list[ClipResult]
    videos: dict[str, dict[str, NDArray[np.uint8]]] = field(default_factory=dict)
    compared: Sequence[tuple[str, str]] = ()

    @property
    def others(self) -> list[str]:
        """Baselines and refiners but the one that is judged."""
        return [name for name in self.names if name not in (self.judged, TRUTH)]

    def means(self, name: str) -> dict[str, Estimate]:
        """Of a refiner, by metric."""
        return self._estimates(lambda figures, key: figures[name].get(key))

    def paired(self, name: str, against: str = COARSE) -> dict[str, Estimate]:
        """Of a refiner less another, clip by clip, by metric."""

        def apart(figures: Figures, key: str) -> float | None:
            one, other = figures[name].get(key), figures[against].get(key)
            return None if one is None or other is None else one - other

        return self._estimates(apart)

    def by_category(self) -> dict[str, dict[str, Estimate]]:
        """The judged refiner's paired differences, by category of the scenes."""
        return {
            category: RefinerResult(
                self.judged, self.names, [c for c in self.clips if c.about.category == category]
            ).paired(self.judged)
            for category in sorted({c.about.category for c in self.clips})
        }

    def worst_first(self) -> list[ClipResult]:
        """By what the judged refiner gains in PSNR over the coarse video."""
        return sorted(self.clips, key=lambda c: c.figures[self.judged]["psnr"] - c.figures[COARSE]["psnr"])

    def _estimates(self, of: Callable[[Figures, str], float | None]) -> dict[str, Estimate]:
        """Of a number of each clip, by metric; of clips that have none nothing is said."""
        out = {}
        for key in METRICS:
            values = [(clip.about.scene, of(clip.figures, key)) for clip in self.clips]
            found = over_scenes([(scene, value) for scene, value in values if value is not None])
            if found is not None:
                out[key] = found
        return out


def evaluate_refiners(
    entries: Sequence[Entry], refiners: Mapping[str, Refine], progress: Progress
) -> RefinerResult:
    """Every one of ``refiners``, of which the first is judged, and the baselines, on every clip."""
    players = {**BASELINES, **refiners}
    result = RefinerResult(next(iter(refiners)), [*players, TRUTH], [])
    for number, (about, arrays) in enumerate(read_clips(entries)):
        truth = true_clip(about, arrays)
        figures = {name: figures_of(play(about, arrays), truth) for name, play in players.items()}
        result.clips.append(ClipResult(about, {**figures, TRUTH: figures_of(truth, truth)}))
        progress((number + 1) / len(entries), about.clip)
    kept = {clip.about.clip for clip in result.worst_first()[:KEPT_CLIPS]}
    for about, arrays in read_clips([entry for entry in entries if entry.about.clip in kept]):
        shown = {name: play(about, arrays).rgb for name, play in players.items()}
        result.videos[about.clip] = {**shown, TRUTH: arrays.rgb}
    return result


def averaged(result: RefinerResult, name: str, of: Sequence[str]) -> RefinerResult:
    """``result`` with a row ``name``, which is judged: of each clip the mean of the figures of the refiners ``of``, such as a training's seeds."""
    clips = []
    for clip in result.clips:
        shared = set.intersection(*(set(clip.figures[one]) for one in of))
        mean = {key: float(np.mean([clip.figures[one][key] for one in of])) for key in shared}
        clips.append(replace(clip, figures={**clip.figures, name: mean}))
    names = [*result.names[:-1], name, TRUTH]
    return replace(result, judged=name, names=names, clips=clips)


def over_scenes(values: Sequence[tuple[str, float]]) -> Estimate | None:
    """Of numbers of clips, each with its scene: every scene counts once. None without values."""
    scenes: dict[str, list[float]] = {}
    for scene, value in values:
        scenes.setdefault(scene, []).append(value)
    found = bootstrap([float(np.mean(of)) for of in scenes.values()])
    return None if found is None else Estimate(found.mean, found.ci95, len(scenes), len(values))
