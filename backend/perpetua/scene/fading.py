"""Splats that are seen more or less for a while: opacity that changes within a round, and at its ends is what it was.

In frame t of a round of T frames a splat's opacity is  sigmoid(o + a sin^2(pi t / T)).  PerpetualWonder multiplies it by a Gaussian of
time instead, whose ends are handed from round to round, so that objects fade (0.89, 0.33, 0.05 after three); here a round ends
as it began, with the same values and no slope, whatever ``a`` is.
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from perpetua.scene.gaussians import Gaussians


def faded(splats: Gaussians, fading: Tensor | None, share: float) -> Gaussians:
    """``splats`` as they are seen when a ``share`` of the round has passed. fading: [N], a; or None if none fades."""
    if fading is None:
        return splats
    return replace(splats, opacity_logits=splats.opacity_logits + math.sin(math.pi * share) ** 2 * fading)
