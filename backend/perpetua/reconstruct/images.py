"""OpenCV's resizing and blurring, typed: an image of a kind of number in, one of the same kind out."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.uint8, np.float32)


def reduced(image: NDArray[Number], width: int, height: int) -> NDArray[Number]:
    """[height, width, ...] each pixel the mean of what it covers (for making smaller)."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=image.dtype)


def enlarged(image: NDArray[Number], width: int, height: int) -> NDArray[Number]:
    """[height, width, ...] by linear interpolation."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), dtype=image.dtype)


def blurred(image: NDArray[Number], sigma: float) -> NDArray[Number]:
    """Gaussian blur with a standard deviation of ``sigma`` pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=image.dtype)


def denoised(rgb: NDArray[np.uint8], size: int, colour: float, space: float) -> NDArray[np.uint8]:
    """Bilateral filter over ``size`` pixels: smooth, with edges kept."""
    return np.asarray(cv2.bilateralFilter(rgb, size, colour, space), dtype=np.uint8)
