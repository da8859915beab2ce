"""The surface of moving matter, from nothing but where its particles are: which way it faces, and splats that close it.

The normal is the slope of the matter's density, away from it (Mueller, Charypar and Gross 2003, 3.3): a particle in the midst of others
has none, one at the surface has neighbours on one side only. A splat is as long along each axis as its particle's neighbours are
spread along it (Yu and Turk 2013): flat on a surface, long in a thread, round inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

NEIGHBOURS = 24
REACH = 1.6
"""Spacings at which a neighbour counts 1 / e."""
ON_SURFACE = 0.35
"""Spacings that the neighbours' middle is off from a particle from which on it lies at the surface."""
MIRRORED = 3.0
"""Spacings above the support up to which matter is mirrored in it."""


def facing(points: Array, matter: Array, spacing: float) -> tuple[Array, Array]:
    """Normals [N, 3] at ``points`` [N, 3] m, which ``matter`` [M, 3] m holds, and how far each lies at the surface [N], 0 to 1.

    The support counts as more of what lies on it, mirrored, so that a puddle or the foot of a pile looks up and not to all sides. A
    normal is as long as the neighbours' middle is away, m, so that those averaged count by how sure they are; ``unit`` makes it one.
    """
    if not len(points):
        return np.zeros((0, 3)), np.zeros(0)
    low = matter[matter[:, 2] < MIRRORED * spacing]
    around = np.concatenate([matter, low * [1.0, 1.0, -1.0]])
    near = Neighbours.of(points, around, NEIGHBOURS)
    weight = np.exp(-((near.distance / (REACH * spacing)) ** 2))
    away = points - (weight[..., None] * around[near.index]).sum(1) / weight.sum(1)[:, None]
    return away, np.clip(np.linalg.norm(away, axis=1) / (ON_SURFACE * spacing), 0.0, 1.0)


def unit(vectors: Array) -> Array:
    """[N, 3] of length one; zero for none."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


@dataclass(frozen=True)
class Neighbours:
    """The nearest of a set of points to each of N, itself among them: distance [N, k] m and index [N, k]."""

    distance: Array
    index: NDArray[np.int64]

    @staticmethod
    def of(points: Array, among: Array, count: int) -> Neighbours:
        """The ``count`` nearest of ``among`` [M, 3] m to each of ``points`` [N, 3] m, which are among them."""
        count = min(count + 1, len(among))
        distance, index = cKDTree(among).query(points, k=count)
        return Neighbours(distance.reshape(len(points), count), index.reshape(len(points), count))

    def smoothed(self, vectors: Array, spacing: float, times: int) -> Array:
        """[N, 3]: ``vectors`` [N, 3] of the points averaged over the neighbours, as often as that."""
        weight = np.exp(-((self.distance / (REACH * spacing)) ** 2))
        weight /= weight.sum(1, keepdims=True)
        for _ in range(times):
            vectors = np.einsum("nk,nki->ni", weight, vectors[self.index])
        return vectors


CLOSE = 32
"""Neighbours that give a splat its form."""
FORM_REACH = 2.0
"""Spacings to where they count."""
FARTHEST = 2.0
"""Where not all neighbours lie within it, as in a film, they count from farther away, up to so many times its length: what is finer
than so many particles is noise, and would draw a puddle as strings and holes."""
FORM_SIGMA = 0.62
"""Standard deviation of a splat in the midst of matter, in spacings."""
FLATTEST = 0.3
"""Shortest axis of a splat, in its longest."""
LONGEST = 1.5
"""Longest, in what it is in the midst of matter; in a film, by as much more as its particles lie farther apart."""
OVERLAPPED = 1.1
"""How much wider a splat is the flatter the matter around it lies, for particles gather in rows as they flow: half of that on a solid's
surface, whose splats then are one and a half times as wide along it."""
LONE = 4
"""Neighbours below which a particle is a drop of its own, round and somewhat smaller."""
DROP = 0.85
SMOOTHED = 0.8
"""Share of a particle's unevenness against the surface around it that is taken away."""


@dataclass(frozen=True)
class Form:
    """Splats. means: [N, 3] m.  axes: [N, 3, 3], unit vectors as columns, right-handed.  scales: [N, 3] m."""

    means: Array
    axes: Array
    scales: Array


def form(points: Array, near: Neighbours, spacing: float) -> Form:
    """The splats of a body's particles at ``points`` [N, 3] m, ``spacing`` m apart, with their ``CLOSE`` neighbours."""
    wider = np.clip(near.distance[:, -1:] / (FORM_REACH * spacing), 1.0, FARTHEST)
    weight = np.clip(1.0 - (near.distance / (wider * FORM_REACH * spacing)) ** 3, 0.0, None)
    total = weight.sum(1)
    away = points[near.index] - points[:, None]
    middle = np.einsum("nk,nki->ni", weight, away) / total[:, None]
    away -= middle[:, None]
    spread = (weight[..., None] * away).transpose(0, 2, 1) @ away / total[:, None, None]
    values, axes = np.linalg.eigh(spread)
    axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
    inside = 0.15 * (FORM_REACH * spacing) ** 2  # of a full neighbourhood: r^2 / 3 (1/5 - 1/8) / (1/3 - 1/6)
    scales = (values.clip(0.0) / inside) ** 0.5
    largest, longest = scales.max(1, keepdims=True).clip(1e-6), LONGEST * wider
    flat = 1.0 - scales[:, :1] / scales[:, 1:2].clip(1e-6)
    scales[:, 1:] = np.minimum(scales[:, 1:] * (1.0 + OVERLAPPED * flat), longest)
    scales = np.clip(
        scales / np.maximum(largest / longest, 1.0), FLATTEST * np.minimum(largest, LONGEST), None
    )
    lone = (near.distance < FORM_REACH * spacing).sum(1) < LONE
    scales[lone] = DROP
    around = np.einsum("nk,nki->ni", weight, middle[near.index]) / total[:, None]
    uneven = SMOOTHED * (middle - around)  # against its neighbours, or the whole body would shrink
    across = axes[:, :, 0]  # only across the surface: along it, particles would be drawn together in rows
    even = (uneven * across).sum(1, keepdims=True) * across
    even[lone] = 0.0
    return Form(points + even, axes, FORM_SIGMA * spacing * scales)
