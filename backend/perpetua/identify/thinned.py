"""A round with fewer particles, to find out what other values of its physics would do at a fraction of the cost.

Of every few particles one is kept, and stands for all of them; the grid's cells and the substep grow with the distance between particles,
so that a k-th of them along each axis costs about k^-4. Such a round ends elsewhere than the whole one, but *changes* with the physics much as
that does (Bandler et al. 1994 call it space mapping), which is all that is taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from perpetua.scene.particles import Particles, State
from perpetua.scene.scene import Scene

FEWEST = 600
"""Particles that are left at least: a ball of them is ten across."""
FULL = 0.5
"""A cell with a smaller share of the fullest one's particles stands for none."""
TIED = ("cloth", "gas")
"""Models of matter whose particles cannot stand for one another."""
ASIDE = 0.1
"""Spacings from a cell's middle, so that of a lattice's eight corners all cells take the same."""


@dataclass(frozen=True)
class Thinned:
    """scene and state: of the particles that are ``kept`` [p], indices into the whole scene's; is_whole: whether they
    are all of them. Splats still belong to the whole."""

    scene: Scene
    state: State
    kept: NDArray[np.int64]
    is_whole: bool


def thinned(scene: Scene, state: State) -> Thinned:
    """``scene`` in ``state`` with about ``FEWEST`` particles or more; all of them where a body is a sheet, gas or emitted, whose particles
    cannot stand for one another. A rigid body's mass and shape are not its particles', so that thinning changes neither."""
    count = len(scene.particles)
    apart = int((count / FEWEST) ** (1 / 3))
    if apart < 2 or any(body.emitted or body.material.model in TIED for body in scene.bodies):
        return Thinned(scene, state, np.arange(count), True)
    kept = _one_of_each_cell(scene, apart * scene.spacing)
    weighed = ~np.array([body.material.is_rigid for body in scene.bodies])[scene.particles.body]
    each = weighed.sum() / weighed[kept].sum() if weighed.any() else apart**3
    fewer = replace(
        scene,
        particles=_of(scene.particles, kept),
        spacing=scene.spacing * float(each) ** (1 / 3),
        region=None if scene.region is None else scene.region[kept],
    )
    left = replace(state, particles=_of(state.particles, kept), total_F=state.total_F[kept])
    return Thinned(fewer, left, kept, False)


def _of(particles: Particles, kept: NDArray[np.int64]) -> Particles:
    return Particles(*(getattr(particles, f.name)[kept] for f in fields(Particles)))


def _one_of_each_cell(scene: Scene, edge: float) -> NDArray[np.int64]:
    """[p]: of every cell of ``edge`` m, body by body, the particle that is nearest to the middle of those in it at rest."""
    kept = []
    for index in range(len(scene.bodies)):
        mine = np.flatnonzero(scene.particles.body == index)
        points = scene.particles.positions[mine].astype(np.float64)
        corner = points.min(0) - 0.5 * scene.spacing
        _, cell, size = np.unique(
            np.floor((points - corner) / edge), axis=0, return_inverse=True, return_counts=True
        )
        cell = cell.ravel()
        middle = np.stack([np.bincount(cell, axis) for axis in points.T], 1) / size[:, None]
        away = np.linalg.norm(points - middle[cell] + ASIDE * scene.spacing, axis=1)
        order = np.lexsort((away, cell))
        nearest = order[np.searchsorted(cell[order], np.arange(len(size)))]
        kept.append(np.sort(mine[nearest[size >= FULL * size.max()]]))
    return np.concatenate(kept)
