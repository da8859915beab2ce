"""The picture's own splats on matter that flows: carried by all the particles around them, so that the picture stretches as one sheet.

A splat that moves with one particle alone turns and shears as that one does: where neighbours come to move apart, each carries its own
patch of the picture away, and the patches stand as scales or teeth, a particle wide. Here a splat at X goes to

    x(X) = sum_k w_k(X) (x_k + A_k (X - X_k)),   its covariance to  A S A^T  with  A = sum_k w_k A_k,

over the particles X_k near it at rest. The weights are one together and reach zero where particles leave the sum, so that x is continuous
in X. A_k is the affine map that carries the neighbours of particle k best (Mueller et al. 2004, "Point based animation", 3.2): one
particle's own deformation has gone its own way by the time that matter has flowed far. It equals that where neighbours say nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

AROUND = 24
"""Neighbours that a particle's affine map is fitted to: those within about 1.7 spacings."""
FIT_REACH = 1.2
"""Spacings at which one counts 1 / e."""
CARRIERS = 12
"""Particles that carry a splat."""
OWN = 0.02
"""How much a particle's own deformation counts, in squared spacings of the neighbours' spread: enough to settle what they leave open."""


class Coat:
    """Splats of one body at ``splats`` [n, 3] m on its particles at ``rest`` [P, 3] m, both at rest, ``spacing`` m apart."""

    def __init__(self, splats: Array, rest: Array, spacing: float) -> None:
        tree = cKDTree(rest)
        distance, self._near = tree.query(rest, k=min(AROUND + 1, len(rest)))
        self._near = self._near.reshape(len(rest), -1)
        weight = np.exp(-((distance.reshape(self._near.shape) / (FIT_REACH * spacing)) ** 2))
        self._edges = rest[self._near] - rest[:, None]
        self._weighted = (weight / weight.sum(1, keepdims=True))[..., None] * self._edges
        moments = self._edges.transpose(0, 2, 1) @ self._weighted + OWN * spacing**2 * np.eye(3)
        self._inverse = np.linalg.inv(moments)
        distance, by = tree.query(splats, k=min(CARRIERS + 1, len(rest)))
        distance, by = distance.reshape(len(splats), -1), by.reshape(len(splats), -1)
        share = np.ones_like(distance)
        if distance.shape[1] > 1:
            share = (1.0 - (distance / distance[:, -1:].clip(1e-9)) ** 2) ** 2
        share = share.clip(1e-9) / share.clip(1e-9).sum(1, keepdims=True)
        starts = np.arange(0, by.size + 1, by.shape[1])
        self._blend = csr_array((share.ravel(), by.ravel(), starts), (len(splats), len(rest)))
        self._splats, self._rest = splats, rest

    def maps(self, positions: Array, F: Array) -> Array:
        """[P, 3, 3]: the affine maps A of particles that are at ``positions`` [P, 3] m now, deformed by ``F`` [P, 3, 3]."""
        moved = positions[self._near] - positions[:, None]
        beyond = moved - self._edges @ F.transpose(0, 2, 1)
        return np.asarray(F + beyond.transpose(0, 2, 1) @ self._weighted @ self._inverse)

    def at(self, positions: Array, F: Array) -> tuple[Array, Array]:
        """[n, 3] m: where the splats are, and [n, 3, 3]: how matter is deformed there."""
        A = self.maps(positions, F)
        origins = positions - np.einsum("pij,pj->pi", A, self._rest)
        blended = self._blend @ np.concatenate([origins, A.reshape(-1, 9)], 1)
        mean = blended[:, 3:].reshape(-1, 3, 3)
        return blended[:, :3] + np.einsum("nij,nj->ni", mean, self._splats), mean
