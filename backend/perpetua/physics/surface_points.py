"""Points that stand for the surface of a mesh where it meets what is given by distances."""

from __future__ import annotations

import numpy as np
import trimesh
from numpy.typing import NDArray

POINTS = 400
"""About so many stand for a surface, besides its corners where these are as few."""


def surface_points(mesh: trimesh.Trimesh, count: int = POINTS) -> NDArray[np.float64]:
    """[S, 3] m: the corners of a mesh and points spread evenly over its faces, some ``count`` of them."""
    edge = float(np.sqrt(2.0 * mesh.area / count))
    fine, _ = trimesh.remesh.subdivide_to_size(mesh.vertices, mesh.faces, edge, max_iter=20)
    corners = np.asarray(mesh.vertices)
    _, first = np.unique(np.floor(fine / edge), axis=0, return_index=True)
    spread = fine[np.sort(first)]
    return np.unique(np.concatenate([corners, spread]) if len(corners) <= count else spread, axis=0)
