# mypy: disable-error-code="untyped-decorator"
"""The inner loops of ``deformation``, compiled: neighbours within reach, the gradient of a displacement, stretches and turns.

Plain loops over particles in double precision on one thread: the same bytes everywhere, and a few milliseconds for 20,000 particles.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

LEAST_NEIGHBOURS = 3
"""Fewer offsets cannot tell a gradient."""

POLAR_STEPS, POLAR_TOLERANCE = 20, 1e-12
"""Newton's iteration for the turn doubles its digits every step; five do for a stretch of two."""


@numba.njit(cache=True)
def neighbours_within(points: NDArray, reach: float, most: int) -> NDArray:
    """[P, most] int64: other particles nearer than ``reach`` m to each of ``points`` [P, 3] m, in order of their cells and
    indices, -1 where there are fewer; those beyond ``most`` are left out."""
    count = len(points)
    low, high = np.empty(3), np.empty(3)
    for c in range(3):
        low[c], high[c] = points[:, c].min(), points[:, c].max()
    cells = np.empty(3, np.int64)
    for c in range(3):
        cells[c] = int((high[c] - low[c]) / reach) + 1
    cell = np.empty(count, np.int64)
    for p in range(count):
        x = int((points[p, 0] - low[0]) / reach)
        y = int((points[p, 1] - low[1]) / reach)
        z = int((points[p, 2] - low[2]) / reach)
        cell[p] = (x * cells[1] + y) * cells[2] + z
    order = np.argsort(cell, kind="mergesort")
    sorted_cells = cell[order]
    index = np.full((count, most), -1, np.int64)
    for p in range(count):
        x = cell[p] // (cells[1] * cells[2])
        y = cell[p] // cells[2] % cells[1]
        z = cell[p] % cells[2]
        found = 0
        for i in range(max(x - 1, 0), min(x + 2, cells[0])):
            for j in range(max(y - 1, 0), min(y + 2, cells[1])):
                first = (i * cells[1] + j) * cells[2] + max(z - 1, 0)
                last = (i * cells[1] + j) * cells[2] + min(z + 1, cells[2] - 1)
                for k in range(np.searchsorted(sorted_cells, first), count):
                    if sorted_cells[k] > last or found == most:
                        break
                    q = order[k]
                    dx, dy, dz = (
                        points[q, 0] - points[p, 0],
                        points[q, 1] - points[p, 1],
                        points[q, 2] - points[p, 2],
                    )
                    if q != p and dx * dx + dy * dy + dz * dz < reach * reach:
                        index[p, found] = q
                        found += 1
    return index


@numba.njit(cache=True)
def gradients(before: NDArray, after: NDArray, index: NDArray, regularisation: float) -> NDArray:
    """[P, 3, 3]: G minimising sum_k w_k |u_k - G r_k|^2 over the neighbours ``index`` [P, K] of each particle, with r their offsets
    in ``before`` [P, 3] m and u how these change to ``after`` [P, 3] m; w = (1 - (d/h)^2)^2 with h just beyond the farthest."""
    count, most = index.shape
    out = np.zeros((count, 3, 3))
    for p in range(count):
        far, found = 0.0, 0
        for k in range(most):
            q = index[p, k]
            if q >= 0:
                found += 1
                d2 = 0.0
                for c in range(3):
                    d2 += (before[q, c] - before[p, c]) ** 2
                far = max(far, d2)
        if found < LEAST_NEIGHBOURS:
            continue
        h2 = 1.1 * far + 1e-24
        a00 = a01 = a02 = a11 = a12 = a22 = 0.0
        b = np.zeros((3, 3))
        for k in range(most):
            q = index[p, k]
            if q < 0:
                continue
            x, y, z = before[q, 0] - before[p, 0], before[q, 1] - before[p, 1], before[q, 2] - before[p, 2]
            w = (1.0 - (x * x + y * y + z * z) / h2) ** 2
            a00 += w * x * x
            a01 += w * x * y
            a02 += w * x * z
            a11 += w * y * y
            a12 += w * y * z
            a22 += w * z * z
            for c in range(3):
                u = w * ((after[q, c] - after[p, c]) - (before[q, c] - before[p, c]))
                b[c, 0] += u * x
                b[c, 1] += u * y
                b[c, 2] += u * z
        ridge = regularisation * (a00 + a11 + a22) / 3.0 + 1e-30
        a00, a11, a22 = a00 + ridge, a11 + ridge, a22 + ridge
        c00, c01, c02 = a11 * a22 - a12 * a12, a02 * a12 - a01 * a22, a01 * a12 - a02 * a11
        c11, c12, c22 = a00 * a22 - a02 * a02, a01 * a02 - a00 * a12, a00 * a11 - a01 * a01
        scale = 1.0 / (a00 * c00 + a01 * c01 + a02 * c02)
        for c in range(3):
            u0, u1, u2 = b[c, 0] * scale, b[c, 1] * scale, b[c, 2] * scale
            out[p, c, 0] = u0 * c00 + u1 * c01 + u2 * c02
            out[p, c, 1] = u0 * c01 + u1 * c11 + u2 * c12
            out[p, c, 2] = u0 * c02 + u1 * c12 + u2 * c22
    return out


