"""What must hold before the first substep and after every frame; Genesis itself would clamp NaN and go on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.physics.check_kernels import FINE, NO_NUMBER, TOO_FAST, TORN, verdicts
from perpetua.physics.parts import Snapshot
from perpetua.scene.particles import Particles, State
from perpetua.scene.scene import Scene

LARGEST_STRETCH = 20.0
"""An elastic stretch beyond this, or its inverse, is an explosion: materials yield or tear far earlier."""

CELLS_PER_SUBSTEP = 0.9
"""Matter that crosses a whole cell within a substep jumps over its neighbours."""


MOMENTUM_TOLERANCE = 0.01
"""Share of a frame's gain by gravity, and of the sum of all |m v|, that momentum may be off: single precision needs a thousandth."""

AIRBORNE_CELLS = 3.0
"""Matter higher than so many cells above the plane does not touch it."""


class Exploded(SimulationError):
    """The explicit solver lost stability within a frame; a finer substep may keep it."""


def check_input(scene: Scene, state: State) -> None:
    """Shapes, finiteness and known bodies. Raises ``SimulationError``."""
    count = len(scene.particles)
    particles = state.particles
    if not scene.bodies or not count:
        raise SimulationError(
            "The scene has no particles to simulate; choose an object in the picture first."
        )
    shapes = {
        "positions": (count, 3),
        "velocities": (count, 3),
        "F": (count, 3, 3),
        "C": (count, 3, 3),
        "plastic": (count,),
        "body": (count,),
    }
    for name, shape in shapes.items():
        if getattr(particles, name).shape != shape:
            raise SimulationError(
                f"The state's {name} has the shape {getattr(particles, name).shape} where the scene's {count} particles need "
                f"{shape}; it belongs to another scene."
            )
    if not np.array_equal(particles.body, scene.particles.body):
        raise SimulationError("The state's particles belong to other objects than the scene's; bake again.")
    if len(particles.body) and not 0 <= particles.body.min() <= particles.body.max() < len(scene.bodies):
        raise SimulationError("A particle belongs to no object of the scene; bake again from the picture.")
    for name in ("positions", "velocities", "F", "C", "plastic"):
        bad = ~np.isfinite(getattr(particles, name)).reshape(count, -1).all(1)
        if bad.any():
            raise SimulationError(
                f"The {name} of '{_name(scene, particles.body, bad)}' holds values that are not numbers; the round before must be "
                "baked again."
            )
    if state.total_F.shape != (count, 3, 3) or not np.isfinite(state.total_F).all():
        raise SimulationError(
            "The state's total deformation is damaged; the round before must be baked again."
        )


def check_frame(
    scene: Scene, snapshot: Snapshot, expected: NDArray, dx: float, dt: float, frame: int, pushes: str
) -> None:
    """After a frame: all matter is there (``expected`` [P]: what was before or came since), finite, deformed within reason, slower
    than a cell a substep. Raises ``Exploded`` that names the object, the frame and the remedy. ``pushes`` names the actions at
    work, for the remedy."""
    particles, there = snapshot.particles, snapshot.present
    count = len(particles)
    if count != len(scene.particles) or not np.array_equal(particles.body, scene.particles.body):
        raise Exploded(f"Matter was lost or changed its object in frame {frame}; bake the round again.")
    gridded = np.array([body.material.on_grid for body in scene.bodies])[particles.body]
    wrong = gridded & (there != expected)
    if wrong.any():
        raise Exploded(
            f"{wrong.sum()} particles of '{_name(scene, particles.body, wrong)}' are missing, or there too early, in frame {frame}; "
            "bake the round again."
        )
    limits = np.array([CELLS_PER_SUBSTEP * dx / dt if b.material.on_grid else np.inf for b in scene.bodies])
    found = verdicts(
        particles.positions, particles.velocities, particles.F, limits[particles.body], LARGEST_STRETCH
    )
    found[~there & (found == TORN)] = FINE  # what is not there has no size
    if not found.any():
        return
    speed = np.linalg.norm(particles.velocities[found == TOO_FAST], axis=1).max(initial=0.0)
    for verdict, symptom in (
        (NO_NUMBER, "its particles are no longer at any place"),
        (TOO_FAST, f"it reached {speed:.3g} m/s"),
        (TORN, "it is crushed or stretched out of its shape"),
    ):
        if (found == verdict).any():
            raise Exploded(_exploded(scene, particles, found == verdict, frame, pushes, symptom))


def check_momentum(
    scene: Scene, before: Snapshot, after: Snapshot, gained: NDArray, dx: float, frame: int
) -> None:
    """After a frame in which no action worked and nothing touched the plane: every particle's momentum grew by its mass
    times ``gained`` [P, 3] m/s (gravity over the frame, or for what came in it the speed it came with and gravity since), all
    together and nothing else. Raises ``Exploded``. Where rigid bodies, cloth or gas share the scene the plane, the air and what
    holds them take momentum, and nothing is checked."""
    there = after.present
    if not there.any() or not all(body.material.on_grid for body in scene.bodies):
        return
    if min(s.particles.positions[there, 2].min() for s in (before, after)) < AIRBORNE_CELLS * dx:
        return
    mass = np.array([b.material.particle_mass(scene.spacing) for b in scene.bodies])[after.particles.body]
    mass = mass * there
    change = after.particles.velocities.astype(np.float64) - before.particles.velocities - gained
    off = np.linalg.norm(mass @ change)
    moving = mass @ np.linalg.norm(after.particles.velocities.astype(np.float64), axis=1)
    if off > MOMENTUM_TOLERANCE * (np.linalg.norm(mass @ gained) + moving) + 1e-12:
        away = np.linalg.norm(change, axis=1) * there
        raise Exploded(
            _exploded(
                scene, after.particles, away >= away.max(), frame, "", f"it gained {off:.3g} N s from nothing"
            )
        )


def _exploded(scene: Scene, particles: Particles, bad: NDArray, frame: int, pushes: str, symptom: str) -> str:
    name = _name(scene, particles.body, bad)
    material = next(b.material for b in scene.bodies if b.name == name)
    weaker = f"lower the strength of {pushes}, " if pushes else ""
    return (
        f"'{name}' exploded in frame {frame}: {symptom}; {weaker}lower its Young's modulus "
        f"({material.youngs_modulus:g} Pa), or allow more substeps."
    )


def _name(scene: Scene, body: NDArray, bad: NDArray) -> str:
    return scene.bodies[int(np.bincount(body[bad], minlength=len(scene.bodies)).argmax())].name
