"""Is the whole scene where it should be when it should be? Chamfer distance between points in space and time.

A point is (x, y, z, lambda t). There are two forms, whose figures must never be compared: the one of the published tables, with t in
[0, 1], all points and lambda = 1 m; and the one that is a reward, with t in frames, moving points only and lambda = 0.05 m a frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.clips.motion import lift, moving

TABLE_METRES = 1.0
REWARD_METRES_A_FRAME = 0.05
POINTS = 40_000
"""At most about so many points a clip are compared, on the same grid of pixels and frames in both."""


def chamfer_4d(points: NDArray, truth: NDArray) -> float:
    """m: mean distance of points [N, 4] to the nearest true one [M, 4], plus that of the true ones to the nearest point."""
    to_truth = cKDTree(truth).query(points)[0].mean()
    return float(to_truth + cKDTree(points).query(truth)[0].mean())


def stride_for(frames: int, height: int, width: int, points: int = POINTS) -> int:
    """Every how manyth pixel, across and down, leaves about ``points`` of a clip."""
    return max(1, int(np.ceil(np.sqrt(frames * height * width / points))))


def table_points(depth: NDArray, K: NDArray, world_to_camera: NDArray, stride: int) -> NDArray[np.float64]:
    """[N, 4] m: all of a clip's points; depth [T, H, W] m, K [T, 3, 3], world_to_camera [T, 4, 4]; t from 0 to 1 over the clip."""
    last = max(1, len(depth) - 1)
    times = TABLE_METRES * np.arange(len(depth)) / last
    return _points(depth, depth > 0, K, world_to_camera, times, stride)


def reward_points(
    depth: NDArray, flow: NDArray, K: NDArray, world_to_camera: NDArray, stride: int
) -> NDArray[np.float64]:
    """[N, 4] m: a clip's points that move, by its own flow [T-1, H, W, 2] px; the last frame, whose flow nobody knows, is left out."""
    times = REWARD_METRES_A_FRAME * np.arange(len(flow))
    return _points(depth[:-1], (depth[:-1] > 0) & moving(flow), K, world_to_camera, times, stride)


def _points(
    depth: NDArray, where: NDArray, K: NDArray, world_to_camera: NDArray, times: NDArray, stride: int
) -> NDArray[np.float64]:
    found = []
    for number, time in enumerate(times):
        y, x = np.nonzero(where[number, ::stride, ::stride])
        y, x = y * stride, x * stride
        pixels = np.stack([x, y], 1) + 0.5
        points = lift(pixels, depth[number, y, x].astype(np.float64), K[number], world_to_camera[number])
        found.append(np.concatenate([points, np.full((len(points), 1), time)], 1))
    return np.concatenate(found)
