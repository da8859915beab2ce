"""Depth as pictures show it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nearness(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of depth [...], m, scaled over all of it: the farthest thing is 0 and the nearest 1."""
    inverse = 1 / np.maximum(depth, 1e-6)
    low, high = float(inverse.min()), float(inverse.max())
    return ((inverse - low) / max(high - low, 1e-12)).astype(np.float32)
