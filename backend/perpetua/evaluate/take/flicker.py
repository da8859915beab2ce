"""What trembles in a video that should not."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.evaluate.video.warping import backward, inside


def flicker(rgb: NDArray[np.uint8], covered: NDArray[np.bool_]) -> float | None:
    """Levels of 255: mean absolute difference of consecutive frames [T, H, W, 3] where nothing moves in either (``covered`` [T, H, W] by
    what moves), for a still camera; None if something moves everywhere. As VBench's temporal flickering, but of still pixels only."""
    off = [
        np.abs(b.astype(np.float64) - a)[~(here | there)]
        for a, b, here, there in zip(rgb, rgb[1:], covered, covered[1:])
    ]
    flat = np.concatenate(off) if off else np.empty(0)
    return float(flat.mean()) if flat.size else None


def flow_return_error(rgb: NDArray[np.uint8]) -> float | None:
    """px: how far from its place a pixel ends that follows the flow to the next frame and back, mean; None for one frame. It is
    WorldScore's photometric consistency, with the flow found by DIS (Kroeger et al. 2016) where that benchmark uses a learned model."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in rgb]
    off = []
    for a, b in pairwise(grey):
        there, back = (
            np.asarray(finder.calc(*pair, np.zeros((*a.shape, 2), np.float32))) for pair in ((a, b), (b, a))
        )
        error = np.linalg.norm(there + backward(back, there), axis=-1)
        off.append(error[inside(there)].mean())
    return float(np.mean(off)) if off else None
