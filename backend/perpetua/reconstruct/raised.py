"""Objects told from their background by depth: what rises above the table and hangs together with the artist's marks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from perpetua.errors import SegmentationError
from perpetua.scene.cameras import Camera
from perpetua_protocol.take import ObjectSpec

Mask = NDArray[np.bool_]

RAISED = 0.012
"""Camera heights above the table from which a pixel shows no table."""
STEP = 0.12
"""Relative step of depth between neighbouring pixels up to which they are of one thing."""
FEWEST_PIXELS = 40


def raised_pieces(depth: NDArray[np.float32], camera: Camera) -> NDArray[np.int64]:
    """[H, W] the number of the piece that each pixel belongs to, -1 for the table and for nothing. depth: in heights of ``camera``, which
    stands one above the table z = 0."""
    height, width = depth.shape
    v, u = np.mgrid[:height, :width] + 0.5
    down = camera.rays(np.stack([u, v], -1).reshape(-1, 2))[:, 2].reshape(height, width)
    finite = np.isfinite(depth)
    place = np.where(finite, depth, 0.0)
    standing = finite & (camera.position[2] + place * down > RAISED)
    index = np.arange(height * width).reshape(height, width)
    pairs = []
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        near = np.minimum(place[first], place[second])
        joined = standing[first] & standing[second] & (np.abs(place[first] - place[second]) < STEP * near)
        pairs.append(np.stack([index[first][joined], index[second][joined]]))
    rows, columns = np.concatenate(pairs, 1)
    graph = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(height * width, height * width))
    pieces = connected_components(graph, directed=False)[1].reshape(height, width)
    return np.where(standing, pieces, -1)


def piece_of(pieces: NDArray[np.int64], thing: ObjectSpec, scale: float) -> Mask:
    """[H, W] the pieces that the marks of ``thing`` (pixels of the file; ``scale`` of these here) are on: those clicked, within its box, or
    the largest in the box where there is no click. Raises ``SegmentationError`` if nothing rises there."""
    height, width = pieces.shape
    within = np.ones(pieces.shape, bool)
    if thing.box is not None:
        x0, y0, x1, y1 = (value * scale for value in thing.box)
        within[:] = False
        within[max(0, int(y0)) : int(np.ceil(y1)) + 1, max(0, int(x0)) : int(np.ceil(x1)) + 1] = True

    def at(inside: bool) -> set[int]:
        clicked = [
            pieces[min(int(c.y * scale), height - 1), min(int(c.x * scale), width - 1)]
            for c in thing.clicks
            if c.inside == inside
        ]
        return {int(piece) for piece in clicked} - {-1}

    wanted = at(True) - at(False)
    if not any(click.inside for click in thing.clicks):
        boxed = pieces[within & (pieces >= 0)]
        wanted = {int(np.bincount(boxed).argmax())} if len(boxed) else set()
    found = within & np.isin(pieces, list(wanted))
    if found.sum() < FEWEST_PIXELS:
        raise SegmentationError(
            f"Nothing rises above the table where '{thing.name}' is marked; click on the object itself, and check that the depth map is "
            "that of this picture and holds distances, not their inverse."
        )
    return found
