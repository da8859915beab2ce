"""Fill a solid evenly with particles: a cubic lattice with a little jitter, each particle of volume spacing^3."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.sheet import area_of
from perpetua.reconstruct.solid import Solid

Array = NDArray[np.float64]

JITTER = 0.08
"""Largest shift along each axis, in spacings; it breaks the lattice's straight lines without uneven volumes."""
MAX_PARTICLES = 2_000_000
"""More than this is a spacing typed in the wrong unit."""


SHEET_COST = 3.0
"""A particle of cloth costs about as much as three others, and a sheet needs fewer."""


def spacing_for(solids: list[Solid], count: int, sheets: list[Solid] | None = None) -> float:
    """The spacing, in the solids' metres, at which ``count`` particles fill ``solids`` and cover ``sheets``.

    Raises ``ReconstructionError`` if they have no volume.
    """
    if sheets:
        return shared_spacing(sum(s.volume for s in solids), sum(area_of(s) for s in sheets), count)
    volume = sum(solid.volume for solid in solids)
    if volume <= 0:
        raise ReconstructionError(
            "An object has no volume from this camera; check the horizon row, the camera's pitch and the table's edge."
        )
    spacing = (volume / count) ** (1 / 3)
    for _ in range(3):  # the count of lattice points differs a little from volume / spacing^3
        found = sum(len(_lattice(solid, spacing)) for solid in solids)
        if found == 0:
            spacing *= 0.7
        else:
            spacing *= (found / count) ** (1 / 3)
    return spacing


def shared_spacing(volume: float, area: float, count: int) -> float:
    """The spacing s with volume / s^3 + SHEET_COST area / s^2 = count: a falling function of s, by bisection."""
    low, high = 0.0, max((2 * volume / count) ** (1 / 3), (2 * SHEET_COST * area / count) ** 0.5)
    for _ in range(60):
        s = 0.5 * (low + high)
        low, high = (s, high) if volume / s**3 + SHEET_COST * area / s**2 > count else (low, s)
    return float(high)


def fill(solid: Solid, spacing: float, seed: int) -> Array:
    """[P, 3] positions, m, in the solid's world. The lowest layer of a resting solid lies half a spacing above the plane.

    Raises ``ReconstructionError`` if the spacing leaves it empty or asks for millions.
    """
    expected = solid.volume / spacing**3
    if expected > MAX_PARTICLES:
        raise ReconstructionError(
            f"The particle spacing asks for {expected:.0f} particles in one object; raise it (it is in metres)."
        )
    points = _lattice(solid, spacing)
    if len(points) < 8:
        raise ReconstructionError(
            f"The particle spacing leaves only {len(points)} particles in an object; lower it or raise the particle count."
        )
    shift = np.random.default_rng(seed).uniform(-JITTER, JITTER, points.shape) * spacing
    shift[points[:, 2] < 0.75 * spacing, 2] = 0.0  # the lowest layer stays level
    moved = points + shift
    return np.where(_contains(solid, moved)[:, None], moved, points)


def _lattice(solid: Solid, spacing: float) -> Array:
    low, high = solid.vertices.min(0), solid.vertices.max(0)
    middle = (low[:2] + high[:2]) / 2
    steps = np.ceil((high[:2] - low[:2]) / 2 / spacing) + 1
    x = middle[0] + spacing * np.arange(-steps[0], steps[0] + 1)
    y = middle[1] + spacing * np.arange(-steps[1], steps[1] + 1)
    first = np.floor(low[2] / spacing) + 0.5
    z = spacing * np.arange(first, high[2] / spacing + 1)
    z = z[z > 0]
    points = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1).reshape(-1, 3)
    return points[_contains(solid, points)]


def _contains(solid: Solid, points: Array) -> NDArray[np.bool_]:
    pixels, depth = solid.camera.project(points)
    result = solid.covers(pixels)
    enter, leave = solid.depths(pixels[result])
    result[result] = (depth[result] > enter) & (depth[result] < leave)
    return result
