"""Do the views show one world, from the cameras that were asked for?"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.scene import Camera

FEWEST_POINTS = 8
"""Fewer points than this say nothing of a camera."""
TRIMS, TRIM_MEDIANS, TRIM_PX = 3, 3.0, 0.5
"""So often the pose is found, each time without the points that the pose before puts off by more than so many medians, and by more than so
many pixels: tracks that went astray."""


def reprojection_errors(cameras: list[Camera], pixels: NDArray) -> NDArray[np.float64]:
    """[N] px: root mean square distance, over the views that see it, of each point's pixels [V, N, 2] (NaN where not seen) from the
    projections of the one place in space that fits them best (linear triangulation, Hartley and Zisserman 12.2); NaN with one view."""
    out = np.full(pixels.shape[1], np.nan)
    matrices = [c.K @ c.world_to_camera[:3] for c in cameras]
    for n in range(pixels.shape[1]):
        views = [v for v in range(len(cameras)) if np.isfinite(pixels[v, n, 0])]
        if len(views) < 2:
            continue
        rows = []
        for v in views:
            P, size = matrices[v], cameras[v].width
            rows += [(pixels[v, n, i] * P[2] - P[i]) / size for i in (0, 1)]
        point = np.linalg.svd(np.stack(rows))[2][-1]
        off = []
        for v in views:
            seen = matrices[v] @ point
            off.append(((seen[:2] / seen[2] - pixels[v, n]) ** 2).sum())
        out[n] = math.sqrt(float(np.mean(off)))
    return out


def camera_error(camera: Camera, points: NDArray, pixels: NDArray) -> tuple[float, float] | None:
    """(degrees, m) between ``camera`` and the pose that points [N, 3] m seen at ``pixels`` [N, 2] speak for; None for too few."""
    known = np.isfinite(pixels).all(1)
    if known.sum() < FEWEST_POINTS:
        return None
    points, pixels = points[known].astype(np.float64), pixels[known].astype(np.float64)
    rotation = np.asarray(cv2.Rodrigues(camera.world_to_camera[:3, :3])[0])
    moved = camera.world_to_camera[:3, 3:].copy()
    for _ in range(TRIMS):
        seen = cv2.projectPoints(points, rotation, moved, camera.K, None)[0][:, 0]
        off = np.linalg.norm(np.asarray(seen) - pixels, axis=1)
        kept = off <= max(TRIM_MEDIANS * float(np.median(off)), TRIM_PX)
        found = cv2.solvePnPRefineLM(points[kept], pixels[kept], camera.K, np.zeros(4), rotation, moved)
        rotation, moved = np.asarray(found[0]), np.asarray(found[1])
    R = cv2.Rodrigues(rotation)[0]
    turn = R @ camera.world_to_camera[:3, :3].T
    place = -R.T @ moved[:, 0]
    degrees = math.degrees(math.acos(float(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    return degrees, float(np.linalg.norm(place - camera.position))
