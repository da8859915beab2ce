"""The gain and bias that one video has of its own, drifting slowly: estimated where only backdrop is seen, and taken out.

The gain g and bias b of each channel that turn what a video shows of the backdrop into the backdrop, known = (1 + g) seen + b, are
linear between knots in time. They are found by reweighted least squares over all bare pixels of all frames at once, pulled
towards none and towards steadiness, so a frame in which objects hide the backdrop takes its colours from those around it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.optimize.warps import hats, steadiness

FRAMES_APART = 6.0
"""Between knots in time."""
PIXELS = 4096
"""That are compared in a frame, at most about."""
FITS = 3
"""Reweighted least squares."""
OUTLIER = 0.05
"""Colour difference that is not a global change any more but something else in the picture: it counts a half, larger ones less."""
SPOTS = 400.0
"""A frame that is all backdrop says as much as so many pixels of standard deviation ``OUTLIER``: what is wrong in one place is wrong
beside it."""
USUAL = np.array([0.1, 0.05])
"""Standard deviations of a video's gain and bias."""
STEADY = np.array([0.03, 0.015])
"""The same, of their change from knot to knot."""


def neutral(video: Tensor, backdrop: Tensor, bare: NDArray[np.bool_]) -> Tensor:
    """``video`` [T, H, W, 3] in the colours of ``backdrop`` [H, W, 3], by what is seen where it is ``bare`` [T, H, W]."""
    gain, bias = (torch.from_numpy(c).float().to(video.device) for c in own_colours(video, backdrop, bare))
    return video * (1 + gain[:, None, None]) + bias[:, None, None]


def own_colours(
    video: Tensor, backdrop: Tensor, bare: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gain and bias [T, 3] that turn a video's colours into its backdrop's; see ``neutral`` for the arguments."""
    frames, height, width, _ = video.shape
    every = max(1, int(np.sqrt(height * width / PIXELS)))
    here = (slice(None), slice(every // 2, None, every), slice(every // 2, None, every))
    seen = video[here].cpu().numpy().reshape(frames, -1, 3).astype(np.float64)
    known = backdrop[here[1:]].cpu().numpy().reshape(1, -1, 3).astype(np.float64)
    counts = bare[here].reshape(frames, -1) * (SPOTS / OUTLIER**2 / known.shape[1])
    time = hats(frames, max(2, round((frames - 1) / FRAMES_APART) + 1))
    knots = time.shape[1]
    prior = np.kron(steadiness(knots), np.diag(1 / STEADY**2)) + np.kron(np.eye(knots), np.diag(1 / USUAL**2))
    found = np.zeros((3, frames, 2))
    for channel in range(3):
        x, change = seen[..., channel], (known - seen)[..., channel]
        for _ in range(FITS):
            gain, bias = found[channel].T[..., None]
            weight = counts / (1 + ((change - gain * x - bias) / OUTLIER) ** 2)
            matrix = prior.copy()
            vector = np.zeros(2 * knots)
            for near, w, xs, ys in zip(time, weight, x, change, strict=True):
                moments = np.array([[(w * xs * xs).sum(), (w * xs).sum()], [(w * xs).sum(), w.sum()]])
                matrix += np.kron(np.outer(near, near), moments)
                vector += np.kron(near, [(w * xs * ys).sum(), (w * ys).sum()])
            found[channel] = time @ np.linalg.solve(matrix, vector).reshape(knots, 2)
    return found[..., 0].T, found[..., 1].T
