"""Join copied patches without seams: rebuild colours from the patches' own gradients (Perez et al. 2003; Darabi et al. 2012)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from perpetua.reconstruct.patchmatch import Field, Image, Mask

SEAM_STEP = 0.015
"""Most that colours may differ between neighbours that were copied from different places: an edge there is one of neither place."""


def meld(filled: Image, known: Image, field: Field, hole: Mask, edge_row: float, fidelity: float) -> Image:
    """``filled`` [H, W, 3] with the colours in ``hole`` replaced by those whose differences between neighbours are the
    differences at their matches in ``known`` (least squares), fixed at the hole's border. What meets at ``edge_row`` is two things, of
    which neither's colours tell the other's. fidelity: pull towards the copied colours themselves, per pixel, against one for the
    differences."""
    height, width = hole.shape
    ys, xs = np.nonzero(hole)
    index = np.full(hole.shape, -1)
    index[ys, xs] = np.arange(len(ys))
    rows, columns, values = [np.arange(len(ys))], [np.arange(len(ys))], [np.full(len(ys), fidelity)]
    right = fidelity * filled[ys, xs].astype(np.float64)
    below = np.arange(height) >= edge_row
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        ny, nx = ys + dy, xs + dx
        valid = (ny >= 0) & (ny < height) & (nx >= 0) & (nx < width)
        valid &= below[np.clip(ny, 0, height - 1)] == below[ys]
        here = np.flatnonzero(valid)
        ny, nx = ny[valid], nx[valid]
        step = _difference(known, field, ys[valid], xs[valid], dy, dx)
        other = index[ny, nx]
        inside = other >= 0
        # Two unknown neighbours both see the pair; the mean of what their matches say makes the system symmetric.
        back = -_difference(known, field, ny[inside], nx[inside], -dy, -dx)
        step[inside] = 0.5 * (step[inside] + back)
        apart = (field[ny, nx] - field[ys[valid], xs[valid]] != (dy, dx)).any(1) & inside
        step[apart] = np.clip(step[apart], -SEAM_STEP, SEAM_STEP)
        right[here] -= step
        right[here[~inside]] += filled[ny[~inside], nx[~inside]]
        rows += [here, here[inside]]
        columns += [here, other[inside]]
        values += [np.ones(len(here)), -np.ones(int(inside.sum()))]
    system = coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(len(ys), len(ys))
    ).tocsc()
    result = filled.copy()
    result[ys, xs] = np.clip(splu(system).solve(right), 0.0, 1.0)
    return result


def _difference(known: Image, field: Field, y: NDArray, x: NDArray, dy: int, dx: int) -> NDArray[np.float64]:
    """[N, 3] colour at the match's neighbour minus colour at the match."""
    sy, sx = field[y, x].T
    ty = np.clip(sy + dy, 0, known.shape[0] - 1)
    tx = np.clip(sx + dx, 0, known.shape[1] - 1)
    return known[ty, tx].astype(np.float64) - known[sy, sx]
