"""Colours that depend on the direction they are seen from: the coefficients of higher spherical harmonics. No Blender in here.

A splat seen along d, from the eye, is brighter by  sum_k Y_k(R^T d) c_k,  with the real basis of Kerbl et al. (2023) from degree 1 on; R is
how its matter has turned since the coefficients were right (``turns``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

DEGREES = {3: 1, 8: 2, 15: 3}
"""Degree by the number of coefficients above degree 0."""
ROW = 15
"""Column of packed splats: 1 + the row of ``Sheen`` that a splat has, 0 for none."""


@dataclass(frozen=True)
class Sheen:
    """coefficients: [M, K, 3] of matter at rest, K as in ``DEGREES``.  turns: [M, 4] wxyz, how it lies in the world."""

    coefficients: Floats
    turns: Floats


@dataclass(frozen=True)
class Splats:
    """What is drawn. packed: [N, 16] of ``splat_data.pack``, with the rows of ``sheen`` if there is any."""

    packed: Floats
    sheen: Sheen | None = None

    def __len__(self) -> int:
        return len(self.packed)


def with_sheen(
    packed: Floats, coefficients: Floats, turns: Floats | None, matrix: NDArray[np.float64]
) -> Splats:
    """Packed splats [N, 16] with their coefficients [N, K, 3]. turns: [N, 4] wxyz in their object, None where they have not turned;
    matrix: [4, 4], where the object is."""
    packed[:, ROW] = np.arange(1, len(packed) + 1)
    own = quaternion_of(matrix[:3, :3])
    world = np.tile(own, (len(packed), 1)) if turns is None else product(own, turns)
    return Splats(packed, Sheen(coefficients, world))


def joined(parts: Sequence[Splats]) -> Splats:
    """All of them, with the coefficients of the highest degree among them."""
    own = [part.sheen for part in parts if part.sheen is not None]
    if not own:
        return Splats(packed_of(parts))
    most = max(sheen.coefficients.shape[1] for sheen in own)
    coefficients = np.zeros((sum(len(sheen.turns) for sheen in own), most, 3), np.float32)
    start = 0
    for sheen in own:
        count, few = sheen.coefficients.shape[:2]
        coefficients[start : start + count, :few] = sheen.coefficients
        start += count
    return Splats(packed_of(parts), Sheen(coefficients, turns_of(parts)))


def packed_of(parts: Sequence[Splats]) -> Floats:
    """``packed`` of all of them, with the rows that they have among all."""
    packed = np.concatenate([part.packed for part in parts] or [np.zeros((0, 16), np.float32)])
    start, first = 0, 0
    for part in parts:
        rows = packed[start : start + len(part), ROW]
        rows[rows > 0] += first
        start, first = start + len(part), first + (0 if part.sheen is None else len(part.sheen.turns))
    return packed


def turns_of(parts: Sequence[Splats]) -> Floats:
    """``turns`` of all of them that have sheen."""
    none = np.zeros((0, 4), np.float32)
    return np.concatenate([none, *(part.sheen.turns for part in parts if part.sheen is not None)])


def quaternion_of(linear: NDArray[np.float64]) -> Floats:
    """[4] wxyz, the rotation in a linear map [3, 3] that may also scale (Bar-Itzhack 2000, of its orthogonal part)."""
    left, _, right = np.linalg.svd(linear)
    R = left @ right
    R = R * np.sign(np.linalg.det(R))  # a mirrored object: as if turned over
    xx, yy, zz = np.diag(R)
    K = np.array(
        [
            [xx + yy + zz, R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]],
            [R[2, 1] - R[1, 2], xx - yy - zz, R[0, 1] + R[1, 0], R[0, 2] + R[2, 0]],
            [R[0, 2] - R[2, 0], R[0, 1] + R[1, 0], yy - xx - zz, R[1, 2] + R[2, 1]],
            [R[1, 0] - R[0, 1], R[0, 2] + R[2, 0], R[1, 2] + R[2, 1], zz - xx - yy],
        ]
    )
    return np.asarray(np.linalg.eigh(K)[1][:, 3], np.float32)


def product(first: Floats, second: Floats) -> Floats:
    """[4] times [N, 4], wxyz: first ``second``, then ``first``."""
    a, b = first[0], first[1:]
    w, v = second[:, :1], second[:, 1:]
    return np.concatenate([a * w - v @ b[:, None], a * v + w * b + np.cross(b[None], v)], 1).astype(
        np.float32
    )


def bases(d: Floats, degree: int) -> Floats:
    """[..., K]: the real spherical harmonics of degrees 1 to ``degree`` (3 at most) along unit directions [..., 3]."""
    x, y, z = np.moveaxis(d, -1, 0)
    values = [-0.48860251190292 * y, 0.48860251190292 * z, -0.48860251190292 * x]
    if degree > 1:
        a = 1.0925484305920792
        values += [a * x * y, -a * y * z, 0.9461746957575601 * z * z - 0.3153915652525201, -a * x * z]
        values += [0.5 * a * (x * x - y * y)]
    if degree > 2:
        a, b, c = 0.5900435899266435, 1.445305721320277, 0.4570457994644658 - 2.285228997322329 * z * z
        values += [-a * y * (3 * x * x - y * y), 2 * b * x * y * z, c * y]
        values += [z * (1.865881662950577 * z * z - 1.119528997770346)]
        values += [c * x, b * z * (x * x - y * y), -a * x * (x * x - 3 * y * y)]
    return np.stack(values, -1)


def turned(coefficients: Floats, turns: Floats) -> Floats:
    """Coefficients [N, K, 3] of what has turned by ``turns`` [N, 4] wxyz, for programs that know no turns.

    Each degree turns in itself: its new coefficients follow from what it says along as many directions as it has of them.
    """
    w, v = turns[:, None, :1], -turns[:, None, 1:]  # the inverse
    made, degree = np.empty_like(coefficients), DEGREES[coefficients.shape[1]]
    for band in range(1, degree + 1):
        own = slice(band**2 - 1, (band + 1) ** 2 - 1)
        place = np.arange(2 * band + 1) + 0.5
        height, angle = 1 - place / len(place), np.pi * (3 - np.sqrt(5)) * place  # spread over half a sphere
        flat = np.sqrt(1 - height**2)
        along = np.stack([flat * np.cos(angle), flat * np.sin(angle), height], -1)[None]
        before = along + 2 * np.cross(v, np.cross(v, along) + w * along)
        seen = bases(before, band)[..., own] @ coefficients[:, own]
        made[:, own] = np.linalg.inv(bases(along[0], band)[:, own]) @ seen
    return made
