"""What the benchmark measures, one small function a figure. Lengths in metres, pictures in [0, 1]."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def particle_error(positions: NDArray, truth: NDArray) -> NDArray[np.float64]:
    """[T]: mean distance of particles [T, P, 3] m from where they truly are, in every frame."""
    apart: NDArray[np.float64] = np.linalg.norm(positions.astype(np.float64) - truth, axis=-1).mean(-1)
    return apart


def vector_error(vectors: NDArray, truth: NDArray) -> float:
    """Mean length of the difference of two sets of vectors [P, 3], such as velocities."""
    return float(np.linalg.norm(vectors.astype(np.float64) - truth, axis=-1).mean())


def object_size(positions: NDArray) -> float:
    """Longest side of the box around particles [P, 3], m."""
    return float((positions.max(0) - positions.min(0)).max())


def psnr(video: NDArray, truth: NDArray) -> float:
    """Peak signal-to-noise ratio of a video [T, H, W, 3] over all its pixels, dB; infinite where the two are equal."""
    wrong = float(((video.astype(np.float64) - truth) ** 2).mean())
    return -10 * math.log10(wrong) if wrong > 0 else math.inf


def flicker(video: NDArray, truth: NDArray) -> float:
    """How much more a video [T, H, W, 3] trembles than it should: mean absolute second difference in time of its error, in
    levels of 255. An error that stays or grows evenly does not flicker."""
    error = video.astype(np.float64) - truth
    return float(255 * np.abs(np.diff(error, 2, axis=0)).mean()) if len(error) > 2 else 0.0
