"""A round longer than a model can make: windows that overlap, each beginning with a picture the one before it made.

Every window is guided by its own stretch of the coarse video, so none drifts; the overlap is cross-faded so that no cut shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """Frames ``start`` to ``stop`` (not included) of a round."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def windows_of(frames: int, most: int, overlap: int, stride: int) -> list[Window]:
    """Windows of at most ``most`` frames that cover ``frames`` and share at least ``overlap`` with the one before.

    Starts are multiples of ``stride`` (the frames in one latent), so that windows see the same latents where they overlap.
    """
    if frames <= most:
        return [Window(0, frames)]
    step = max(stride, (most - overlap) // stride * stride)
    starts = list(range(0, frames - most, step))
    last = -(-(frames - most) // stride) * stride
    return [Window(s, min(s + most, frames)) for s in [*starts, last]]


def lay_over(whole: NDArray[np.float32], covered: int, part: NDArray[np.float32], window: Window) -> int:
    """Write a window's frames [len, ...] into ``whole``, fading in over what is covered already; returns frames covered now."""
    shared = max(0, covered - window.start)
    fade = (np.arange(shared, dtype=np.float32) + 1) / (shared + 1)
    fade = fade.reshape(-1, *[1] * (part.ndim - 1))
    met = slice(window.start, window.start + shared)
    whole[met] = (1 - fade) * whole[met] + fade * part[:shared]
    whole[window.start + shared : window.stop] = part[shared:]
    return max(covered, window.stop)
