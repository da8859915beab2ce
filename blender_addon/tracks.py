"""Sampled values to the keys of a take: constant values become plain numbers, straight stretches lose their middle.

No Blender in here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua_protocol.take import Scalar, ScalarTrack, Vector, VectorTrack

TOLERANCE = 1e-5
"""A key may be left out if linear interpolation comes this close to it, relative to the largest value."""


def scalar_track(frames: list[float], values: list[float]) -> Scalar:
    """A number if ``values`` [F] do not change, else the keys that are needed. ``frames`` grow."""
    array = np.asarray(values, np.float64)[:, None]
    keep = _needed(np.asarray(frames, np.float64), array)
    if len(keep) == 1:
        return float(array[0, 0])
    return ScalarTrack(tuple(float(frames[k]) for k in keep), tuple(float(array[k, 0]) for k in keep))


def vector_track(frames: list[float], values: list[tuple[float, float, float]]) -> Vector:
    """A vector if ``values`` [F, 3] do not change, else the keys that are needed. ``frames`` grow."""
    array = np.asarray(values, np.float64)
    keep = _needed(np.asarray(frames, np.float64), array)
    triples = [(float(x), float(y), float(z)) for x, y, z in array[keep]]
    if len(keep) == 1:
        return triples[0]
    return VectorTrack(tuple(float(frames[k]) for k in keep), tuple(triples))


def _needed(frames: NDArray[np.float64], values: NDArray[np.float64]) -> list[int]:
    """Indices of the keys that linear interpolation cannot do without (Douglas and Peucker 1973)."""
    tolerance = TOLERANCE * max(1e-9, float(np.abs(values).max()))
    if float(np.abs(values - values[0]).max()) <= tolerance:
        return [0]
    needed = {0, len(frames) - 1}
    stretches = [(0, len(frames) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        part = (frames[first : last + 1] - frames[first]) / (frames[last] - frames[first])
        straight = values[first] + part[:, None] * (values[last] - values[first])
        error = np.abs(values[first : last + 1] - straight).max(axis=1)
        worst = int(error.argmax())
        if error[worst] > tolerance:
            needed.add(first + worst)
            stretches += [(first, first + worst), (first + worst, last)]
    return sorted(needed)
