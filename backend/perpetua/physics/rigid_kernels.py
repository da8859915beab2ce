# mypy: disable-error-code="untyped-decorator"
"""A rigid body's pose as a matrix, and its particles where the pose puts them, compiled."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def matrix(quaternion: NDArray) -> NDArray:
    """[3, 3], the rotation of a quaternion [4] wxyz of any length."""
    w, x, y, z = quaternion / np.sqrt((quaternion * quaternion).sum())
    R = np.empty((3, 3))
    R[0] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    R[1] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    R[2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return R


@numba.njit(cache=True)
def ride(
    arms: NDArray,
    rows: NDArray,
    centre: NDArray,
    R: NDArray,
    velocity: NDArray,
    spin: NDArray,
    positions: NDArray,
    velocities: NDArray,
    F: NDArray,
) -> None:
    """Write into the ``rows`` [n] of positions [P, 3] m, velocities [P, 3] m/s and F [P, 3, 3] where the particles are that stood at ``arms``
    [n, 3] m from a centre of mass, which is at ``centre`` now and moves at ``velocity`` m/s, turned by R [3, 3] and turning with ``spin``
    rad/s."""
    turned = R.astype(np.float32)
    for n in range(len(rows)):
        row = rows[n]
        x, y, z = arms[n]
        ax = R[0, 0] * x + R[0, 1] * y + R[0, 2] * z
        ay = R[1, 0] * x + R[1, 1] * y + R[1, 2] * z
        az = R[2, 0] * x + R[2, 1] * y + R[2, 2] * z
        positions[row, 0] = centre[0] + ax
        positions[row, 1] = centre[1] + ay
        positions[row, 2] = centre[2] + az
        velocities[row, 0] = velocity[0] + spin[1] * az - spin[2] * ay
        velocities[row, 1] = velocity[1] + spin[2] * ax - spin[0] * az
        velocities[row, 2] = velocity[2] + spin[0] * ay - spin[1] * ax
        for i in range(3):
            for j in range(3):
                F[row, i, j] = turned[i, j]
