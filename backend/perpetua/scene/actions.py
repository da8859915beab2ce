"""Keyed values of the artist's actions, evaluated at a moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua_protocol.actions import Action, Poke
from perpetua_protocol.take import Round
from perpetua_protocol.tracks import Rotation, RotationTrack, Scalar, ScalarTrack, Vector, VectorTrack

POKE_FRAMES = 1.0
"""How long a poke without an end takes, frames."""


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


def sample_rotation(value: Rotation, frame: float) -> NDArray[np.float64]:
    """[4] unit quaternion wxyz at a frame of the take: spherical linear interpolation (Shoemake 1985) between keys along the
    shorter arc, constant outside them."""
    if not isinstance(value, RotationTrack):
        return _unit(np.asarray(value, dtype=np.float64))
    keys = np.asarray(value.values, dtype=np.float64)
    place = float(np.interp(frame, value.frames, np.arange(len(keys))))
    index = min(int(place), len(keys) - 1)
    a, b = _unit(keys[index]), _unit(keys[min(index + 1, len(keys) - 1)])
    cosine = float(a @ b)
    if cosine < 0.0:
        b, cosine = -b, -cosine
    angle = float(np.arccos(min(cosine, 1.0)))
    share = place - index
    if angle < 1e-6:
        return _unit(a + share * (b - a))
    return _unit((np.sin((1.0 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle))


def direction_at(value: Vector, frame: float) -> NDArray[np.float64]:
    """[3] unit vector at a frame; zero stays zero."""
    vector = sample_vector(value, frame)
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def window_of(action: Action, round_: Round, round_start: float) -> tuple[float, float]:
    """Frames from which and up to which an action of ``round_`` (which starts at frame ``round_start``) acts.

    A poke's window is cut off at its round's end, so that all of its impulse is given in it.
    """
    last = round_start + round_.frames
    start = round_start if action.start is None else action.start
    if isinstance(action, Poke):
        end = start + POKE_FRAMES if action.end is None else action.end
        return start, min(end, last)
    return start, last if action.end is None else action.end


def is_active(action: Action, frame: float, round_: Round, round_start: float) -> bool:
    """Whether an action of ``round_`` (which starts at frame ``round_start``) acts at ``frame``."""
    start, end = window_of(action, round_, round_start)
    return start <= frame < end


def acts_in(action: Action, frame: float, step: float, round_: Round, round_start: float) -> bool:
    """Whether an action of ``round_`` acts in the stretch of ``step`` frames around ``frame``: in its middle, or a poke at any time
    of it."""
    if isinstance(action, Poke):
        start, end = window_of(action, round_, round_start)
        return start < frame + step / 2 and end > frame - step / 2
    return is_active(action, frame, round_, round_start)


def _unit(quaternion: NDArray) -> NDArray[np.float64]:
    return quaternion / np.linalg.norm(quaternion)
