"""Where in space pixels are, which of them move, and how the depth of what moves grows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOVING_PX = 0.3
"""A pixel moves if it goes farther than this from one frame to the next."""


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
