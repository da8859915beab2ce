"""The stress that standing bodies already carry in the picture.

A body on a table is pressed by its own weight, but a picture shows no stress, and particles with F = I would sag and bounce in the
first frames. So before the first round the bodies sink under gravity with their motion critically damped, and
then only the stress stays: elastic F and plastic memory are kept, every particle goes back to where it was seen, and velocities are
zero. This is repeated, because the restored shape carries the stress slightly differently. The shape of the picture is thus the loaded
shape, as it should be, and nothing moves until the artist wants it to.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.parts import Snapshot
from perpetua.scene.materials import Material
from perpetua.scene.particles import Particles, State, present
from perpetua.scene.scene import Scene

if TYPE_CHECKING:
    from perpetua.physics.world import World

PASSES = (6.0, 4.0, 3.0)
"""Length of each pass in units of 1 / omega of the slowest body; a critically damped motion keeps 2 % after 6."""

LONGEST_S = 0.25
"""A soft, tall body is left to finish settling in the shot after this long a pass."""

FREEZE_RATE = 1e9
"""1/s; holds a body that hangs in the picture where it is."""


def needs_settling(scene: Scene, state: State) -> bool:
    """Whether ``state`` is the picture's own: nothing has moved or deformed yet, and something soft stands."""
    particles = state.particles
    still = state.time == 0 and not particles.velocities.any() and bool((np.eye(3) == particles.F).all())
    return still and bool(_standing(scene).any())


def settled(world: World, scene: Scene, state: State, gravity: NDArray, substep: float) -> Particles:
    """The particles of ``state`` with the stress of their own weight under ``gravity`` [3] m/s^2; ``world`` is left loaded
    with them. Rigid bodies are held in the air meanwhile, and put back."""
    particles = state.particles
    standing = _standing(scene)
    omega = np.array([_slowest_mode(scene, i) if standing[i] else math.inf for i in range(len(scene.bodies))])
    world.set_gravity(gravity)
    world.set_damping(np.where(standing, 2.0 * np.where(standing, omega, 1.0), FREEZE_RATE))
    keep = standing[particles.body]
    for length in PASSES:
        world.load(Snapshot(particles, state.rigid, state.memory, present(state.total_F)))
        substeps = max(1, math.ceil(min(length / omega.min(), LONGEST_S) / substep))
        world.advance([], substeps, hold=gravity)
        loaded = world.store(particles).particles
        F, plastic = particles.F.copy(), particles.plastic.copy()
        F[keep], plastic[keep] = loaded.F[keep], loaded.plastic[keep]
        particles = Particles(
            particles.positions, particles.velocities, F, particles.C, plastic, particles.body
        )
    world.set_damping(np.zeros(len(scene.bodies)))
    world.load(Snapshot(particles, state.rigid, state.memory, present(state.total_F)))
    return particles


def _standing(scene: Scene) -> NDArray[np.bool_]:
    return np.array([body.resting and body.material.on_grid for body in scene.bodies])


def _slowest_mode(scene: Scene, index: int) -> float:
    """rad/s of a column's fundamental mode, pi c / (2 h), with c of a bar (solids) or of pressure waves (liquids)."""
    z = scene.particles.positions[scene.particles.body == index, 2]
    height = float(z.max() - z.min()) + scene.spacing
    return math.pi * _bar_speed(scene.bodies[index].material) / (2.0 * height)


def _bar_speed(material: Material) -> float:
    if material.model == "liquid":
        return math.sqrt(material.lame[0] / material.density)
    return math.sqrt(material.youngs_modulus / material.density)
