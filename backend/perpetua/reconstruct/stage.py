"""The world behind the objects as two planes: the table, and an upright backdrop where the table ends.

Both are seen through the picture's camera, so a point of the world behind the objects is a pixel of a canvas: the
picture, continued beyond its borders. World: the camera of ``camera.py``, one metre above the plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.reconstruct.camera import View
from perpetua.scene.cameras import Camera

Array = NDArray[np.float64]

ORBIT_DEGREES = 35.0
"""Side views up to here see no end of the world."""
MAX_CONTINUATION = 1.6
"""Most a canvas may reach beyond a border, in the picture's own width or height."""

GRAZING = 1e-4
"""Slope of a ray below which it counts as never meeting a plane."""


@dataclass(frozen=True)
class Stage:
    """camera: the picture's.  edge_distance: m, where the backdrop stands."""

    camera: Camera
    edge_distance: float

    @staticmethod
    def of(view: View) -> Stage:
        return Stage(view.camera, view.edge_distance)

    @property
    def edge_row(self) -> float:
        """Row of the picture where the backdrop meets the table."""
        return float(self.camera.project(np.array([[0.0, self.edge_distance, 0.0]]))[0][0, 1])

    def on_table(self, pixels: Array) -> NDArray[np.bool_]:
        """[N] whether the rays through pixels [N, 2] hit the table before the backdrop."""
        rays = self.camera.rays(pixels)
        down = rays[:, 2] < -GRAZING
        return down & ((rays[:, 1] <= GRAZING) | (rays[:, 1] < -self.edge_distance * rays[:, 2]))

    def points(self, pixels: Array, table: NDArray[np.bool_], behind: float = 0.0) -> Array:
        """[N, 3] m, where the rays through pixels [N, 2] hit the table (where ``table`` [N]) or the backdrop; ``behind``
        shifts both planes away from the camera by so many metres."""
        rays = self.camera.rays(pixels)
        wall_depth = (self.edge_distance + behind) / np.maximum(rays[:, 1], GRAZING)
        table_depth = (1.0 + behind) / np.maximum(-rays[:, 2], GRAZING)
        depth = np.where(table, table_depth, wall_depth)
        return self.camera.position + depth[:, None] * rays

    def span(self, pixels: Array, half: Array, table: NDArray[np.bool_], behind: float = 0.0) -> Array:
        """[N, 3] m, the step on the stage from ``pixels - half`` to ``pixels + half`` [N, 2]."""
        return self.points(pixels + half, table, behind) - self.points(pixels - half, table, behind)

    def borders(self, centre: Array) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels of the canvas that side views around ``centre`` up to ORBIT_DEGREES see."""
        w, h = self.camera.width, self.camera.height
        u, v = np.linspace(0, w, 17), np.linspace(0, h, 17)
        frame = np.concatenate(
            [
                np.stack([u, 0 * u], 1),
                np.stack([u, 0 * u + h], 1),
                np.stack([0 * v, v], 1),
                np.stack([0 * v + w, v], 1),
            ]
        )
        seen = [frame]
        for degrees in (-ORBIT_DEGREES, -ORBIT_DEGREES / 2, ORBIT_DEGREES / 2, ORBIT_DEGREES):
            side = self.camera.orbited(degrees, centre, "side", "side")
            seen.append(self._seen_from(side, frame))
        pixels = np.concatenate(seen)
        reach_x, reach_y = MAX_CONTINUATION * w, MAX_CONTINUATION * h
        low, high = pixels.min(0), pixels.max(0)
        return (
            float(np.clip(low[0], -reach_x, 0)),
            float(np.clip(low[1], -reach_y, 0)),
            float(np.clip(high[0], w, w + reach_x)),
            float(np.clip(high[1], h, h + reach_y)),
        )

    def _seen_from(self, side: Camera, frame: Array) -> Array:
        """Canvas pixels where the rays of another camera through ``frame`` [N, 2] meet the stage."""
        rays, start = side.rays(frame), side.position
        wall = np.where(
            rays[:, 1] > 1e-3, (self.edge_distance - start[1]) / np.maximum(rays[:, 1], 1e-3), np.inf
        )
        floor = np.where(rays[:, 2] < -1e-3, -start[2] / np.minimum(rays[:, 2], -1e-3), np.inf)
        depth = np.minimum(wall, floor)
        points = start + depth[np.isfinite(depth), None] * rays[np.isfinite(depth)]
        pixels, z = self.camera.project(points)
        return pixels[z > 0.05 * self.edge_distance]
