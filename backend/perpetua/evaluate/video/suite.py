"""Measures a folder of predicted clips against a folder of true ones, and sums them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perpetua.clips.clip import Clip, is_clip, read_clip
from perpetua.errors import ClipError
from perpetua.evaluate.video import learned
from perpetua.evaluate.video.clip_figures import ClipFigures, measure
from perpetua.evaluate.video.figures import FIGURES
from perpetua.evaluate.video.intervals import Interval, bootstrap
from perpetua.evaluate.video.physics_iq import at_rate, score
from perpetua.progress import Progress

SAME_RATE = 1e-3
"""Frame rates that differ by less than this share are the same."""
KEPT_VIDEOS = 6
"""The worst clips whose videos are kept for the page."""


@dataclass(frozen=True)
class Weights:
    """Files of learned measures, as TorchScript; None where the user gave none."""

    lpips: Path | None = None
    fvd: Path | None = None


@dataclass
class SetFigures:
    """A set of clips. means: by key.  paired: prediction minus baseline, by key.  score, baseline_score: Physics-IQ.  videos: [T, H, W,
    3] of the worst clips, by name and label.  unavailable: what could not be measured of the set, and why."""

    clips: list[ClipFigures]
    means: dict[str, Interval]
    baseline: list[ClipFigures] = field(default_factory=list)
    baseline_means: dict[str, Interval] = field(default_factory=dict)
    paired: dict[str, Interval] = field(default_factory=dict)
    score: float | None = None
    baseline_score: float | None = None
    fvd: learned.Fvd | None = None
    unavailable: dict[str, str] = field(default_factory=dict)
    videos: dict[str, dict[str, NDArray[np.uint8]]] = field(default_factory=dict)
    fps: float = 24.0


def evaluate_set(
    pred: Path, truth: Path, baseline: Path | None, weights: Weights, resample: bool, progress: Progress
) -> SetFigures:
    """Every clip of ``pred`` (and of ``baseline``) against the clip of the same name in ``truth``.

    ``resample``: where frame rates differ, blend the truth's picture to the prediction's rate and measure only the picture.
    """
    pairs = _pairs(pred, truth)
    others = {} if baseline is None else _pairs(baseline, truth)
    if baseline is not None and set(others) != set(pairs):
        odd = sorted(set(others) ^ set(pairs))[0]
        raise ClipError(
            f"{pred} and {baseline} do not hold the same clips: '{odd}' is in one only; add or remove it."
        )
    distance = None if weights.lpips is None else learned.lpips(weights.lpips)
    i3d = None if weights.fvd is None else learned.load_script(weights.fvd)
    seen: list[list[NDArray]] = [[], []]
    result = SetFigures([], {})
    for number, (name, (a, b)) in enumerate(pairs.items()):
        clip, true = matched(read_clip(a), read_clip(b), resample)
        result.fps = clip.fps
        result.clips.append(replace(measure(clip, true, distance), name=name))
        if i3d is not None:
            for kept, rgb in zip(seen, (clip.rgb, true.rgb)):
                kept.append(learned.features(i3d, rgb))
        if others:
            other, true = matched(read_clip(others[name][0]), read_clip(b), resample)
            result.baseline.append(replace(measure(other, true, distance), name=name))
        progress((number + 1) / len(pairs), name)
    _sum_up(result)
    if weights.fvd is None:
        result.unavailable["fvd"] = "no I3D weights were given (--fvd)"
    elif len(pairs) < 2:
        result.unavailable["fvd"] = "it needs two clips or more"
    else:
        result.fvd = learned.Fvd(
            learned.frechet(*(np.stack(s) for s in seen)), len(pairs), learned.digest(weights.fvd)
        )
    for name in worst_first(result)[:KEPT_VIDEOS]:
        result.videos[name] = {
            "truth": read_clip(pairs[name][1]).rgb,
            "prediction": read_clip(pairs[name][0]).rgb,
        }
        if others:
            result.videos[name]["baseline"] = read_clip(others[name][0]).rgb
    return result


def matched(pred: Clip, truth: Clip, resample: bool = False) -> tuple[Clip, Clip]:
    """The two clips, if they have the same frames and pixels. Raises ``ClipError`` naming what differs."""
    if pred.size != truth.size:
        raise ClipError(
            f"{pred.folder} is {pred.size[0]}x{pred.size[1]} pixels and {truth.folder} {truth.size[0]}x{truth.size[1]}; "
            "resize the prediction to the truth's size."
        )
    if abs(pred.fps - truth.fps) > SAME_RATE * truth.fps:
        if not resample:
            raise ClipError(
                f"{pred.folder} has {pred.fps:g} frames a second and {truth.folder} {truth.fps:g}; make them alike, or give "
                "--resample to blend the truth's picture to the prediction's rate and measure the picture only."
            )
        truth = _picture_at(truth, pred.fps)
        count = min(pred.frames, truth.frames)
        pred = Clip(pred.name, pred.folder, pred.fps, pred.rgb[:count])
        truth = replace(truth, rgb=truth.rgb[:count])
    if pred.frames != truth.frames:
        raise ClipError(
            f"{pred.folder} has {pred.frames} frames and {truth.folder} {truth.frames}; cut the longer one, with all its layers."
        )
    if pred.frames < 2:
        raise ClipError(f"{pred.folder} has one frame; a clip needs two or more.")
    return pred, truth


def worst_first(result: SetFigures) -> list[str]:
    """Names of the clips, the worst first, by the mean rank over all figures that say what is better."""
    ranks = np.zeros(len(result.clips))
    for key, figure in FIGURES.items():
        values = [c.figures.get(key, np.nan) for c in result.clips]
        if figure.better and np.isfinite(values).all():
            order = np.asarray(values) * (1 if figure.better == "lower" else -1)
            ranks += (order[:, None] > order[None]).sum(1)
    return [result.clips[i].name for i in np.argsort(-ranks, kind="stable")]


def _picture_at(clip: Clip, fps: float) -> Clip:
    second = None if clip.take_2 is None else at_rate(clip.take_2, clip.fps, fps)
    return Clip(clip.name, clip.folder, fps, at_rate(clip.rgb, clip.fps, fps), take_2=second)


def _pairs(pred: Path, truth: Path) -> dict[str, tuple[Path, Path]]:
    """Folders of predicted and true clips by name; two folders that are clips themselves make one pair."""
    for folder in (pred, truth):
        if not folder.is_dir():
            raise ClipError(f"There is no folder {folder}; check the path.")
    if is_clip(pred) and is_clip(truth):
        return {pred.name: (pred, truth)}
    found = {}
    for folder in sorted(f for f in pred.iterdir() if f.is_dir() and is_clip(f)):
        if not is_clip(truth / folder.name):
            raise ClipError(
                f"{folder} has no clip of the same name in {truth}; add it, or take it out of {pred}."
            )
        found[folder.name] = (folder, truth / folder.name)
    if not found:
        raise ClipError(
            f"{pred} holds no clip: a clip is a folder with rgb.mp4, or with numbered PNG files in rgb/ and a clip.json."
        )
    return found


def _sum_up(result: SetFigures) -> None:
    result.means = means(result.clips)
    result.score = _score(result.clips, result.unavailable)
    if result.baseline:
        result.baseline_means = means(result.baseline)
        result.baseline_score = _score(result.baseline, {})
        result.paired = paired([c.figures for c in result.clips], [c.figures for c in result.baseline])


def means(clips: Sequence[ClipFigures]) -> dict[str, Interval]:
    """Of each figure over the clips that have it, by key."""
    found = {}
    for key in FIGURES:
        interval = bootstrap([c.figures[key] for c in clips if key in c.figures])
        if interval is not None:
            found[key] = interval
    return found


def paired(
    first: Sequence[Mapping[str, float]], second: Sequence[Mapping[str, float]]
) -> dict[str, Interval]:
    """Of first minus second, clip by clip, for each figure that both have of a clip."""
    found = {}
    for key in FIGURES:
        interval = bootstrap([a[key] - b[key] for a, b in zip(first, second) if key in a and key in b])
        if interval is not None:
            found[key] = interval
    return found


def _score(clips: Sequence[ClipFigures], unavailable: dict[str, str]) -> float | None:
    pairs = [(c.agreement, c.variance) for c in clips if c.agreement is not None and c.variance is not None]
    if len(pairs) < len(clips):
        unavailable["physics_iq.score"] = "not every true clip has a second take (take_2.mp4)"
        return None
    value = score([a for a, _ in pairs], [v for _, v in pairs])
    if value is None:
        unavailable["physics_iq.score"] = "the two takes of truth never move in the same places"
    return value
