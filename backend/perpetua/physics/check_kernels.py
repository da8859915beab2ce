# mypy: disable-error-code="untyped-decorator"
"""The check of every particle after every frame, compiled: one pass, a third of a millisecond for 20,000 particles."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

FINE, NO_NUMBER, TOO_FAST, TORN = range(4)
"""What may be wrong with a particle, the worst first."""


@numba.njit(cache=True)
def verdicts(
    positions: NDArray, velocities: NDArray, F: NDArray, fastest: NDArray, largest_stretch: float
) -> NDArray:
    """[P] int8, a verdict each: positions [P, 3] m, velocities [P, 3] m/s and F [P, 3, 3] finite; no faster than ``fastest`` [P] m/s;
    F neither larger than ``largest_stretch`` (Frobenius) nor flat or mirrored."""
    out = np.zeros(len(positions), np.int8)
    for p in range(len(positions)):
        speed2 = size2 = place = 0.0
        f = F[p]
        for i in range(3):
            place += abs(positions[p, i])
            speed2 += velocities[p, i] * velocities[p, i]
            for j in range(3):
                size2 += f[i, j] * f[i, j]
        determinant = (
            f[0, 0] * (f[1, 1] * f[2, 2] - f[1, 2] * f[2, 1])
            - f[0, 1] * (f[1, 0] * f[2, 2] - f[1, 2] * f[2, 0])
            + f[0, 2] * (f[1, 0] * f[2, 1] - f[1, 1] * f[2, 0])
        )
        if not math.isfinite(place + speed2 + size2):
            out[p] = NO_NUMBER
        elif speed2 > fastest[p] * fastest[p]:
            out[p] = TOO_FAST
        elif size2 > largest_stretch * largest_stretch or determinant <= 0.0:
            out[p] = TORN
    return out
