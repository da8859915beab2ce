"""Points of the scene, followed through a view's pictures (Lucas and Kanade 1981, in pyramids; kept while they come back)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.take.views import View

POINTS = 150
"""At most so many still points, and so many moving ones, are followed in a round."""
MARGIN_PX, SURFACE_SHARE = 6, 0.02
"""A point is seen if it lies so far inside the image, and within this share of its depth of the surface that is drawn there."""
WINDOW_PX, RETURN_PX = 15, 0.5
"""Side of what is compared; a track ends where following it back ends farther than this from where it came."""


def seen(view: View, points: NDArray, frame: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(pixels [N, 2], whether the view sees it [N]) of points [N, 3] m, world, in a frame."""
    pixels, depth = view.camera.project(points.astype(np.float64))
    size = np.array([view.camera.width, view.camera.height])
    within = (depth > 0) & (pixels > MARGIN_PX).all(1) & (pixels < size - MARGIN_PX).all(1)
    at = np.where(within[:, None], pixels, MARGIN_PX).astype(np.int64)
    drawn = view.depth[frame, at[:, 1], at[:, 0]]
    return pixels, within & (np.abs(drawn - depth) < SURFACE_SHARE * depth)


def choose(views: list[View], points: NDArray, seed: int = 0) -> NDArray[np.int64]:
    """Indices of points [N, 3] m that at least two views see in the first frame, the most textured of them."""
    texture, count = np.zeros(len(points)), np.zeros(len(points), np.int64)
    for view in views:
        corner = cv2.cornerMinEigenVal(cv2.cvtColor(view.rgb[0], cv2.COLOR_RGB2GRAY), 5)
        pixels, there = seen(view, points, 0)
        x, y = pixels[there].astype(np.int64).T
        texture[there] += corner[y, x] / max(float(corner.max()), 1e-12)
        count[there] += 1
    good = np.nonzero(count >= min(2, len(views)))[0]
    best = good[np.argsort(-texture[good], kind="stable")[: 3 * POINTS]]
    chosen = np.random.default_rng(seed).permutation(best)[:POINTS]
    return np.sort(chosen)


def apart(view: View, pixels: NDArray) -> NDArray[np.bool_]:
    """Which pixels [N, 2] (NaN for lost ones) nothing that moves comes near in any frame: nearer, it would drag a track along."""
    near = cv2.dilate(
        np.asarray(view.covered.any(0), np.uint8), np.ones((2 * WINDOW_PX + 1, 2 * WINDOW_PX + 1), np.uint8)
    )
    known = np.isfinite(pixels).all(1)
    limit = (view.camera.width - 1, view.camera.height - 1)
    x, y = np.clip(np.where(known[:, None], pixels, 0), 0, limit).astype(np.int64).T
    return known & (near[y, x] == 0)


def follow(view: View, start: NDArray, there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[T, N, 2] pixels of points that are at ``start`` [N, 2] in the first frame, if ``there``; NaN from where a track is lost."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in view.rgb]
    out = np.full((len(grey), *start.shape), np.nan)
    out[0, there] = start[there]
    for t in range(len(grey) - 1):
        alive = np.nonzero(np.isfinite(out[t, :, 0]))[0]
        if not len(alive):
            break
        now = (out[t, alive] - 0.5).astype(np.float32)[:, None]
        moved, found = _onward(grey[t], grey[t + 1], now)
        back, found_back = _onward(grey[t + 1], grey[t], moved)
        kept = found & found_back & (np.linalg.norm(back - now, axis=-1)[:, 0] < RETURN_PX)
        out[t + 1, alive[kept]] = moved[kept, 0] + 0.5
    return out


def _onward(picture: NDArray, other: NDArray, places: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """Where places [N, 1, 2] of a picture are in another, and whether they were found [N]."""
    window = (WINDOW_PX, WINDOW_PX)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(picture, other, places, np.empty_like(places), winSize=window)
    return np.asarray(moved), np.asarray(found)[:, 0].astype(bool)
