"""What matter hides from a lamp far away: a map of how near to the lamp the matter reaches, and soft comparisons with it.

The map is a grid across the light; a place is in shadow by the share of the cells around it that matter nearer to the lamp fills
(percentage closer filtering, Reeves, Salesin and Cook 1987).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CELL = 1.25
"""Width of a cell, in spacings."""
REACH = 2
"""Cells to each side that are compared."""
SOFTNESS = 1.2
"""Standard deviation of their weights, in cells."""
CLEAR, CLEAR_SLOPE = 2.0, 1.5
"""Nearer to the lamp by so many spacings, and so many cells more for each cell aside, counts as before a place: what is less is the
surface's own slope."""
MOST_CELLS = 2048
"""Of a map along a side; matter that scatters farther gets larger ones."""


def hidden(places: Array, matter: Array, direction: Array, spacing: float) -> Array:
    """[N], 0 to 1: how far ``matter`` [M, 3] m, ``spacing`` m from particle to particle, hides a lamp in ``direction`` [3] from
    ``places`` [N, 3] m."""
    if not len(matter) or not len(places):
        return np.zeros(len(places))
    axes = across(direction)
    flat = matter @ axes
    low = flat.min(0)
    cell = max(CELL * spacing, float(np.ptp(flat, axis=0).max()) / MOST_CELLS)
    margin = REACH + 2
    shape = np.floor(np.ptp(flat, axis=0) / cell).astype(int) + 2 * margin
    nearest = np.full(shape[0] * shape[1], -np.inf)
    along = matter @ direction
    corner = np.floor((flat - low) / cell - 0.5).astype(int) + margin
    for x in (0, 1):  # a particle is about as wide as a cell and fills four of them in part
        for y in (0, 1):
            np.maximum.at(nearest, (corner[:, 0] + x) * shape[1] + corner[:, 1] + y, along)
    nearest = nearest.reshape(shape)
    at = np.floor((places @ axes - low) / cell).astype(int) + margin
    inside = ((at >= REACH) & (at < shape - REACH)).all(1)
    at, own = at[inside], places[inside] @ direction
    total, weights = np.zeros(len(at)), 0.0
    for x in range(-REACH, REACH + 1):
        for y in range(-REACH, REACH + 1):
            aside = float(np.hypot(x, y))
            weight = float(np.exp(-0.5 * (aside / SOFTNESS) ** 2))
            before = nearest[at[:, 0] + x, at[:, 1] + y] - own
            total += weight * (before > CLEAR * spacing + CLEAR_SLOPE * aside * cell)
            weights += weight
    result = np.zeros(len(places))
    result[inside] = total / weights
    return result


def across(direction: Array) -> Array:
    """[3, 2]: two unit vectors across the unit ``direction`` [3]."""
    first = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first)], 1)
