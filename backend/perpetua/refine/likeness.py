"""Whether two videos show the same scene, whatever happened to their colours and details.

Frames are made small and grey, and what is left between a fine and a coarse blur (edges and shapes, not light) is compared by
normalised cross-correlation, so neither exposure, contrast nor a gradient of light matters, and a shift of a pixel hardly. A video is
as like the coarse one as its first frame, where the motion has not begun, or as half of its frames, whichever says more.

A video that begins right and then cuts to something else is told by the cut: two frames unlike each other where the coarse ones
are alike, and steady pictures of something else from there on.

Measured (``tests/refine/test_likeness.py``): refinements with other colours, warps of two pixels, noise, blur and another
texture on the object stay above 0.5, pictures of other scenes below 0.25.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH = 96
"""Pixels that frames are compared at."""
FINE, COARSE = 1.0, 6.0
"""Standard deviations of the two blurs, in those pixels."""
FRAMES = 9
"""Frames that are compared, evenly over the video."""
SMALLEST = 24
"""Below so many pixels, either way, there is nothing to compare."""
FLAT = 2e-3
"""Below this contrast there is nothing to compare either."""
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)

SAME_SCENE = 0.3
"""Videos at least so alike show the same scene."""
STEADY = 0.6
"""Frames of one shot that follow each other are at least so alike."""


def likeness(video: NDArray[np.float32], coarse: NDArray[np.float32]) -> float:
    """-1 to 1 for two videos [T, H, W, 3] of one shape; 1 where the coarse one is too small or flat to say."""
    if min(coarse.shape[1:3]) < SMALLEST:
        return 1.0
    numbers = np.unique(np.linspace(0, len(coarse) - 1, FRAMES).round().astype(int))
    values = [_correlation(_shapes(video[n]), _shapes(coarse[n])) for n in numbers]
    return max(values[0], float(np.median(values)))


def cut(video: NDArray[np.float32], coarse: NDArray[np.float32]) -> int | None:
    """The frame from which a video [T, H, W, 3] shows another scene than the coarse one, which has no cut there; None if there is none."""
    if min(coarse.shape[1:3]) < SMALLEST:
        return None
    ours, theirs = ([_shapes(frame) for frame in frames] for frames in (video, coarse))
    for frame in range(1, len(ours) - 1):  # the last alone may be noise as well
        if _correlation(ours[frame], ours[frame - 1]) >= SAME_SCENE:
            continue
        held = [_correlation(a, b) for a, b in itertools.pairwise(ours[frame:])]
        same = [_correlation(a, b) for a, b in zip(ours[frame:], theirs[frame:], strict=True)]
        steady = _correlation(theirs[frame], theirs[frame - 1]) > STEADY and np.median(held) > STEADY
        if steady and max(same) < SAME_SCENE:
            return frame
    return None


def _shapes(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    grey = np.ascontiguousarray(frame @ LUMA)
    size = WIDTH, max(1, round(WIDTH * grey.shape[0] / grey.shape[1]))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), FINE) - cv2.GaussianBlur(small, (0, 0), COARSE)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    if b.std() < FLAT:
        return 1.0
    if a.std() < FLAT:
        return 0.0
    return float((a * b).mean() / (a.std() * b.std()))
