"""Light in steam and smoke: what is left of the lamp and of the sky where it has come through puffs, and past solid things.

Puffs are laid out on a grid that stands along the light; the optical depth before a place is the sum over the cells nearer to the light
(Kajiya and Von Herzen 1984). What a puff takes out of a ray through its middle is what its splat covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from perpetua.scene.light import Light
from perpetua.scene.shadow_map import across, hidden

Array = NDArray[np.float64]

MOST_CELLS = 96
"""Along a side of the grid."""
MARGIN = 3
FORWARD = 0.8
"""Share of the light that a puff scatters which goes on as if it had met none: the asymmetry parameter of droplets, 0.85, a little less
for soot (van de Hulst 1980, similarity of scattering by (1 - g) times the depth)."""
FROM_ABOVE = 0.5
"""Share of the light from all around that comes from straight above, and so through what is above."""
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Puffs:
    """A cloud of Gaussian puffs. places: [N, 3] m, their middles.  depths: [N], optical depth through the middle of each.  widths: [N] m,
    standard deviations."""

    places: Array
    depths: Array
    widths: Array

    def __len__(self) -> int:
        return len(self.places)

    @staticmethod
    def shown(places: Array, opacity: Array, widths: Array) -> Puffs:
        """Those whose splats are opaque by ``opacity`` [N]: what they take out of the light that is not scattered on its way."""
        return Puffs(places, -(1.0 - FORWARD) * np.log1p(-opacity.clip(0.0, 0.99)), widths)

    def weights(self, cell: float) -> Array:
        """[N]: the depth of each over a cell that is ``cell`` m wide, if it lay in that one alone; wherever along the light it lies."""
        return self.depths * 2.0 * np.pi * (self.widths / cell) ** 2


def depth(puffs: Puffs, direction: Array) -> Array:
    """[N]: optical depth between the middles of ``puffs`` and a lamp in the unit ``direction`` [3]."""
    width = float(np.median(puffs.widths))
    axes = np.concatenate([across(direction), direction[:, None]], 1)
    flat = puffs.places @ axes
    low, size = flat.min(0), np.ptp(flat, axis=0)
    cell = max(width, float(size.max()) / (MOST_CELLS - 2 * MARGIN))
    shape = np.ceil(size / cell).astype(int) + 2 * MARGIN
    at = (flat - low) / cell + MARGIN - 0.5
    grid = np.zeros(shape)
    corner = np.floor(at).astype(int)
    within = at - corner
    weight = puffs.weights(cell)
    for x in (0, 1):
        for y in (0, 1):
            for z in (0, 1):
                share = np.abs(1 - np.array((x, y, z)) - within).prod(1)
                np.add.at(grid, tuple((corner + np.array((x, y, z))).T), weight * share)
    grid = gaussian_filter(grid, width / cell, mode="constant", truncate=float(MARGIN))
    before = np.cumsum(grid[:, :, ::-1], 2)[:, :, ::-1] - 0.5 * grid
    return np.asarray(map_coordinates(before, at.T, order=1, mode="nearest")).clip(0.0)


def brightness(puffs: Puffs, solid: Array, spacing: float, light: Light) -> Array:
    """[N]: linear brightness of ``puffs`` among ``solid`` matter [M, 3] m that is ``spacing`` m from particle to particle; in one that
    nothing shades both strengths of ``light`` add up."""
    if not len(puffs):
        return np.zeros(0)
    lamp = np.exp(-depth(puffs, light.direction))
    lamp *= 1.0 - hidden(puffs.places, solid, light.direction, spacing)
    sky = np.exp(-FROM_ABOVE * depth(puffs, UP))
    return light.ambient * sky + light.lamp * lamp
