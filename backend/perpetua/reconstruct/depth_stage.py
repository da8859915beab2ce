"""The world behind the objects where its depth is measured: the picture's own pixels lie where the depth map says, and what it
does not show is continued by the table's plane and the backdrop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from perpetua.reconstruct.stage import Stage

Array = NDArray[np.float64]

ON_TABLE = 0.02
"""Camera heights from the plane up to which a pixel shows the table."""
BEYOND = 1.05
"""Farther than all objects by so much is what may go on behind them; what stands beside them does not."""
BREAK = 0.04
"""Relative step of depth across a cell beyond which a splat does not bridge it."""


@dataclass(frozen=True)
class DepthStage(Stage):
    """depth: [H, W] of the background, complete, along the optical axis."""

    depth: Array

    def points(self, pixels: Array, table: NDArray[np.bool_], behind: float = 0.0) -> Array:
        """As ``Stage``; pixels of the picture at their measured depth."""
        height, width = self.depth.shape
        within = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
        result = super().points(pixels, table, behind)
        x, y = np.floor(pixels[within]).astype(int).T
        away = self.depth[y, x] * (1 + behind)
        result[within] = self.camera.position + away[:, None] * self.camera.rays(pixels[within])
        return result

    def span(self, pixels: Array, half: Array, table: NDArray[np.bool_], behind: float = 0.0) -> Array:
        """As ``Stage``; across a break of depth face on, at the depth of the middle."""
        across = super().span(pixels, half, table, behind)
        middle = self.camera.world_to_camera[2, :3]
        depth = (self.points(pixels, table, behind) - self.camera.position) @ middle
        flat = depth[:, None] * (self.camera.rays(pixels + half) - self.camera.rays(pixels - half))
        broken = np.abs(across @ middle) > np.maximum(BREAK * depth, 6 * np.linalg.norm(flat, axis=1))
        return np.where(broken[:, None], flat, across)


def depth_behind(stage: Stage, depth: NDArray[np.float32], objects: NDArray[np.bool_]) -> Array:
    """[H, W] depth of what is behind ``objects`` [H, W] too: the table where it would be seen there, else as far as what is seen beside
    them that is no table. Where nothing is seen stands the backdrop."""
    height, width = depth.shape
    v, u = np.mgrid[:height, :width] + 0.5
    pixels = np.stack([u, v], -1).reshape(-1, 2)
    rays = stage.camera.rays(pixels)
    on_table = stage.on_table(pixels)
    plain = (
        (Stage.points(stage, pixels, on_table) - stage.camera.position) @ stage.camera.world_to_camera[2, :3]
    ).reshape(height, width)
    seen = np.isfinite(depth) & ~objects
    measured = np.where(seen, depth, 0.0).astype(np.float64)
    heights = stage.camera.position[2] + measured * rays[:, 2].reshape(height, width)
    farthest = float(depth[objects & np.isfinite(depth)].max(initial=0.0))
    other = seen & (np.abs(heights) > ON_TABLE) & (depth > BEYOND * farthest)
    result = np.where(seen, measured, plain)
    hidden = objects & ~on_table.reshape(height, width)
    if other.any() and hidden.any():
        _, (rows, columns) = distance_transform_edt(~other, return_indices=True)
        result = np.where(hidden, np.minimum(plain, measured[rows, columns]), result)
    return result
