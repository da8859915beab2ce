"""Shadows on the support as splats: flat dark discs on a square grid that overlap into one smooth shade."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIGMA = 0.7
"""Standard deviation of a disc in its cells."""
THICKNESS = 0.05
"""Of a disc, in its cells."""
FAINTEST = 0.012
"""Darkening (logarithm) below which there is no disc: three levels of 255."""
LIFT = 1.0
"""How far discs stand before the table towards the picture's camera, in the depths of a table's cell and of a disc together:
splats are sorted by their centres."""
MOST_LIFT = 0.1
"""Of the way to the camera."""
ALPHA_CUT = 1 / 255
"""Opacity under which the rasteriser leaves a splat out."""


def lifted(ground: Array, camera: Array, depth: Array, height: Array) -> Array:
    """[N, 3] m: places on the ground [N, 3] moved towards the ``camera`` at [3] m, whose picture shows them at ``depth`` [N] m,
    by ``height`` [N] m in depth."""
    share = np.minimum(height / depth, MOST_LIFT)
    return np.asarray(ground + share[:, None] * (camera - ground))


def opacity(log: Array) -> Array:
    """[N] opacities at which discs on a square grid, SIGMA cells wide each, darken by ``log`` [N] on average."""
    reach = np.arange(-4, 5)
    inside = (np.arange(6) + 0.5) / 6 - 0.5
    along = np.exp(-0.5 * ((reach[:, None] + inside[None]) / SIGMA) ** 2)
    weight = np.einsum("iu,jv->ijuv", along, along).reshape(len(reach) ** 2, -1)
    opacities = np.concatenate([np.geomspace(ALPHA_CUT, 0.3, 60), np.linspace(0.31, 0.985, 60)])
    parts = opacities[:, None, None] * weight
    parts = np.where(parts < ALPHA_CUT, 0.0, parts)
    darkening = -np.log1p(-parts).sum(1).mean(1)
    return np.interp(log, darkening, opacities)
