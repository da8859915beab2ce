"""The one world alive in this process, built anew only when a round needs another.

Building costs 2 to 5 CPU-seconds with warm kernels, and the rounds of a take share their scene and substep, so the next
round loads its state into the world of the round before. A world's result depends on the loaded state alone.
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

_alive: dict[str, World] = {}


def reusable_box(scene: Scene, dt: float, box: Box, low: NDArray, high: NDArray, travel: float) -> Box:
    """The box of the living world if it would do for matter between ``low`` and ``high`` [3] m, else ``box``."""
    for world in _alive.values():
        living = world.plan.box
        same = _key(scene, dt, world.plan.capacity, living) in _alive
        if same and living.dx == box.dx and living.holds(low, high, travel):
            return living
    return box


def obtain(scene: Scene, dt: float, capacity: int, box: Box, seed: int) -> World:
    """The world of ``scene`` in ``box`` with substeps of ``dt`` s and room for ``capacity`` actions."""
    key = _key(scene, dt, capacity, box)
    if key not in _alive:
        discard()
        gs = runtime.fresh(seed)
        from perpetua.physics.parts import Plan
        from perpetua.physics.world import World

        _alive[key] = World(gs, scene, Plan(box, dt, capacity))
    return _alive[key]


def living() -> World:
    """The world that the last round ran in. Raises ``StopIteration`` if there is none."""
    return next(iter(_alive.values()))


def discard() -> None:
    """Forget the living world, as after an error that may have left it damaged."""
    _alive.clear()


def _key(scene: Scene, dt: float, capacity: int, box: Box) -> str:
    digest = hashlib.sha256(repr((dt, capacity, box, scene.spacing)).encode())
    for array in (scene.particles.positions, scene.particles.body):
        digest.update(np.ascontiguousarray(array).tobytes())
    if scene.region is not None:
        digest.update(scene.region.tobytes())
    for body in scene.bodies:
        digest.update(msgspec.json.encode([body.name, body.material, body.resting, body.held, body.regions]))
        digest.update(np.ascontiguousarray(body.vertices).tobytes())
        digest.update(np.ascontiguousarray(body.faces).tobytes())
    return digest.hexdigest()
