"""The signed distance of a closed triangle mesh on a regular grid: negative inside, m.

Exact at the grid's nodes: the closest point on the triangles, and inside where the mesh winds around the node (Barill et al. 2018, "Fast
winding numbers for soups and clouds"), which forgives small holes. Trilinear between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray


@dataclass(frozen=True)
class DistanceGrid:
    """values: [N, N, N] m, at ``origin`` [3] m + cell * (i, j, k), in the mesh's own coordinates; cell: m."""

    values: NDArray[np.float32]
    origin: NDArray[np.float64]
    cell: float

    def at(self, points: NDArray) -> NDArray[np.float64]:
        """[P] m at ``points`` [P, 3] m; beyond the grid its border's value and the way there."""
        place = (points - self.origin) / self.cell
        inside = np.clip(place, 0.0, len(self.values) - 1.001)
        base = inside.astype(np.int64)
        share = inside - base
        out = np.linalg.norm(place - inside, axis=1) * self.cell
        for corner in np.ndindex(2, 2, 2):
            weight = np.where(corner, share, 1.0 - share).prod(1)
            out += weight * self.values[tuple((base + corner).T)]
        return out

    def outward(self, points: NDArray) -> NDArray[np.float64]:
        """[P, 3]: unit gradients at ``points`` [P, 3] m, by central differences over a cell."""
        slopes = [self.at(points + step) - self.at(points - step) for step in 0.5 * self.cell * np.eye(3)]
        slope = np.stack(slopes, -1)
        return slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)


def distance_grid(mesh: trimesh.Trimesh, resolution: int, margin: float) -> DistanceGrid:
    """Distances of a closed ``mesh`` on ``resolution`` nodes along each axis, ``margin`` m beyond its bounds."""
    import igl

    low, high = mesh.bounds
    cell = float((high - low).max() + 2 * margin) / (resolution - 1)
    origin = (low + high) / 2 - 0.5 * cell * (resolution - 1)
    axis = cell * np.arange(resolution)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3) + origin
    surface = (np.ascontiguousarray(mesh.vertices, np.float64), np.ascontiguousarray(mesh.faces, np.int64))
    kind = igl.SignedDistanceType
    far, *_ = igl.signed_distance(nodes, *surface, sign_type=kind.SIGNED_DISTANCE_TYPE_UNSIGNED)
    side, *_ = igl.signed_distance(nodes, *surface, sign_type=kind.SIGNED_DISTANCE_TYPE_FAST_WINDING_NUMBER)
    distance = np.where(
        side < 0, -far, far
    )  # a fast winding number is not quite whole, so its sign alone counts
    shape = (resolution, resolution, resolution)
    return DistanceGrid(distance.reshape(shape).astype(np.float32), origin, cell)
