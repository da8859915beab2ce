"""Where in space pixels are, which of them move, where they came from, and how the depth of what moves grows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOVING_PX = 0.3
"""A pixel moves if it goes farther than this from one frame to the next."""
FAR_M = 1e6
"""How far away what has no depth is taken to be."""


def lift(
    pixels: NDArray, depth: NDArray, K: NDArray, world_to_camera: NDArray | None = None
) -> NDArray[np.float64]:
    """[N, 3] m, world (or camera without a pose): what pixel centres [N, 2] (x, y; the first is 0.5, 0.5) see at ``depth`` [N] m."""
    homogeneous = np.concatenate([pixels, np.ones_like(pixels[:, :1])], 1)
    points = homogeneous @ np.linalg.inv(K).T * depth[:, None]
    if world_to_camera is None:
        return np.asarray(points, np.float64)
    return np.asarray((points - world_to_camera[:3, 3]) @ world_to_camera[:3, :3], np.float64)


def moving(flow: NDArray) -> NDArray[np.bool_]:
    """Where flow [..., 2] px moves."""
    return np.linalg.norm(flow, axis=-1) > MOVING_PX


def turned(
    flow: NDArray[np.floating], depth: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Flow to the next frame, turned around: for each of the next frame's pixels, where what it sees was [H, W, 2] px away in this frame, and
    whether it was seen at all [H, W].

    flow: [H, W, 2] px.  depth: [H, W] m, 0 for none; of several that come to one pixel the nearest is seen. Where none comes, one that comes
    beside it is taken, so that surfaces that grow have no cracks; what has come to light stays unknown.
    """
    height, width = depth.shape
    y, x = np.mgrid[:height, :width]
    to = np.stack([x, y], -1) + flow.astype(np.float64)
    farthest_first = np.argsort(-np.where(depth > 0, depth, FAR_M), axis=None, kind="stable")
    to, moved = to.reshape(-1, 2)[farthest_first], flow.reshape(-1, 2)[farthest_first]
    back, known = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
    low, high = np.floor(to).astype(int), np.ceil(to).astype(int)
    nearest = np.rint(to).astype(int)
    beside = [
        (low[:, 0], low[:, 1]),
        (high[:, 0], low[:, 1]),
        (low[:, 0], high[:, 1]),
        (high[:, 0], high[:, 1]),
    ]
    for column, row in [(nearest[:, 0], nearest[:, 1]), *beside]:
        lands = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        lands[lands] = ~known[row[lands], column[lands]]
        back[row[lands], column[lands]] = -moved[lands]
        known[row[lands], column[lands]] = True
    return back, known


def rise_of_depth(
    scene_flow: NDArray, depth: NDArray, K: NDArray, world_to_camera: NDArray
) -> NDArray[np.float32]:
    """[T-1, H, W] m: how much each point's depth grows until the next frame, as the next frame's camera sees it.

    scene_flow: [T-1, H, W, 3] m, camera axes of frame t.  depth: [T, H, W] m.  K: [T, 3, 3] pixels.  world_to_camera: [T, 4, 4].
    """
    height, width = depth.shape[1:]
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x.ravel(), y.ravel()], 1) + 0.5
    out = np.empty_like(scene_flow[..., 2], np.float32)
    for t, step in enumerate(scene_flow):
        before = depth[t].ravel().astype(np.float64)
        here = lift(pixels, before, K[t]) + step.reshape(-1, 3)
        onward = world_to_camera[t + 1] @ np.linalg.inv(world_to_camera[t])
        out[t] = (here @ onward[2, :3] + onward[2, 3] - before).reshape(height, width)
    return out
