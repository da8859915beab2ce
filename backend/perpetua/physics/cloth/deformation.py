"""How a sheet is deformed around each vertex, from its triangles: exact, whatever happened in between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.deformation import SOLID, limited


def vertex_deformation(rest: NDArray, now: NDArray, faces: NDArray) -> NDArray[np.float32]:
    """[n, 3, 3]: the mean, by area, of what maps the edges and the normal of each triangle beside a vertex from ``rest`` [n, 3] m
    to ``now`` [n, 3] m, with its stretches limited to what splats can show."""
    before, area = _frames(np.asarray(rest, np.float64), faces)
    after, _ = _frames(np.asarray(now, np.float64), faces)
    F = np.matmul(after, np.linalg.inv(before)) * area[:, None, None]
    out = np.zeros((len(rest), 3, 3))
    total = np.zeros(len(rest))
    for corner in range(3):
        np.add.at(out, faces[:, corner], F)
        np.add.at(total, faces[:, corner], area)
    return limited(out / total[:, None, None], SOLID, 1.0)


def _frames(x: NDArray, faces: NDArray) -> tuple[NDArray, NDArray]:
    """[f, 3, 3]: two edges and the unit normal of each triangle as columns; [f]: its area."""
    a, b = x[faces[:, 1]] - x[faces[:, 0]], x[faces[:, 2]] - x[faces[:, 0]]
    n = np.cross(a, b)
    length = np.maximum(np.linalg.norm(n, axis=1), 1e-12)
    return np.stack([a, b, n / length[:, None]], -1), 0.5 * length