@numba.njit(cache=True)
def beyond(F: NDArray, least: float, most: float) -> NDArray:
    """[P] bool: whether a principal stretch of F [P, 3, 3] is outside ``least`` to ``most``, or F mirrors.

    The stretches' squares are the eigenvalues of F^T F: with mean m, p^2 = |A - m I|^2 / 6 and r = det((A - m I) / p) / 2 they are
    m + 2 p cos((acos r + 2 pi i) / 3) (Smith 1961)."""
    out = np.empty(len(F), np.bool_)
    for p in range(len(F)):
        f = F[p]
        c00 = f[0, 0] * f[0, 0] + f[1, 0] * f[1, 0] + f[2, 0] * f[2, 0]
        c11 = f[0, 1] * f[0, 1] + f[1, 1] * f[1, 1] + f[2, 1] * f[2, 1]
        c22 = f[0, 2] * f[0, 2] + f[1, 2] * f[1, 2] + f[2, 2] * f[2, 2]
        c01 = f[0, 0] * f[0, 1] + f[1, 0] * f[1, 1] + f[2, 0] * f[2, 1]
        c02 = f[0, 0] * f[0, 2] + f[1, 0] * f[1, 2] + f[2, 0] * f[2, 2]
        c12 = f[0, 1] * f[0, 2] + f[1, 1] * f[1, 2] + f[2, 1] * f[2, 2]
        determinant = (
            f[0, 0] * (f[1, 1] * f[2, 2] - f[1, 2] * f[2, 1])
            - f[0, 1] * (f[1, 0] * f[2, 2] - f[1, 2] * f[2, 0])
            + f[0, 2] * (f[1, 0] * f[2, 1] - f[1, 1] * f[2, 0])
        )
        mean = (c00 + c11 + c22) / 3.0
        d0, d1, d2 = c00 - mean, c11 - mean, c22 - mean
        size = math.sqrt((d0 * d0 + d1 * d1 + d2 * d2 + 2.0 * (c01 * c01 + c02 * c02 + c12 * c12)) / 6.0)
        largest = smallest = mean
        if size > 1e-12 * mean:
            half = (
                d0 * (d1 * d2 - c12 * c12) - c01 * (c01 * d2 - c12 * c02) + c02 * (c01 * c12 - d1 * c02)
            ) / (2.0 * size**3)
            angle = math.acos(min(max(half, -1.0), 1.0)) / 3.0
            largest = mean + 2.0 * size * math.cos(angle)
            smallest = mean + 2.0 * size * math.cos(angle + 2.0 * math.pi / 3.0)
        out[p] = not (determinant > 0.0 and smallest >= least * least and largest <= most * most)
    return out


@numba.njit(cache=True)
def relaxed(F: NDArray, keep: float) -> NDArray:
    """[P, 3, 3]: F [P, 3, 3] with its stretches' distance from one times ``keep`` and its turn R as it was: keep F + (1 - keep) R.

    R by Newton's iteration R <- (R + R^-T) / 2 (Higham 1986); a mirrored or flat F, which has no turn, is returned as it is."""
    out = F.copy()
    R, cofactor = np.empty((3, 3)), np.empty((3, 3))
    for p in range(len(F)):
        R[:] = F[p]
        whole = True
        for _ in range(POLAR_STEPS):
            for i in range(3):
                j, k = (i + 1) % 3, (i + 2) % 3
                cofactor[i, 0] = R[j, 1] * R[k, 2] - R[j, 2] * R[k, 1]
                cofactor[i, 1] = R[j, 2] * R[k, 0] - R[j, 0] * R[k, 2]
                cofactor[i, 2] = R[j, 0] * R[k, 1] - R[j, 1] * R[k, 0]
            determinant = R[0, 0] * cofactor[0, 0] + R[0, 1] * cofactor[0, 1] + R[0, 2] * cofactor[0, 2]
            if not determinant > 1e-9:
                whole = False
                break
            change = 0.0
            for i in range(3):
                for j in range(3):
                    new = 0.5 * (R[i, j] + cofactor[i, j] / determinant)
                    change += (new - R[i, j]) ** 2
                    R[i, j] = new
            if change < POLAR_TOLERANCE:
                break
        if whole:
            for i in range(3):
                for j in range(3):
                    out[p, i, j] = keep * F[p, i, j] + (1.0 - keep) * R[i, j]
    return out
