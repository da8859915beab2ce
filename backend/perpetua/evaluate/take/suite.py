"""Judges a baked take: 3D consistency between views, the cameras, flicker; round by round, and as means over the rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.take.flicker import flicker, flow_return_error
from perpetua.evaluate.take.geometry import camera_error, reprojection_errors
from perpetua.evaluate.take.tracks import apart, choose, follow, seen
from perpetua.evaluate.take.views import View, views_of
from perpetua.progress import Progress
from perpetua_protocol.cache import Cache, DamagedCache, RoundRecord


@dataclass(frozen=True)
class TakeFigures:
    """Of a round, or means over rounds; None where nothing could be measured."""

    reprojection_px: float | None
    """Points tracked in two or more views: how far the tracks are from being of one place in space, RMS per point; the median of
    the points, which no stray track moves, mean over frames."""
    following_px: float | None
    """How far tracks are from where the cache has their points: whether the videos move as the 4D scene does. Medians of the
    points, mean over views and frames."""
    camera_degrees: float | None
    """Between the cameras asked for and those that tracks of still points speak for."""
    camera_mm: float | None
    camera_error: float | None
    """Square root of degrees times metres, as WorldScore joins the two."""
    flicker: float | None
    """Levels of 255, of still pixels."""
    flow_return_px: float | None
    """Of pixels that follow the flow to the next frame and back."""
    tracks: float | None
    """Points that two views or more saw and followed."""


TITLES = {
    "reprojection_px": "reprojection, px", "following_px": "following, px", "camera_degrees": "camera, degrees",
    "camera_mm": "camera, mm", "camera_error": "camera error", "flicker": "flicker, /255",
    "flow_return_px": "flow return, px", "tracks": "tracks",
}  # fmt: skip
"""Headings, by figure."""

CURVES = ("reprojection_px", "following_px", "camera_mm", "flicker")
"""Figures that are also told frame by frame, from a round's second frame on."""
KEPT_ROUNDS = 3
"""The worst, whose videos are kept for the page."""


@dataclass(frozen=True)
class Judged:
    """A round. curves: by name of ``CURVES``, NaN where nothing could be measured."""

    figures: TakeFigures
    curves: dict[str, list[float]]


@dataclass
class TakeResult:
    """rounds: by the round's number.  mean: over them.  videos: [T, H, W, 3] of the worst rounds, by number and camera."""

    fps: float
    rounds: dict[int, Judged] = field(default_factory=dict)
    videos: dict[int, dict[str, NDArray[np.uint8]]] = field(default_factory=dict)

    @property
    def mean(self) -> TakeFigures:
        rounds = [judged.figures for judged in self.rounds.values()]
        return TakeFigures(*(_finite_mean([getattr(r, f.name) for r in rounds]) for f in fields(TakeFigures)))

    def worst_first(self) -> list[int]:
        """The rounds by their reprojection error; those without one last."""

        def error(number: int) -> float:
            found = self.rounds[number].figures.reprojection_px
            return -1.0 if found is None else found

        return sorted(self.rounds, key=error, reverse=True)


def evaluate_cache(folder: Path, videos: Path | None, width: int, progress: Progress) -> TakeResult:
    """Every round of the cache in ``folder``, by its own pictures at ``width`` pixels or by ``videos``."""
    cache = Cache(folder)
    rounds = [r for r in cache.meta.rounds if r.index > 0]
    if not rounds:
        raise DamagedCache(f"The cache at {folder} holds the picture only; bake a round first.")
    result = TakeResult(cache.meta.fps)
    names = [record.name for record in cache.meta.cameras]
    for number, round_ in enumerate(rounds):
        views = views_of(cache, round_, width, videos)
        result.rounds[round_.index] = judge(views, *_points(cache, round_))
        result.videos[round_.index] = {name: view.rgb for name, view in zip(names, views, strict=True)}
        for better in result.worst_first()[KEPT_ROUNDS:]:
            result.videos.pop(better, None)
        progress((number + 1) / len(rounds), f"round {round_.index}")
    return result


def _points(cache: Cache, round_: RoundRecord) -> tuple[NDArray, NDArray]:
    """(still points [B, 3] m, moving points [T, N, 3] m): the splats' centres."""
    moving = cache.array(f"{round_.folder}/position.npy")
    return np.asarray(cache.background()["position"]), np.asarray(moving)


def judge(views: list[View], still: NDArray, moving: NDArray) -> Judged:
    """A round's views against the scene: still points [B, 3] m and moving points [T, N, 3] m, world."""
    at_rest, of_matter = choose(views, still), choose(views, moving[0])
    truth = np.concatenate(
        [np.broadcast_to(still[at_rest], (len(moving), len(at_rest), 3)), moving[:, of_matter]], 1
    )
    tracks = np.stack([follow(view, *seen(view, truth[0], 0)) for view in views])
    cameras = [view.camera for view in views]
    reprojection, following, poses, trembling = [], [], [], []
    for t in range(1, len(truth)):
        reprojection.append(_finite_median(reprojection_errors(cameras, tracks[:, t])))
        followed: list[float | None] = []
        posed: list[tuple[float, float]] = []
        for view, pixels in zip(views, tracks[:, t]):
            expected, there = seen(view, truth[t], t)
            followed.append(_finite_median(np.linalg.norm(pixels - expected, axis=-1)[there]))
            alone = np.where(apart(view, pixels)[:, None], pixels, np.nan)[: len(at_rest)]
            pose = camera_error(view.camera, truth[t, : len(at_rest)], alone)
            if pose is not None:
                posed.append(pose)
        following.append(followed)
        poses.append(posed)
        trembling.append([flicker(v.rgb[t - 1 : t + 1], v.covered[t - 1 : t + 1]) for v in views])
    degrees, metres = (_finite_mean([pose[i] for posed in poses for pose in posed]) for i in (0, 1))
    joined = None if degrees is None or metres is None else math.sqrt(degrees * metres)
    tracked = np.isfinite(tracks[:, -1, :, 0]).sum(0) >= min(2, len(views))
    figures = TakeFigures(
        _finite_mean(reprojection), _finite_mean([value for of in following for value in of]), degrees,
        None if metres is None else 1000 * metres, joined,
        _finite_mean([flicker(v.rgb, v.covered) for v in views]),
        _finite_mean([flow_return_error(v.rgb) for v in views]), float(tracked.sum()),
    )  # fmt: skip
    away = [[1000 * pose[1] for pose in posed] for posed in poses]
    single = [[value] for value in reprojection]
    frames: tuple[list[Any], ...] = (single, following, away, trembling)
    return Judged(figures, {key: _by_frame(of) for key, of in zip(CURVES, frames, strict=True)})


def _by_frame(frames: Sequence[Sequence[float | None]]) -> list[float]:
    """The mean of what the views have in each frame, NaN for none."""
    means = (_finite_mean(list(values)) for values in frames)
    return [math.nan if mean is None else mean for mean in means]


def _finite_median(values: NDArray) -> float | None:
    """Median of the finite numbers; None if there is none."""
    flat = values[np.isfinite(values)]
    return float(np.median(flat)) if flat.size else None


def _finite_mean(values: list[Any]) -> float | None:
    """Mean of all finite numbers in numbers, arrays and Nones; None if there is none."""
    flat = np.concatenate(
        [np.atleast_1d(np.asarray(v, np.float64)) for v in values if v is not None] or [np.empty(0)]
    )
    flat = flat[np.isfinite(flat)]
    return float(flat.mean()) if flat.size else None
