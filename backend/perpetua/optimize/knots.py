"""Smooth motion from few time knots: a cubic through them that starts at rest.

A correction that is free in every frame jitters and gives no velocity worth writing back; one that passes through a knot
every few frames has both a value and a derivative everywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Basis = tuple[NDArray, NDArray, NDArray, NDArray]

FRAMES_PER_KNOT = 4
"""A sixth of a second at 24 frames/s, half a sway of a hand-sized jelly: at 6 the velocity written back was a third worse."""
FRAMES_PER_KNOT_OF_SHEETS = 2
"""Where there is cloth, which swings over in that sixth: a blown one was 13 mm off in the mean over a round with 4, 9 with 3, 5.5 with 2. Clay,
whose few videos say less of more knots, was 5.4 mm off at its end with 2, 3.4 with 4."""


def knot_frames(frames: int, apart: int = FRAMES_PER_KNOT) -> NDArray[np.float32]:
    """[Q] evenly spaced frame numbers from 0 to ``frames`` (the round's last), Q = ceil(frames / apart) + 1."""
    return np.linspace(0, frames, math.ceil(frames / apart) + 1, dtype=np.float32)


def value_weights(knots: NDArray, frames: NDArray) -> NDArray[np.float64]:
    """[T, Q]: values at ``frames`` [T] are these weights times the values at ``knots`` [Q]."""
    segment, s, _ = _locate(knots, frames)
    return _combine(knots, segment, _value_basis(s))


def slope_weights(knots: NDArray, frames: NDArray) -> NDArray[np.float64]:
    """[T, Q]: derivatives per frame at ``frames`` [T] from the values at ``knots`` [Q]."""
    segment, s, width = _locate(knots, frames)
    return _combine(knots, segment, _slope_basis(s)) / width[:, None]


def _locate(knots: NDArray, frames: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Segment [T], place within it in [0, 1] [T] and its width [T] in frames."""
    knots = np.asarray(knots, np.float64)
    frames = np.asarray(frames, np.float64)
    segment = np.clip(np.searchsorted(knots, frames, side="right") - 1, 0, len(knots) - 2)
    width = np.diff(knots)[segment]
    return segment, (frames - knots[segment]) / width, width


def _combine(knots: NDArray, segment: NDArray, basis: Basis) -> NDArray:
    """[T, Q] from the Hermite basis of each segment's two ends."""
    values = np.eye(len(knots))
    tangents = _tangents(np.asarray(knots, np.float64))
    width = np.diff(np.asarray(knots, np.float64))[segment]
    left, left_slope, right, right_slope = (b[:, None] for b in basis)
    return (
        left * values[segment]
        + left_slope * width[:, None] * tangents[segment]
        + right * values[segment + 1]
        + right_slope * width[:, None] * tangents[segment + 1]
    )


def _tangents(knots: NDArray) -> NDArray:
    """[Q, Q]: the slopes at the knots from their values.

    Central differences inside (Catmull and Rom 1974). At the first knot the slope is zero, for a correction leaves the
    start of its round, position and velocity, as it is. At the last it is that of the parabola which the segment then
    is: constant acceleration needs no more.
    """
    count = len(knots)
    tangents = np.zeros((count, count))
    for q in range(1, count - 1):
        width = knots[q + 1] - knots[q - 1]
        tangents[q, q + 1], tangents[q, q - 1] = 1 / width, -1 / width
    width = knots[-1] - knots[-2]
    tangents[-1, -1], tangents[-1, -2] = 2 / width, -2 / width
    tangents[-1] -= tangents[-2]
    return tangents


def _value_basis(s: NDArray) -> Basis:
    """Cubic Hermite basis at s in [0, 1]: value and slope at the left end, value and slope at the right."""
    return 2 * s**3 - 3 * s**2 + 1, s**3 - 2 * s**2 + s, 3 * s**2 - 2 * s**3, s**3 - s**2


def _slope_basis(s: NDArray) -> Basis:
    """Derivatives of the cubic Hermite basis by s."""
    return 6 * s**2 - 6 * s, 3 * s**2 - 4 * s + 1, 6 * s - 6 * s**2, 3 * s**2 - 2 * s
