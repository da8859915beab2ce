"""Carries images along optical flow: backward by looking up, forward by splatting; and says what stays visible on the way.

Flow [H, W, 2] px is that of each pixel's matter from a frame to the next.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

HIDDEN_SHARE = 0.05
"""Matter is hidden if what is seen at its place is nearer than it by more than this share of its depth."""


def targets(flow: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x and y [H, W], in whole pixels from the first one's centre, of where every pixel's matter is in the next frame."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return x + flow[..., 0].astype(np.float32), y + flow[..., 1].astype(np.float32)


def inside(flow: NDArray) -> NDArray[np.bool_]:
    """[H, W]: what is still within the image in the next frame."""
    x, y = targets(flow)
    return (x >= 0) & (y >= 0) & (x <= flow.shape[1] - 1) & (y <= flow.shape[0] - 1)


def backward(image: NDArray, flow: NDArray, nearest: bool = False) -> NDArray[np.float32]:
    """An image of the next frame [H, W] or [H, W, C] seen at this frame's pixels: ``image(p + flow(p))``, bilinear, 0 outside."""
    x, y = targets(flow)
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    carried = cv2.remap(image.astype(np.float32), x, y, how, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(carried, np.float32)


def forward_depth(depth: NDArray, flow: NDArray, after: NDArray | None = None) -> NDArray[np.float32]:
    """[H, W] m: a frame's depth carried to the next frame, each pixel to the nearest one, the nearest matter winning; 0 where none
    lands. ``after``: the depth [H, W] m that the matter will have there, if it is not ``depth``."""
    height, width = depth.shape
    x, y = (np.rint(t).astype(np.int64) for t in targets(flow))
    carried = depth if after is None else after
    lands = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (depth > 0) & (carried > 0)
    out = np.full(height * width, np.inf, np.float32)
    np.minimum.at(out, (y * width + x)[lands], carried[lands].astype(np.float32))
    return np.where(np.isfinite(out), out, 0).reshape(height, width)


def visible(
    flow: NDArray,
    depth: NDArray | None = None,
    depth_next: NDArray | None = None,
    rise: NDArray | None = None,
) -> NDArray[np.bool_]:
    """[H, W]: what a pixel sees that is still seen in the next frame.

    With both frames' depth [H, W] m, matter is hidden where the next frame shows something nearer at its place. ``rise`` [H, W] m is how
    much its own depth grows on the way, 0 if not given. Without depth only what leaves the image is hidden.
    """
    seen = inside(flow)
    if depth is None or depth_next is None:
        return seen
    expected = depth if rise is None else depth + rise
    found = backward(depth_next, flow, nearest=True)
    return seen & ((found == 0) | (found >= expected * (1 - HIDDEN_SHARE)))
