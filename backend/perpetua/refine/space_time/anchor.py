"""Takes the network's error in the first frame, which is known, off all frames: what stays as it was then comes out as it was.

What has not moved keeps its error in its place, and so does the background as long as the camera stands still; things carry theirs along the flow. What is left of the network's
changes is what has changed since the first frame: shadows that went along, shading that turned.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
STILL_PIXELS = 0.1
"""Flow above which a pixel moves; the median of the background's above which the camera does."""
SAME_COVER = 0.02
"""Change of coverage up to which a pixel shows the thing that it showed."""
OF_COLOUR = 0.1
"""Errors well above this are of outlines that lie elsewhere, not of colour, and are carried nowhere."""
NEAR = (9, 9)
"""pixels, over which the error spreads to what was not in sight."""
LEAST = 1e-3
EDGE = np.ones((7, 7), np.uint8)
"""pixels around things: what is wrong there in the first frame belongs to their outline, and must not stay when they go."""


def anchored(picture: Array, first: Array, alpha: Array, flow: Array) -> Array:
    """``picture`` [T, H, W, 3] without its error against ``first`` [H, W, 3], both in [0, 1]. alpha: [T, H, W], coverage by things.
    flow: [T - 1, H, W, 2] pixels. With a camera that moves, things alone are anchored."""
    error = picture[0] - first
    believed = 1 / (1 + (np.abs(error).max(-1) / OF_COLOUR) ** 2)
    stands = _stands_still(alpha, flow)
    behind = _spread(error, (1 - cv2.dilate(alpha[0], EDGE)) * believed) if stands else np.zeros_like(error)
    weight = alpha[0] * believed
    on_things = _spread(error, weight)
    stays = np.ones(first.shape[:2], bool)
    out = np.empty_like(picture)
    for t, frame in enumerate(picture):
        cover = alpha[t][..., None].clip(0, 1)
        out[t] = frame - np.where(stays[..., None], error, cover * on_things + (1 - cover) * behind)
        if t < len(flow):
            still = np.linalg.norm(flow[t], axis=-1) <= STILL_PIXELS
            stays &= still & (cv2.dilate(np.abs(alpha[t + 1] - alpha[0]), EDGE) <= SAME_COVER)
            on_things, weight = _moved(on_things, weight, flow[t], alpha[t + 1])
    return out.clip(0, 1)


def _stands_still(alpha: Array, flow: Array) -> bool:
    """Whether most of the background never moves; with none of it in sight, there is nothing that could."""
    lengths = np.linalg.norm(flow, axis=-1)
    free = alpha[: len(flow)] < 0.5
    return all(
        np.median(length[seen]) <= STILL_PIXELS
        for length, seen in zip(lengths, free, strict=True)
        if seen.any()
    )


def _spread(error: Array, weight: Array) -> Array:
    """``error`` [H, W, 3] where ``weight`` [H, W] says that it is known, and the mean of what is known nearby elsewhere."""
    known = weight[..., None].clip(0, 1)
    near, far = (
        cv2.blur(error * known, size) / np.maximum(cv2.blur(weight, size), LEAST)[..., None]
        for size in (NEAR, tuple(4 * side + 1 for side in NEAR))
    )
    there = cv2.blur(weight, NEAR)[..., None].clip(0, 1)
    around = np.where(there > LEAST, near, far)
    return np.asarray(known * error + (1 - known) * around, np.float32)


def _moved(error: Array, weight: Array, flow: Array, alpha_after: Array) -> tuple[Array, Array]:
    """The error and where it is known, a frame later: every pixel's goes to the pixel that its flow ends in."""
    height, width = weight.shape
    rows, columns = np.nonzero(weight > LEAST)
    x, y = np.rint(columns + flow[rows, columns, 0]), np.rint(rows + flow[rows, columns, 1])
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    at = y[inside].astype(int), x[inside].astype(int)
    rows, columns = rows[inside], columns[inside]
    moved, total = np.zeros_like(error), np.zeros_like(weight)
    np.add.at(moved, at, error[rows, columns] * weight[rows, columns, None])
    np.add.at(total, at, weight[rows, columns])
    known = np.minimum(total, alpha_after)
    mean = np.asarray(moved / np.maximum(total, LEAST)[..., None], np.float32)
    return _spread(mean, known), known
