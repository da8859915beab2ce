"""Keyed values of the artist's actions, evaluated at a moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua_protocol.take import Action, Round, Scalar, ScalarTrack, Vector, VectorTrack


def sample_scalar(value: Scalar, frame: float) -> float:
    """The value at a frame of the take: linear between keys, constant outside them."""
    if isinstance(value, ScalarTrack):
        return float(np.interp(frame, value.frames, value.values))
    return float(value)


def sample_vector(value: Vector, frame: float) -> NDArray[np.float64]:
    """[3] at a frame of the take: linear between keys, constant outside them."""
    if isinstance(value, VectorTrack):
        keys = np.asarray(value.values, dtype=np.float64)
        return np.array([np.interp(frame, value.frames, keys[:, axis]) for axis in range(3)])
    return np.asarray(value, dtype=np.float64)


def direction_at(value: Vector, frame: float) -> NDArray[np.float64]:
    """[3] unit vector at a frame; zero stays zero."""
    vector = sample_vector(value, frame)
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def is_active(action: Action, frame: float, round_: Round, round_start: float) -> bool:
    """Whether an action of ``round_`` (which starts at frame ``round_start``) acts at ``frame``."""
    start = round_start if action.start is None else action.start
    end = round_start + round_.frames if action.end is None else action.end
    return start <= frame < end
