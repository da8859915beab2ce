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


def facing(points: Array, matter: Array, spacing: float, smoothings: int = 0) -> tuple[Array, Array]:
    """Unit normals [N, 3] at ``points`` [N, 3] m, which ``matter`` [M, 3] m holds, and how far each lies at the surface [N], 0 to 1.

    The support counts as more of what lies on it, mirrored, so that a puddle or the foot of a pile looks up and not to all sides.
    Each of the ``smoothings`` averages normals with those of the neighbours among the points.
    """
    if not len(points):
        return np.zeros((0, 3)), np.zeros(0)
    low = matter[matter[:, 2] < MIRRORED * spacing]
    around = np.concatenate([matter, low * [1.0, 1.0, -1.0]])
    count = min(NEIGHBOURS + 1, len(around))
    distance, index = cKDTree(around).query(points, k=count)
    distance, index = distance.reshape(len(points), count), index.reshape(len(points), count)
    weight = np.exp(-((distance / (REACH * spacing)) ** 2))
    away = points - (weight[..., None] * around[index]).sum(1) / weight.sum(1)[:, None]
    length = np.linalg.norm(away, axis=1)
    surface = np.clip(length / (ON_SURFACE * spacing), 0.0, 1.0)
    for _ in range(smoothings):
        away = _averaged(away, points, spacing)
        length = np.linalg.norm(away, axis=1)
    return away / np.maximum(length, 1e-12)[:, None], surface


def _averaged(vectors: Array, points: Array, spacing: float) -> Array:
    """[N, 3]: ``vectors`` [N, 3] at ``points`` [N, 3] m, averaged over the neighbours."""
    count = min(NEIGHBOURS + 1, len(points))
    distance, index = cKDTree(points).query(points, k=count)
    distance, index = distance.reshape(len(points), count), index.reshape(len(points), count)
    weight = np.exp(-((distance / (REACH * spacing)) ** 2))
    return np.asarray((weight[..., None] * vectors[index]).sum(1) / weight.sum(1)[:, None])


CLOSE = 32
"""Neighbours that give a splat its form."""
FORM_REACH = 2.0
"""Spacings to where they count."""
FORM_SIGMA = 0.62
"""Standard deviation of a splat in the midst of matter, in spacings."""
FLATTEST = 0.25
"""Shortest axis of a splat, in its longest."""
LONGEST = 1.15
"""Longest, in what it is in the midst of matter."""
CRISP = 1.5
"""Power by which a splat's axes differ more than its neighbours' spread, so that matter ends sharply at its surface."""
LONE = 10
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


def form(points: Array, spacing: float) -> Form:
    """The splats of a body's particles at ``points`` [N, 3] m, ``spacing`` m apart."""
    count = min(CLOSE + 1, len(points))
    distance, index = cKDTree(points).query(points, k=count)
    distance, index = distance.reshape(len(points), count), index.reshape(len(points), count)
    weight = np.clip(1.0 - (distance / (FORM_REACH * spacing)) ** 3, 0.0, None)
    total = weight.sum(1)
    away = points[index] - points[:, None]
    middle = (weight[..., None] * away).sum(1) / total[:, None]
    away -= middle[:, None]
    spread = np.einsum("nk,nki,nkj->nij", weight, away, away) / total[:, None, None]
    values, axes = np.linalg.eigh(spread)
    axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
    inside = 0.15 * (FORM_REACH * spacing) ** 2  # of a full neighbourhood: r^2 / 3 (1/5 - 1/8) / (1/3 - 1/6)
    scales = (values.clip(0.0) / inside) ** (0.5 * CRISP)
    largest = scales.max(1, keepdims=True).clip(1e-6)
    scales = np.clip(
        scales / np.maximum(largest / LONGEST, 1.0), FLATTEST * np.minimum(largest, LONGEST), None
    )
    lone = (weight > 0.0).sum(1) < LONE
    scales[lone] = DROP
    around = (weight[..., None] * middle[index]).sum(1) / total[:, None]
    even = SMOOTHED * (middle - around)  # against its neighbours, or the whole body would shrink
    even[lone] = 0.0
    return Form(points + even, axes, FORM_SIGMA * spacing * scales)
