"""Do things go where they should? Points of the objects are followed through the true picture, and lifted into space by true and by
predicted depth; how far the two worldlines are apart says what the depth makes of the motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.clips.motion import lift

FAIL_M = 0.5
FAIL_CURVE_M = np.arange(0.05, 1.0001, 0.05)
"""Errors from which a worldline counts as failed: the one of the figures, and those of the curve."""
TRACKS = 1000
"""About so many are followed."""


@dataclass(frozen=True)
class Paths:
    """pixels: [T, N, 2], x and y, the first pixel's centre at 0.5; alive: [T, N], until the first occlusion."""

    pixels: NDArray[np.float64]
    alive: NDArray[np.bool_]


@dataclass(frozen=True)
class WorldlineErrors:
    """l2: m, mean over tracks and frames.  drift: [T] m.  mean_drift: m, over t >= 1.  final_drift: m.  fail_rate: % that are ever off by
    more than 0.5 m.  length: frames until then, mean.  length_percent: the same, of the
    frames in which the point is seen.  fail_curve: % for each of ``FAIL_CURVE_M``.  tracks: how many."""

    l2: float
    drift: NDArray[np.float64]
    mean_drift: float
    final_drift: float
    fail_rate: float
    length: float
    length_percent: float
    fail_curve: NDArray[np.float64]
    tracks: int


def follow(start: NDArray[np.bool_], flow: NDArray, seen: NDArray[np.bool_]) -> Paths:
    """Follow the pixels ``start`` [H, W] of frame 0 along true flow [T-1, H, W, 2] px, each while ``seen`` [T-1, H, W] says that what it
    sees stays visible."""
    height, width = start.shape
    stride = max(1, int(np.sqrt(start.sum() / TRACKS)))
    grid = np.zeros_like(start)
    grid[stride // 2 :: stride, stride // 2 :: stride] = True
    y, x = np.nonzero(start & grid if (start & grid).any() else start)
    pixels = np.empty((len(flow) + 1, len(x), 2))
    alive = np.zeros(pixels.shape[:2], bool)
    pixels[0], alive[0] = np.stack([x, y], 1) + 0.5, True
    for t, step in enumerate(flow):
        place = np.clip(pixels[t], 0, (width - 1e-6, height - 1e-6)).astype(np.int64)
        pixels[t + 1] = pixels[t] + _bilinear(step, pixels[t] - 0.5)
        within = (pixels[t + 1] >= 0).all(1) & (pixels[t + 1] < (width, height)).all(1)
        alive[t + 1] = alive[t] & seen[t, place[:, 1], place[:, 0]] & within
    return Paths(pixels, alive)


def lifted(paths: Paths, depth: NDArray, K: NDArray, world_to_camera: NDArray) -> NDArray[np.float64]:
    """[T, N, 3] m, world: the paths' points at depth [T, H, W] m; NaN where a path has ended or the depth has a hole."""
    out = np.full((*paths.pixels.shape[:2], 3), np.nan)
    for t, pixels in enumerate(paths.pixels):
        there = np.nonzero(paths.alive[t])[0]
        x, y = pixels[there].astype(np.int64).T
        found = depth[t, y, x]
        there, found = there[found > 0], found[found > 0].astype(np.float64)
        out[t, there] = lift(pixels[there], found, K[t], world_to_camera[t])
    return out


def worldline_errors(points: NDArray, truth: NDArray) -> WorldlineErrors | None:
    """Of worldlines [T, N, 3] m, NaN where one is not known; None if none is known in the first frame and later in both.

    drift(t) = mean |(p(t) - p(0)) - (p*(t) - p*(0))|: how far they have come apart since frame 0, whatever the error was there.
    """
    known = np.isfinite(points).all(-1) & np.isfinite(truth).all(-1)
    kept = known[0] & known[1:].any(0)
    if not kept.any():
        return None
    points, truth, known = points[:, kept], truth[:, kept], known[:, kept]
    error = np.where(known, np.linalg.norm(points - truth, axis=-1), np.nan)
    apart = np.linalg.norm((points - points[0]) - (truth - truth[0]), axis=-1)
    drift = np.array([row[k].mean() if k.any() else np.nan for row, k in zip(apart, known)])
    failed = error > FAIL_M
    first = np.where(failed.any(0), failed.argmax(0), known.sum(0))
    worst = np.nanmax(error, 0)
    return WorldlineErrors(
        float(np.nanmean(error)), drift, float(np.nanmean(drift[1:])), float(drift[np.isfinite(drift)][-1]),
        100 * float(failed.any(0).mean()), float(first.mean()), 100 * float((first / known.sum(0)).mean()),
        np.array([100 * float((worst > tau).mean()) for tau in FAIL_CURVE_M]), int(kept.sum()),
    )  # fmt: skip


def _bilinear(image: NDArray, at: NDArray) -> NDArray[np.float64]:
    """[N, 2]: flow [H, W, 2] at places [N, 2] (x, y; whole numbers are pixel centres), held at the border."""
    height, width = image.shape[:2]
    at = np.clip(at, 0, (width - 1, height - 1))
    low = np.minimum(np.floor(at).astype(np.int64), (max(width - 2, 0), max(height - 2, 0)))
    (x, y), (fx, fy) = low.T, (at - low).T[..., None]
    x1, y1 = np.minimum(x + 1, width - 1), np.minimum(y + 1, height - 1)
    top = image[y, x] * (1 - fx) + image[y, x1] * fx
    bottom = image[y1, x] * (1 - fx) + image[y1, x1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float64)
