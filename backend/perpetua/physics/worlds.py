"""The worlds alive in this process: a round loads its state into the world of the round before, or of another scene's rounds.

Getting the kernels ready costs a few CPU-seconds in every process even where they were compiled before; they serve all worlds
(``shared_kernels``). A world's result depends on the loaded state alone, so it serves every state of its scene, and also scenes that
differ in the materials' numbers and in the substep (which Genesis compiles into scenes of rigid bodies). The few used last are
kept. Rigid bodies live in scenes of Genesis, which take seconds to build and whose memory only a new start of Genesis gives back.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.physics import runtime
from perpetua.physics.grid import Box
from perpetua.scene.emission import mixing
from perpetua.scene.scene import Scene

if TYPE_CHECKING:
    from perpetua.physics.parts import Plan
    from perpetua.physics.world import World

MOST_ALIVE = 2
"""Worlds kept; a world of 20,000 particles takes 100 to 200 MB with its grid."""

MOST_GENESIS_SCENES = 8
"""Scenes of Genesis built, some 30 MB each that stay, before it is started anew (and all kernels made ready again)."""

_alive: dict[str, tuple[str, World]] = {}
"""By what is built into a world: what else it stands for now, and the world."""

_genesis_scenes = 0
"""Built since Genesis was started."""


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
        world = _built(scene, plan, seed)
    _alive[structure] = numbers, world
    return world


def _built(scene: Scene, plan: Plan, seed: int) -> World:
    global _genesis_scenes
    gs = runtime.running()
    if gs is None or _genesis_scenes >= MOST_GENESIS_SCENES:
        discard()
        gs = runtime.fresh(seed)
    from perpetua.physics.world import World

    while len(_alive) >= MOST_ALIVE:
        _, oldest = _alive.pop(next(iter(_alive)))
        oldest.end()
    world = World(gs, scene, plan)
    _genesis_scenes += world.in_genesis
    return world


def living() -> World:
    """The world that the last round ran in. Raises ``StopIteration`` if there is none."""
    return next(reversed(_alive.values()))[1]


def forget() -> None:
    """End all living worlds, as after a simulation that went wrong."""
    for _, world in _alive.values():
        world.end()
    _alive.clear()


def discard() -> None:
    """Forget all living worlds and start Genesis anew for the next, as after an error that may have left it damaged."""
    global _genesis_scenes
    _genesis_scenes = 0
    _alive.clear()
    runtime.end()


def _structure(scene: Scene, dt: float, capacity: int, box: Box) -> str:
    """Digest of what a world is compiled for: places, shapes, kinds of matter, and the substep where bodies are rigid."""
    rigid = any(body.material.is_rigid for body in scene.bodies)
    digest = hashlib.sha256(repr((capacity, box, scene.spacing, dt if rigid else None)).encode())
    for array in (scene.particles.positions, scene.particles.body):
        digest.update(np.ascontiguousarray(array).tobytes())
    kinds, material = scene.materials()
    digest.update(msgspec.json.encode([kind.model for kind in kinds]))
    digest.update(material.tobytes())
    digest.update(mixing(scene).tobytes())
    for body in scene.bodies:
        digest.update(msgspec.json.encode([body.resting, body.held, body.emitted]))
        digest.update(np.ascontiguousarray(body.vertices).tobytes())
        digest.update(np.ascontiguousarray(body.faces).tobytes())
    return digest.hexdigest()


def _numbers(scene: Scene, dt: float) -> str:
    """Digest of what a world can exchange: its materials' numbers, its bodies' names and the substep."""
    record = [dt, [[body.name, body.material, body.regions] for body in scene.bodies]]
    return hashlib.sha256(msgspec.json.encode(record)).hexdigest()
