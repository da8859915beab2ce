"""Sampled values to the keys of a take: constant values become plain numbers, straight stretches lose their middle.

No Blender in here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from perpetua_protocol.take import (
    Quaternion,
    Rotation,
    RotationTrack,
    Scalar,
    ScalarTrack,
    Vec3,
    Vector,
    VectorTrack,
)

Floats = NDArray[np.float64]

TOLERANCE = 1e-5
"""A key may be left out if linear interpolation comes this close to it, relative to the largest value."""


def scalar_track(frames: list[float], values: list[float]) -> Scalar:
    """A number if ``values`` [F] do not change, else the keys that are needed. ``frames`` grow."""
    array = np.asarray(values, np.float64)[:, None]
    keep = _needed(np.asarray(frames, np.float64), array)
    if len(keep) == 1:
        return float(array[0, 0])
    return ScalarTrack(tuple(float(frames[k]) for k in keep), tuple(float(array[k, 0]) for k in keep))


def vector_track(frames: list[float], values: list[Vec3]) -> Vector:
    """A vector if ``values`` [F, 3] do not change, else the keys that are needed. ``frames`` grow."""
    array = np.asarray(values, np.float64)
    keep = _needed(np.asarray(frames, np.float64), array)
    triples = [(float(x), float(y), float(z)) for x, y, z in array[keep]]
    if len(keep) == 1:
        return triples[0]
    return VectorTrack(tuple(float(frames[k]) for k in keep), tuple(triples))


def rotation_track(frames: list[float], values: list[Quaternion]) -> Rotation:
    """A quaternion (w x y z) if ``values`` [F, 4] do not change, else the keys that are needed. ``frames`` grow."""
    array = np.asarray(values, np.float64)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    for index in range(1, len(array)):  # q and -q turn alike; neighbours shall lie on the same side
        if array[index] @ array[index - 1] < 0:
            array[index] *= -1
    keep = _needed(np.asarray(frames, np.float64), array, _along_arc)
    quaternions = [(float(w), float(x), float(y), float(z)) for w, x, y, z in array[keep]]
    if len(keep) == 1:
        return quaternions[0]
    return RotationTrack(tuple(float(frames[k]) for k in keep), tuple(quaternions))


def _straight(first: Floats, last: Floats, part: Floats) -> Floats:
    """Linear interpolation. first, last: [D]. part: [F] in [0, 1]. Returns [F, D]."""
    return first + part[:, None] * (last - first)


def _along_arc(first: Floats, last: Floats, part: Floats) -> Floats:
    """Spherical interpolation of unit quaternions (Shoemake 1985), the shorter way."""
    if first @ last < 0:
        last = -last
    angle = float(np.arccos(np.clip(first @ last, -1.0, 1.0)))
    if angle < 1e-6:
        return _straight(first, last, part)
    weights = np.stack([np.sin((1 - part) * angle), np.sin(part * angle)], 1) / np.sin(angle)
    return weights @ np.stack([first, last])


def _needed(
    frames: Floats, values: Floats, between: Callable[[Floats, Floats, Floats], Floats] = _straight
) -> list[int]:
    """Indices of the keys that interpolation cannot do without (Douglas and Peucker 1973)."""
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
        error = np.abs(values[first : last + 1] - between(values[first], values[last], part)).max(axis=1)
        worst = 1 + int(error[1:-1].argmax())
        if error[worst] > tolerance:
            needed.add(first + worst)
            stretches += [(first, first + worst), (first + worst, last)]
    return sorted(needed)
