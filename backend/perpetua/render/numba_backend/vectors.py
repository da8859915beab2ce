"""Vectors of three and their matrices as tuples of numbers: what the projection's equations are written in.

All are parts of the kernels that call them, so that the numbers stay in registers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perpetua.render.numba_backend.compile import inlined
from perpetua.render.numba_backend.lanes import ONE, TWO


@inlined
def dot(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inlined
def cross(a: Any, b: Any) -> Any:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inlined
def combine(a: Any, p: Any, b: Any, q: Any) -> Any:
    """a p + b q of two scalars and two vectors."""
    return a * p[0] + b * q[0], a * p[1] + b * q[1], a * p[2] + b * q[2]


@inlined
def times(s: Any, a: Any) -> Any:
    """Entry by entry."""
    return s[0] * a[0], s[1] * a[1], s[2] * a[2]


@inlined
def take(A: Any, i: Any) -> Any:
    """The first three entries of row i of an array."""
    return A[i, 0], A[i, 1], A[i, 2]


@inlined
def add_to(A: Any, i: Any, a: Any) -> None:
    """A[i, :3] += a."""
    A[i, 0] += a[0]
    A[i, 1] += a[1]
    A[i, 2] += a[2]


@inlined
def unit_quaternion(quats: Any, i: Any) -> Any:
    """(w, x, y, z) of length one, and one over the length it had."""
    w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
    inverse = ONE / math.sqrt(w * w + x * x + y * y + z * z)
    return w * inverse, x * inverse, y * inverse, z * inverse, inverse


@inlined
def rotation(w: Any, x: Any, y: Any, z: Any) -> Any:
    """Rotation matrix of a unit quaternion, by rows."""
    return (
        (ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y)),
        (TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x)),
        (TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y)),
    )


@inlined
def turned_back(R: Any, a: Any) -> Any:
    """R^T a."""
    return (
        a[0] * R[0][0] + a[1] * R[1][0] + a[2] * R[2][0],
        a[0] * R[0][1] + a[1] * R[1][1] + a[2] * R[2][1],
        a[0] * R[0][2] + a[1] * R[1][2] + a[2] * R[2][2],
    )


@inlined
def turned(R: Any, a: Any) -> Any:
    """R a."""
    return dot(R[0], a), dot(R[1], a), dot(R[2], a)


@inlined
def symmetric_times(c: Any, i: Any, a: Any) -> Any:
    """Sigma a in float64, with Sigma's upper triangle (xx, xy, xz, yy, yz, zz) in c[i]."""
    x, y, z = np.float64(a[0]), np.float64(a[1]), np.float64(a[2])
    return (
        c[i, 0] * x + c[i, 1] * y + c[i, 2] * z,
        c[i, 1] * x + c[i, 3] * y + c[i, 4] * z,
        c[i, 2] * x + c[i, 4] * y + c[i, 5] * z,
    )
