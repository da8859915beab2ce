"""From a binary outline to a soft matte, and the object's own colour under its soft edge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.reconstruct.regions import disc

BAND = 2
"""Pixels each side of the outline that may be partly covered."""
REACH = 9
"""Pixels around an edge pixel from which the colours of object and surroundings are taken."""
MIN_CONTRAST = 12.0 / 255.0
"""Difference between object and surroundings below which colour says nothing about coverage."""


def soften(rgb: NDArray[np.uint8], region: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[H, W] coverage in [0, 1] from a picture and a region of ones and zeros.

    Within BAND pixels of the outline each pixel is taken as a mix of the nearby object colour F and surroundings B,
    and its coverage is the projection (I - B).(F - B) / |F - B|^2; where F and B are alike, a blur of the outline.
    """
    image = rgb.astype(np.float32) / 255.0
    inside = cv2.erode(np.pad(region, BAND, mode="edge"), disc(BAND))[BAND:-BAND, BAND:-BAND]
    reached = cv2.dilate(region, disc(BAND))
    front, behind = mean_near(image, inside > 0), mean_near(image, reached == 0)
    axis = front - behind
    contrast = (axis**2).sum(-1)
    by_colour = ((image - behind) * axis).sum(-1) / np.maximum(contrast, 1e-6)
    by_shape = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 0.8)
    trust = np.clip(np.sqrt(contrast) / MIN_CONTRAST - 0.5, 0.0, 1.0)
    # Colour may move the edge by a pixel but not dig into the object: a highlight at the rim is not background.
    guess = np.clip(by_colour, by_shape - 0.35, by_shape + 0.35)
    alpha = np.clip(trust * guess + (1 - trust) * by_shape, 0.0, 1.0)
    alpha[inside > 0] = 1.0
    alpha[reached == 0] = 0.0
    return alpha.astype(np.float32)


def object_colours(rgb: NDArray[np.uint8], matte: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W, 3] in [0, 1]: the picture, with the surroundings' share removed from the object's soft edge, and continued
    outwards from there by the nearest object colours, so that no halo is left around it."""
    image = rgb.astype(np.float32) / 255.0
    core = matte > 0.98
    if not core.any():
        return image
    behind = mean_near(image, matte < 0.02)
    share = np.maximum(matte, 0.35)[..., None]
    unmixed = np.clip((image - (1 - share) * behind) / share, 0.0, 1.0)
    front = mean_near(image, core)
    trust = np.clip((matte - 0.35) / 0.6, 0.0, 1.0)[..., None]
    return np.where(core[..., None], image, trust * unmixed + (1 - trust) * front).astype(np.float32)


def mean_near(
    image: NDArray[np.float32], where: NDArray[np.bool_], reach: int = REACH
) -> NDArray[np.float32]:
    """[H, W, C] mean of the pixels ``where`` within about ``reach`` pixels of each pixel; farther ones count where none is."""
    weights = where.astype(np.float32)
    total = np.zeros_like(image)
    share = np.zeros(image.shape[:2], np.float32)
    trust = 1.0
    for size in (reach | 1, 4 * reach + 1, 16 * reach + 1):
        near = cv2.blur(image * weights[..., None], (size, size), borderType=cv2.BORDER_CONSTANT)
        count = cv2.blur(weights, (size, size), borderType=cv2.BORDER_CONSTANT)
        total += trust * near
        share += trust * count
        trust *= 1e-3
    everywhere = image[where].mean(0) if where.any() else image.reshape(-1, image.shape[-1]).mean(0)
    total += 1e-9 * everywhere
    share += 1e-9
    return total / share[..., None]
