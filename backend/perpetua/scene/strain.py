"""How far an object is still what the picture shows: its matter lies as it lay, or has flowed apart.

A particle's strain is how much the distances to those that were its neighbours in the picture have changed, in the mean and in
their own length: no turn or shift changes them. It is averaged over the neighbours, so that no single splat stands out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.scene.scene import Scene

Array = NDArray[np.float64]

NEIGHBOURS = 12
CLOSING = (0.15, 0.4)
"""Strains from which the skin grows below what the picture shows, which then has gaps, and at which it is whole. Particles of a liquid
at rest settle by 0.1."""
FADING = (0.8, 1.6)
"""Strains from which the picture's own splats fade, and from which the skin alone is seen: they keep the picture's detail long after
they have gaps."""


class Strain:
    """Of the particles ``which`` [P] of a scene; all others count as having flowed without end."""

    def __init__(self, scene: Scene, which: NDArray[np.bool_]) -> None:
        self._rows: list[NDArray[np.int64]] = []
        self._near: list[NDArray[np.int64]] = []
        self._lengths: list[Array] = []
        rest = scene.particles.positions.astype(np.float64)
        for index in np.unique(scene.particles.body[which]):
            rows = np.flatnonzero(which & (scene.particles.body == index))
            distance, near = cKDTree(rest[rows]).query(rest[rows], k=min(NEIGHBOURS + 1, len(rows)))
            self._rows.append(rows)
            self._near.append(near.reshape(len(rows), -1)[:, 1:])
            self._lengths.append(distance.reshape(len(rows), -1)[:, 1:].clip(1e-9))

    def at(self, positions: NDArray[np.float32]) -> Array:
        """[P] of particles that are at ``positions`` [P, 3] m now."""
        strains = np.full(len(positions), np.inf)
        for rows, near, lengths in zip(self._rows, self._near, self._lengths, strict=True):
            if not near.shape[1]:
                strains[rows] = 0.0
                continue
            places = positions[rows].astype(np.float64)
            now = np.linalg.norm(places[near] - places[:, None], axis=2)
            strain = np.abs(now / lengths - 1.0).mean(1)
            strains[rows] = strain[near].mean(1)
        return strains


def sheared(strain: Array) -> Array:
    """[P]: how far neighbours in matter with ``strain`` [P] move apart, 0 to 1; wholly by where its skin begins to grow."""
    return _between(strain, 0.0, CLOSING[0])


def closed(strain: Array) -> Array:
    """[P]: how far matter with ``strain`` [P] has its skin, 0 to 1."""
    return _between(strain, *CLOSING)


def picture_left(strain: Array) -> Array:
    """[P]: how much is left of what the picture shows of it, 0 to 1."""
    return 1.0 - _between(strain, *FADING)


def _between(value: Array, low: float, high: float) -> Array:
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
