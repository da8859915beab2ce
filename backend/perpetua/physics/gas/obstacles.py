"""Colliders as air and what floats in it meet them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.gas.air import Air
from perpetua.physics.motion import Collider

HALF_CELL = 0.5
"""A cell whose centre is so many cells from a surface is an obstacle, so that no wall is too thin for the grid."""


def obstructed(collider: Collider, air: Air) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Flat indices [n] of the cells of ``air`` that ``collider`` fills or its surface crosses, and its velocity there [n, 3] m/s."""
    centre, radius = collider.ball
    low, high = ((centre + side * radius - air.origin) / air.dx for side in (-1.0, 1.0))
    first = np.clip(np.floor(low).astype(np.int64) - 1, 0, air.shape)
    last = np.clip(np.ceil(high).astype(np.int64) + 1, 0, air.shape)
    axes = [np.arange(a, b) for a, b in zip(first, last, strict=True)]
    cell = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    centres = air.origin + (cell + 0.5) * air.dx
    inside = collider.distance(centres) < HALF_CELL * air.dx
    index = np.ravel_multi_index(tuple(cell[inside].T), air.shape)
    return np.asarray(index, np.int64), collider.motion.velocity_at(centres[inside])


def put_outside(collider: Collider, points: NDArray, body: NDArray) -> NDArray[np.float32]:
    """``points`` [n, 3] m of ``body`` [n], those inside the collider moved to its surface."""
    out = points.astype(np.float32)
    distance = collider.distance(points)
    inside = np.flatnonzero((distance < 0.0) & collider.bodies[body])
    if len(inside):
        away = collider.outward(points[inside]) * distance[inside, None]
        out[inside] -= away.astype(np.float32)
    return out
