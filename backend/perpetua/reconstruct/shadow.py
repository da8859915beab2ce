"""Take contact shadows and reflections off the lower rim of a resting object's outline.

A shadow fades out softly, while the line where object and table touch is a sharp step in the ratio of colours, even where both are
dark. So the outline's lower part is moved inwards to the strongest step in log brightness and hue, by a watershed.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from perpetua.reconstruct.images import blurred
from perpetua.reconstruct.regions import Region, disc

REACH = 0.09
"""How far a contact shadow may reach into the outline, as a share of the square root of the object's area."""
LOWER_PART = 0.78
"""Share of the object's height above which its outline stays as it is."""
DARKEST = 0.03
"""Brightness (0 to 3) added before the logarithm, about the noise of an 8-bit picture's shadows."""
HUE_WEIGHT = 2.0
"""Weight of chromaticity (r, g, b over their sum) against log brightness."""


def without_contact_shadow(rgb: NDArray[np.uint8], region: Region) -> Region:
    """The region [H, W] with its lower outline moved inwards, off what is only shaded table."""
    reach = max(3, round(REACH * float(np.sqrt(region.sum()))))
    inner = cv2.erode(np.pad(region, reach), disc(reach))[reach:-reach, reach:-reach] > 0
    rows = np.flatnonzero(region.any(1))
    if not inner.any():
        return region
    upper = np.zeros(region.shape, bool)
    upper[: round(rows[0] + LOWER_PART * (rows[-1] - rows[0]))] = True
    markers = np.zeros(region.shape, np.int32)
    markers[region == 0] = 2
    markers[(region > 0) & (inner | upper)] = 1
    return (watershed(_steps(rgb), markers) == 1).astype(np.uint8)


def _steps(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[H, W] length of the gradient of log brightness and weighted chromaticity."""
    image = blurred(rgb.astype(np.float32) / np.float32(255), 1.0)
    brightness = image.sum(-1, keepdims=True) + DARKEST
    features = np.concatenate([np.log(brightness), HUE_WEIGHT * (image + DARKEST / 3) / brightness], -1)
    squares = np.zeros(image.shape[:2], np.float32)
    for channel in range(4):
        for dx, dy in ((1, 0), (0, 1)):
            slope = (
                np.asarray(cv2.Scharr(features[..., channel], cv2.CV_32F, dx, dy), dtype=np.float32) / 32.0
            )
            squares += slope**2
    return np.sqrt(squares)
