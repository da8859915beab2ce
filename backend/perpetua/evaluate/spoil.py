"""Videos made as inconsistent as a video model's: each view has its own colours, its own slow warp and noise, and one view is bad.

A video model that refines views one by one does not know what it painted in the others. What is measured is how the loop
copes with that, so the amounts are on the high side: two pixels of 160 are sixteen of 1280.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = (3, 4)
"""Rows and columns of the random offsets that a warp interpolates between."""
BAD_WARP = 3.0
"""How much further a bad view is warped than the others."""
BAD_DELAY = 5
"""Frames that a bad view lags behind."""
BAD_BLUR = 1.5
"""Standard deviation of its blur, pixels."""


@dataclass(frozen=True)
class Spoiling:
    """gain and bias: largest change of a channel, one a view; warp: largest offset, pixels; noise: standard deviation of colour;
    bad: name of the view that lags behind, is blurred and warped ``BAD_WARP`` times as far."""

    gain: float = 0.06
    bias: float = 0.03
    warp: float = 2.0
    noise: float = 0.02
    bad: str = "high"
    seed: int = 0

    def __call__(self, video: NDArray[np.float32], view: str, round_index: int) -> NDArray[np.float32]:
        """``video`` [T, H, W, 3] as a careless refiner would show it: the same for the same view, round and seed."""
        digest = hashlib.sha256(f"{self.seed} {round_index} {view}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        gain = 1 + rng.uniform(-self.gain, self.gain, 3)
        bias = rng.uniform(-self.bias, self.bias, 3)
        count, height, width = video.shape[:3]
        bad = view == self.bad
        offsets = slow_warp(rng, count, height, width, self.warp * (BAD_WARP if bad else 1.0))
        out = np.empty_like(video)
        for frame in range(count):
            image = video[max(0, frame - BAD_DELAY) if bad else frame]
            if bad:
                image = cv2.GaussianBlur(image, (0, 0), BAD_BLUR)
            image = warped(image, offsets[frame]) * gain + bias
            out[frame] = (image + rng.normal(0, self.noise, image.shape)).clip(0, 1)
        return out


def slow_warp(
    rng: np.random.Generator, count: int, height: int, width: int, largest: float
) -> NDArray[np.float32]:
    """[count, height, width, 2] pixels: smooth in space, no longer than ``largest``, and drifting evenly from one field to another
    that is half different."""
    first, change = (rng.normal(size=(*GRID, 2)) for _ in range(2))
    coarse = np.stack([first, 0.5 * first + 0.75**0.5 * change])
    fields = np.stack([cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse])
    fields *= largest / max(float(np.linalg.norm(fields, axis=-1).max()), 1e-9)
    share = np.linspace(0, 1, count)[:, None, None, None]
    return ((1 - share) * fields[0] + share * fields[1]).astype(np.float32)


def warped(image: NDArray[np.float32], offsets: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W, 3]: each pixel takes the colour found ``offsets`` [H, W, 2] (x, y) pixels away."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(
        image, x + offsets[..., 0], y + offsets[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.float32)
