"""The worlds alive in this process: a round loads its state into the world of the round before, or of another scene's rounds.

Building a world and getting its kernels ready costs 3 to 6 CPU-seconds even where they were compiled before. A world's result
depends on the loaded state alone, so it serves every state of its scene, and also scenes that differ in the materials' numbers and in the
substep (but for rigid bodies, whose numbers Genesis compiles in). The few used last are kept; all end when there is one too many, for
only a new start of Genesis gives their memory back.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.physics import runtime
from perpetua.physics.grid import Box
from perpetua.scene.scene import Scene

if TYPE_CHECKING:
    from perpetua.physics.world import World

MOST_ALIVE = 2
"""Worlds kept; a world of 20,000 particles takes 100 to 200 MB with its grid."""

_alive: dict[str, tuple[str, World]] = {}
"""By what is compiled into a world: what else it stands for now, and the world."""


def reusable_box(scene: Scene, dt: float, box: Box, low: NDArray, high: NDArray, travel: float) -> Box:
    """The box of a living world if it would do for matter between ``low`` and ``high`` [3] m, else ``box``."""
    for _, world in _alive.values():
        living = world.plan.box
        same = _structure(scene, dt, world.plan.capacity, living) in _alive
        if same and living.dx == box.dx and living.holds(low, high, travel):
            return living
    return box


def obtain(scene: Scene, dt: float, capacity: int, box: Box, seed: int) -> World:
    """The world of ``scene`` in ``box`` with substeps of ``dt`` s and room for ``capacity`` actions. Load a state into it."""
    from perpetua.physics.parts import Plan

    plan = Plan(box, dt, capacity)
    structure, numbers = _structure(scene, dt, capacity, box), _numbers(scene, dt)
    if structure in _alive:
        stood_for, world = _alive.pop(structure)
        if stood_for != numbers:
            world.adopt(scene, plan)
    else:
        gs = runtime.running()
        if gs is None or len(_alive) >= MOST_ALIVE:
            discard()
            gs = runtime.fresh(seed)
        from perpetua.physics.world import World

        world = World(gs, scene, plan)
    _alive[structure] = numbers, world
    return world


def living() -> World:
    """The world that the last round ran in. Raises ``StopIteration`` if there is none."""
    return next(reversed(_alive.values()))[1]


def discard() -> None:
    """Forget all living worlds, as after an error that may have left one damaged."""
    _alive.clear()
    runtime.end()


def _structure(scene: Scene, dt: float, capacity: int, box: Box) -> str:
    """Digest of what a world is compiled for: places, shapes, kinds of matter, and all of rigid bodies."""
    rigid = any(body.material.is_rigid for body in scene.bodies)
    digest = hashlib.sha256(repr((capacity, box, scene.spacing, dt if rigid else None)).encode())
    for array in (scene.particles.positions, scene.particles.body):
        digest.update(np.ascontiguousarray(array).tobytes())
    kinds, material = scene.materials()
    digest.update(msgspec.json.encode([kind.model for kind in kinds]))
    digest.update(material.tobytes())
    for body in scene.bodies:
        fixed = body.material if body.material.is_rigid else None
        digest.update(msgspec.json.encode([fixed, body.resting, body.held]))
        digest.update(np.ascontiguousarray(body.vertices).tobytes())
        digest.update(np.ascontiguousarray(body.faces).tobytes())
    return digest.hexdigest()


def _numbers(scene: Scene, dt: float) -> str:
    """Digest of what a world can exchange: its materials' numbers, its bodies' names and the substep."""
    record = [dt, [[body.name, body.material, body.regions] for body in scene.bodies]]
    return hashlib.sha256(msgspec.json.encode(record)).hexdigest()
