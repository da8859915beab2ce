"""Large videos are refined at the size that the network learned from; what it changes is then carried over to all their pixels.

Light and shadow are smooth, texture is not: the change is raised as a straight line in the coarse video's own brightness around each pixel (He and
Sun, "Fast Guided Filter", arXiv 1505.00996), so that it keeps to the outlines of the large picture and none of its detail is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
WINDOW = (5, 5)
"""pixels of the small picture that a line is fitted in."""
NOISE = 1e-3
"""Variance of brightness below which a neighbourhood counts as flat."""
LUMA: Array = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. 601."""


@dataclass(frozen=True)
class Coarse:
    """What is refined. rgb: [T, H, W, 3] in [0, 1].  depth: [T, H, W] m, 0 for none.  flow: [T - 1, H, W, 2] pixels.  alpha: [T, H, W].
    first: [H, W, 3], how the first frame should look."""

    rgb: Array
    depth: Array
    flow: Array
    alpha: Array
    first: Array


def working_size(height: int, width: int, pixels: int) -> tuple[int, int]:
    """Rows and columns of about ``pixels`` in all, in the same ratio; unchanged if there are not more than a tenth too many."""
    factor = (pixels / (height * width)) ** 0.5
    if factor > 0.95:
        return height, width
    return max(1, round(height * factor)), max(1, round(width * factor))


def shrunk(video: Coarse, size: tuple[int, int]) -> Coarse:
    """``video`` with frames of ``size`` (rows, columns)."""
    height, width = video.alpha.shape[1:]
    per_pixel = np.array([size[1] / width, size[0] / height], np.float32)
    return Coarse(
        _resized(video.rgb, size, cv2.INTER_AREA),
        _resized(video.depth, size, cv2.INTER_NEAREST),
        _resized(video.flow, size, cv2.INTER_AREA) * per_pixel,
        _resized(video.alpha, size, cv2.INTER_AREA),
        _resized(video.first[None], size, cv2.INTER_AREA)[0],
    )


def raised_picture(fine: Array, small: Array, large: Array) -> Array:
    """``large`` [T, H, W, 3] changed as ``fine`` [T, h, w, 3] differs from ``small`` [T, h, w, 3], all in [0, 1]."""
    size = (large.shape[2], large.shape[1])
    out = np.empty_like(large)
    for t, (found, coarse) in enumerate(zip(fine, small, strict=True)):
        change, guide = found - coarse, _brightness(coarse)
        mean, mean_change = _mean(guide), _mean(change)
        slope = (_mean(guide * change) - mean * mean_change) / (_mean(guide * guide) - mean * mean + NOISE)
        level = mean_change - slope * mean
        steep, more = (
            cv2.resize(_mean(part), size, interpolation=cv2.INTER_LINEAR) for part in (slope, level)
        )
        out[t] = large[t] + steep * _brightness(large[t]) + more
    return out.clip(0, 1)


def raised_depth(fine: Array, small: Array, large: Array) -> Array:
    """``large`` [T, H, W] m, nearer or farther by the ratio of ``fine`` to ``small`` [T, h, w]; 0 for none stays 0."""
    ratio = np.ones_like(small)
    np.divide(fine, small, out=ratio, where=(fine > 0) & (small > 0))
    return large * _resized(ratio, large.shape[1:], cv2.INTER_LINEAR)


def raised_flow(fine: Array, small: Array, large: Array) -> Array:
    """``large`` [T, H, W, 2] pixels changed as ``fine`` differs from ``small`` [T, h, w, 2], pixels of theirs."""
    height, width = large.shape[1:3]
    per_pixel = np.array([width / small.shape[2], height / small.shape[1]], np.float32)
    return large + per_pixel * _resized(fine - small, (height, width), cv2.INTER_LINEAR)


def _brightness(picture: Array) -> Array:
    return np.asarray(picture @ LUMA, np.float32)[..., None]


def _mean(values: NDArray) -> Array:
    found = cv2.blur(values, WINDOW, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(found, np.float32).reshape(values.shape)


def _resized(frames: Array, size: tuple[int, ...], how: int) -> Array:
    """[T, ...] frames scaled to ``size`` (rows, columns)."""
    made = [cv2.resize(frame, (size[1], size[0]), interpolation=how) for frame in frames]
    return np.stack(made) if made else np.zeros((0, *size, *frames.shape[3:]), np.float32)
