"""Does what is seen agree with how it moves? A frame is carried back along the flow and compared with the frame before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.video.warping import backward

CHARBONNIER_EPS2 = 1e-6
"""In the square root of Charbonnier's penalty: m^2 for depth, squared levels in [0, 1] for pictures."""


@dataclass(frozen=True)
class WarpErrors:
    """l1: mean |x|.  charbonnier: mean sqrt(x^2 + 1e-6).  Both in m for depth, in [0, 1] for pictures."""

    l1: float
    charbonnier: float


def depth_warp(
    depth_next: NDArray, flow: NDArray, before: NDArray, rise: NDArray | None = None
) -> NDArray[np.float32]:
    """[H, W] m: how far the next frame's depth, carried back along true ``flow``, is from ``before`` plus its ``rise`` (the true
    growth of each point's depth). ``before`` is the prediction's own depth for consistency, the true one for accuracy."""
    expected = before if rise is None else before + rise
    return backward(depth_next, flow) - expected.astype(np.float32)


def rgb_warp(rgb: NDArray[np.uint8], rgb_next: NDArray[np.uint8], flow: NDArray) -> NDArray[np.float32]:
    """[H, W, 3] in [-1, 1]: how far the next frame, carried back along predicted ``flow``, is from this one."""
    return (backward(rgb_next, flow) - rgb) / np.float32(255)


def warp_errors(error: NDArray, where: NDArray[np.bool_]) -> WarpErrors | None:
    """Over the pixels ``where`` says; None if that is none."""
    if not where.any():
        return None
    chosen = error[where].astype(np.float64)
    return WarpErrors(float(np.abs(chosen).mean()), float(np.sqrt(chosen**2 + CHARBONNIER_EPS2).mean()))
