"""The signed distance of a closed triangle mesh on a regular grid: negative inside, m."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

SAMPLES_PER_CELL = 3.0
"""Points sampled on the surface along one side of a grid cell."""

MOST_SAMPLES = 400_000


@dataclass(frozen=True)
class DistanceGrid:
    """values: [N, N, N] m, at ``origin`` [3] m + cell * (i, j, k), in the mesh's own coordinates; cell: m."""

    values: NDArray[np.float32]
    origin: NDArray[np.float64]
    cell: float


def distance_grid(mesh: trimesh.Trimesh, resolution: int, margin: float) -> DistanceGrid:
    """Distances of a closed ``mesh`` on ``resolution`` nodes along each axis, ``margin`` m beyond its bounds."""
    low, high = mesh.bounds
    cell = float((high - low).max() + 2 * margin) / (resolution - 1)
    origin = (low + high) / 2 - 0.5 * cell * (resolution - 1)
    axes = [origin[a] + cell * np.arange(resolution) for a in range(3)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    sign = np.where(_inside(mesh, axes).reshape(-1), -1.0, 1.0)
    distance = _unsigned(mesh, nodes, cell)
    shape = (resolution, resolution, resolution)
    return DistanceGrid((sign * distance).reshape(shape).astype(np.float32), origin, cell)


def _unsigned(mesh: trimesh.Trimesh, nodes: NDArray, cell: float) -> NDArray[np.float64]:
    """[N] m to the nearest of many points on the surface, along its face's normal where the node stands over that point."""
    step = cell / SAMPLES_PER_CELL
    count = int(min(MOST_SAMPLES, 4 * mesh.area / step**2 + 1000))
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=0)
    points = np.concatenate([points, mesh.vertices])
    normals = np.concatenate([mesh.face_normals[faces], np.zeros_like(mesh.vertices)])
    distance, index = cKDTree(points).query(nodes)
    away = nodes - points[index]
    along = np.abs((away * normals[index]).sum(1))
    beside = np.sqrt(np.maximum(distance**2 - along**2, 0.0))
    return np.where(beside < step, along, distance)


def _inside(mesh: trimesh.Trimesh, axes: list[NDArray]) -> NDArray[np.bool_]:
    """[N, N, N]: whether a node is inside, by the crossings of a vertical line below it."""
    triangles = np.asarray(mesh.triangles)
    low, high = triangles[:, :, :2].min(1), triangles[:, :, :2].max(1)
    crossings = np.zeros((len(axes[0]), len(axes[1]), len(axes[2])), np.int32)
    shift = 1e-6 * (axes[0][1] - axes[0][0])  # so that no line runs along an edge of a lattice-aligned mesh
    for i, x in enumerate(axes[0] + shift * np.e):
        for triangle in np.flatnonzero((low[:, 0] <= x) & (x < high[:, 0])):
            a, b, c = triangles[triangle]
            ys = axes[1] + shift * np.pi
            over = np.flatnonzero((low[triangle, 1] <= ys) & (ys < high[triangle, 1]))
            if not len(over):
                continue
            det = (b[1] - c[1]) * (a[0] - c[0]) + (c[0] - b[0]) * (a[1] - c[1])
            if det == 0.0:
                continue
            u = ((b[1] - c[1]) * (x - c[0]) + (c[0] - b[0]) * (ys[over] - c[1])) / det
            v = ((c[1] - a[1]) * (x - c[0]) + (a[0] - c[0]) * (ys[over] - c[1])) / det
            hit = (u >= 0) & (v >= 0) & (u + v <= 1)
            heights = u * a[2] + v * b[2] + (1 - u - v) * c[2]
            above = axes[2][None, :] > heights[hit, None]
            crossings[i, over[hit]] += above
    return crossings % 2 == 1
