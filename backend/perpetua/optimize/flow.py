"""How a refined video says that things move from frame to frame: its optical flow, where it can be trusted.

Flow is estimated by dense inverse search (Kroeger et al. 2016) both ways; where following it there and back does not return to
the same place, something was hidden or guessed, and it does not count.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

RETURNS = 0.5
"""pixels at a width of 160, within which the way there and back must end to count a half."""
ROBUST_AT = 0.5
"""pixels at that width; larger differences of flow count linearly."""


def flow_of(video: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """[T - 1, H, W, 2] pixels that what is seen moves right and down until the next frame, and how far that is believed, in [0, 1]
    [T - 1, H, W], of a video [T, H, W, 3]."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    levels = (video.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in levels]
    reach = RETURNS * video.shape[2] / 160
    y, x = np.mgrid[: video.shape[1], : video.shape[2]].astype(np.float32)
    flows, trusts = [], []
    at_first: Any = None  # nothing is known of the flow yet
    for now, after in pairwise(grey):
        there, back = (np.asarray(estimator.calc(*pair, at_first)) for pair in ((now, after), (after, now)))
        returned = cv2.remap(back, x + there[..., 0], y + there[..., 1], cv2.INTER_LINEAR)
        missed = np.linalg.norm(there + returned, axis=-1) / reach
        flows.append(there)
        trusts.append(1 / (1 + missed**2))
    return np.stack(flows), np.stack(trusts).astype(np.float32)


def flow_difference(rendered: Tensor, wanted: Tensor, weight: Tensor, area: float) -> Tensor:
    """Mean robust difference (Charbonnier), in pixels at a width of 160, of two flows [H, W, 2] over ``area`` pixels; weight: [H, W]."""
    unit = rendered.shape[1] / 160
    off = ((rendered - wanted) / unit).square().sum(-1)
    return (((off + ROBUST_AT**2).sqrt() - ROBUST_AT) * weight).sum() / area
