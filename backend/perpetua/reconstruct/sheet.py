"""Cloth as a sheet: the front of a solid as triangles whose corners are its particles, evenly spaced.

The outline says where the cloth is and the solid, inflated only a little, how it bulges towards the camera. The corners lie on a square lattice in the picture, whose step is the spacing at the object's distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.solid import Solid

Array = NDArray[np.float64]

CLOTH_DEPTH = 0.3
"""How deep cloth is, in the depth of a solid of its outline."""
FEWEST = 12
"""Corners without which a sheet could not even fold."""


def area_of(solid: Solid) -> float:
    """m^2 of the sheet that ``drape`` makes of ``solid``, as seen face on."""
    focal = float(solid.camera.K[0, 0])
    return float(solid.inside.sum()) * (solid.cell * solid.middle / focal) ** 2


def drape(solid: Solid, spacing: float) -> tuple[Array, NDArray[np.int64]]:
    """Corners [P, 3] m and triangles [F, 3] of the sheet, ``spacing`` m between neighbours.

    Raises ``ReconstructionError`` if the spacing leaves too few of them.
    """
    step = spacing * float(solid.camera.K[0, 0]) / solid.middle
    ny, nx = solid.inside.shape
    across, down = (np.arange(0.5 * step, n * solid.cell, step) for n in (nx, ny))
    u, v = np.meshgrid(solid.origin[0] + across, solid.origin[1] + down, indexing="ij")
    pixels = np.stack([u, v], -1).reshape(-1, 2)
    faces = triangles(solid.covers(pixels).reshape(u.shape))
    used, faces = np.unique(faces, return_inverse=True)
    if len(used) < FEWEST:
        raise ReconstructionError(
            f"The particle spacing leaves only {len(used)} points in a cloth; lower it or raise the particle count."
        )
    pixels, faces = pixels[used], faces.reshape(-1, 3)
    depth, _ = solid.depths(pixels)
    return solid.camera.position + depth[:, None] * solid.camera.rays(pixels), faces.astype(np.int64)


def triangles(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[F, 3]: indices into the lattice ``inside`` [n, m] of the triangles all of whose corners are inside, facing the camera; diagonals
    change from square to square. Only the largest connected piece."""
    index = np.arange(inside.size).reshape(inside.shape)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    odd = np.add.outer(np.arange(a.shape[0]), np.arange(a.shape[1])) % 2 == 1
    faces = np.concatenate(
        [
            np.stack(corners, -1)[where]
            for corners, where in (
                ((a, c, b), ~odd),
                ((a, d, c), ~odd),
                ((a, d, b), odd),
                ((b, d, c), odd),
            )
        ]
    )
    faces = faces[inside.ravel()[faces].all(1)]
    if not len(faces):
        return faces
    sides = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = coo_matrix((np.ones(len(sides)), sides.T), shape=(inside.size, inside.size))
    _, piece = connected_components(graph, directed=False)
    return faces[piece[faces[:, 0]] == np.bincount(piece[faces[:, 0]]).argmax()]
