"""Cloth in a world: one sheet of all its cloth, moved a substep at a time, meeting the plane, other bodies and itself.

The particles of a cloth body are the vertices of its surface, in their order. Cloth that does not stand hangs: its highest points are held.
Import after ``runtime.fresh``: the compiler needs Genesis to have started.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.physics.cloth.colliders import SheetColliders
from perpetua.physics.cloth.deformation import vertex_deformation
from perpetua.physics.cloth.pins import SheetPins
from perpetua.physics.cloth.sheet import Sheet, write
from perpetua.physics.cloth.surroundings import OwnFolds, Surroundings
from perpetua.physics.cloth.topology import joined, topology_of
from perpetua.physics.forces.wind import Wind
from perpetua.physics.motion import Collider, Pin
from perpetua.physics.parts import Building, Part, Plan, Snapshot, Stored

if TYPE_CHECKING:
    from perpetua.physics.forces import Force
    from perpetua.physics.forces.compiled import CompiledForces
    from perpetua.scene.scene import Scene

STEP = 0.7
"""A step is this times sqrt(m / k). Measured: a hanging sheet then stretches 7 % more than its Young's modulus says, at 1.0 23 %."""

MOST_STEPS = 2_000
"""Steps a substep; stiffer cloth stretches more than it should."""

HELD = 0.75
"""spacings below the highest point of hanging cloth that are held"""

LIES_AT = 0.2
"""spacings above the plane, or a collider, at which cloth lies on it; on the plane lower where the picture shows it so"""


class ClothPart(Part):
    """The cloth of a scene."""

    models = frozenset({"cloth"})

    def __init__(self, building: Building) -> None:
        self.scene, self.plan = building.scene, building.plan
        body = self.scene.particles.body
        self.own = building.bodies_of(self.models)
        self.order = np.concatenate([np.flatnonzero(body == i) for i in self.own])
        self.body = body[self.order]
        self.gravity = np.zeros(3)
        self._others: Sequence[tuple[Part, int]] = ()
        self._near: Surroundings | None = None
        self._frozen = False

    def built(self) -> None:
        scene = self.scene
        self.topology = joined([self._sheet_of(index) for index in self.own])
        self.sheet = Sheet(self.topology, len(scene.bodies))
        self.rest = scene.particles.positions[self.order].astype(np.float64)
        write(self.sheet.body, self.body)
        held = np.zeros(len(self.order), bool)
        for index in self.own:
            mine = self.body == index
            if scene.bodies[index].held and not scene.bodies[index].resting:
                height = self.rest[:, 2]
                held |= mine & (height > height[mine].max() - HELD * scene.spacing)
        self._held = held
        self._folds = OwnFolds(len(self.order), scene.spacing)
        write(self._folds.rest, self.rest)
        self.floor = min(LIES_AT * scene.spacing, max(0.0, float(self.rest[:, 2].min())))
        self._pins = SheetPins(self.plan.capacity, self.sheet, held)
        self._colliders = SheetColliders(
            self.plan.capacity, len(scene.bodies), scene.spacing, LIES_AT * scene.spacing
        )
        self.adopt(scene, self.plan)

    def adopt(self, scene: Scene, plan: Plan) -> None:
        self.scene, self.plan = scene, plan
        self.topology = joined([self._sheet_of(index) for index in self.own])
        self.sheet.fill(self.topology)
        self.sheet.set_held(self._held)
        self.sheet.friction.from_numpy(np.array([b.material.friction for b in scene.bodies], np.float32))
        shortest = float(np.sqrt(self.topology.mass.min() / self.topology.stiffness.max()))
        self._pins.set_substep(plan.dt)
        self._colliders.set_substep(plan.dt)
        self.steps = min(max(1, math.ceil(self.plan.dt / (STEP * shortest))), MOST_STEPS)

    def _sheet_of(self, index: int) -> Any:
        body, own = self.scene.bodies[index], self.scene.particles.body == index
        if len(body.vertices) != own.sum():
            raise SimulationError(
                f"'{body.name}' is cloth, but its {own.sum()} particles are not the {len(body.vertices)} points of its surface; "
                "reconstruct it again as cloth, or give it another material."
            )
        return topology_of(body.vertices, body.faces, body.material, body.name)

    def meet(self, others: Sequence[Part]) -> None:
        first, pairs = 0, []
        for part in others:
            pairs.append((part, first))
            first += part.points
        if first:
            self._others = pairs
            self._near = Surroundings(first, self.scene.spacing)
            write(self._near.body, np.concatenate([part.point_bodies() for part in others]))

    def set_gravity(self, gravity: NDArray) -> None:
        self.gravity = np.asarray(gravity, np.float64)

    # -- state ----------------------------------------------------------------------------------------------------

    def load(self, snapshot: Snapshot) -> None:
        write(self.sheet.x, snapshot.particles.positions[self.order])
        write(self.sheet.v, snapshot.particles.velocities[self.order])

    def store(self, out: Stored) -> None:
        x = self.sheet.x.to_numpy()[: len(self.order)]
        out.array("positions")[self.order] = x
        out.array("velocities")[self.order] = self.sheet.v.to_numpy()[: len(self.order)]
        out.array("F")[self.order] = vertex_deformation(self.rest, x, self.topology.faces)

    def motion(self) -> tuple[NDArray, NDArray]:
        count = len(self.order)
        return self.sheet.x.to_numpy()[:count], self.sheet.v.to_numpy()[:count]

    # -- motion ---------------------------------------------------------------------------------------------------

    def hold(self, acceleration: NDArray | None) -> None:
        self._frozen = acceleration is not None

    def weigh(self, forces: CompiledForces) -> None:
        forces.weigh_points(self.sheet.x, self.sheet.body, self.sheet.mass, len(self.order))

    def before_substeps(self, forces: Sequence[Force]) -> None:
        """The air's velocity around the cloth: that of the winds which act on it."""
        winds = [force for force in forces if isinstance(force, Wind)]
        air = np.zeros((len(self.order), 3))
        if winds:
            x = self.sheet.x.to_numpy()[: len(self.order)].astype(np.float64)
            for wind in winds:
                air += (wind.weight(x) * wind.bodies[self.body])[:, None] * wind.velocity
        write(self.sheet.air, air)

    def set_moved(self, moved: Sequence[Pin | Collider]) -> None:
        self._pins.set([thing for thing in moved if isinstance(thing, Pin)], self.body)
        self._colliders.set([thing for thing in moved if isinstance(thing, Collider)], self.sheet)

    def before_substep(self, forces: CompiledForces) -> None:
        if self._frozen:
            return
        self._pins.before_substep()
        self._colliders.before_substep(self.sheet)
        if self._near is not None:
            for part, first in self._others:
                part.show(self._near, first)
            self._near.find_walls(self.sheet)
        if forces.any or forces.damping:
            forces.apply_points(self.sheet.x, self.sheet.v, self.sheet.body, len(self.order))
        self.sheet.feel_air(self.plan.dt)
        self._folds.part(self.sheet)
        self.sheet.advance(self.plan.dt, self.steps, self.gravity, self.floor)
        if self._near is not None:
            self._near.give_back(self.sheet)
            for part, first in self._others:
                part.feel(self._near, first)
