"""A picture's depth where no depth map came with it, from the estimator that the take names."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import ReconstructionError
from perpetua.reconstruct import providers
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.camera import known_focal_pixels
from perpetua_protocol.take import Take

RAMP_WIDTH = 0.012
"""Of the picture's width, over which networks blur an edge of depth."""
BEND = 0.01
"""Relative difference of inverse depth from its mean over such a width, from which it bends: that of a plane is linear in the picture."""
MOST_RAMPS = 0.5
"""Share of the pixels on such edges from which an estimate is noise."""


def with_estimated_depth(picture: Picture, take: Take) -> Picture:
    """``picture`` with depth, and with the focal length that the estimator found. Raises ``ReconstructionError``."""
    estimator = providers.depth_estimator(take)
    made = estimator.estimate(picture.rgb, known_focal_pixels(picture, take.scene))
    return replace(picture, depth=sharpened(made.depth), focal=made.focal)


def sharpened(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """``depth`` [H, W] m without the ramps that networks draw where one thing hides another: there each pixel has the depth of the
    nearest or the farthest thing about it, whichever it is closer to. Raises ``ReconstructionError`` for depth that is no surface."""
    if not (np.isfinite(depth) & (depth > 0)).any():
        raise ReconstructionError("The depth estimator found no depth in the picture; choose another one.")
    inverse = np.where(np.isfinite(depth) & (depth > 0), 1 / np.maximum(depth, 1e-6), 0.0).astype(np.float32)
    side = max(5, round(RAMP_WIDTH * depth.shape[1]) | 1)
    bent = np.abs(cv2.blur(inverse, (side, side)) - inverse) > BEND * np.maximum(
        inverse, inverse[inverse > 0].min()
    )
    ramp = cv2.dilate(bent.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if ramp.mean() > MOST_RAMPS:
        raise ReconstructionError(
            "The depth estimator found noise and no surfaces in the picture; check its weights, or choose another one."
        )
    reach = np.ones((side, side), np.uint8)
    near, far = cv2.dilate(inverse, reach), cv2.erode(inverse, reach)
    snapped = np.where(ramp, np.where(inverse - far > near - inverse, near, far), inverse)
    with np.errstate(divide="ignore"):
        return np.asarray(1 / snapped, np.float32)
