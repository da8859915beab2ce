"""Cloth in a world: one sheet of all its cloth, moved a substep at a time, meeting the plane, other bodies and itself.

The particles of a cloth body are the vertices of its surface, in their order. Cloth that does not stand hangs: its highest points are held.
Import after ``runtime.fresh``: the compiler needs Genesis to have started.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.physics.cloth.colliders import SheetColliders
from perpetua.physics.cloth.deformation import vertex_deformation
from perpetua.physics.cloth.nets import Net
from perpetua.physics.cloth.pins import SheetPins
from perpetua.physics.cloth.pyramid import own_share, pyramid_of
from perpetua.physics.cloth.sheet import Sheet, write
from perpetua.physics.cloth.surroundings import OwnFolds, Surroundings
from perpetua.physics.cloth.topology import Topology, joined, topology_of
from perpetua.physics.forces.wind import Wind
from perpetua.physics.motion import Collider, Pin
from perpetua.physics.parts import Building, Part, Plan, Snapshot, Stored
from perpetua.physics.shared_kernels import let_go

if TYPE_CHECKING:
    from perpetua.physics.forces import Force
    from perpetua.physics.forces.compiled import CompiledForces
    from perpetua.scene.scene import Scene

STEP_S = 1.0 / 5760.0
"""Longest step, into which substeps are cut. Measured: a cloth of 16 cm that swings by 30 degrees loses 2.4 % of its energy a second to it, far
less than to the air."""

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
        self._nets: list[Net] = []
        self._frozen = False

    def built(self) -> None:
        scene = self.scene
        self.sheets = [self._sheet_of(index) for index in self.own]
        self.sheet = Sheet(joined(self.sheets), len(scene.bodies))
        self._faces = joined(self.sheets).faces
        self.rest = scene.particles.positions[self.order].astype(np.float64)
        write(self.sheet.body, self.body)
        held = np.zeros(len(self.order), bool)
        for index in self.own:
            mine = self.body == index
            if scene.bodies[index].held and not scene.bodies[index].resting:
                height = self.rest[:, 2]
                held |= mine & (height > height[mine].max() - HELD * scene.spacing)
        self._hung = held
        self._folds = OwnFolds(len(self.order), scene.spacing)
        write(self._folds.rest, self.rest)
        self.floor = min(LIES_AT * scene.spacing, max(0.0, float(self.rest[:, 2].min())))
        self._pins = SheetPins(self.plan.capacity, self.sheet)
        self._colliders = SheetColliders(
            self.plan.capacity, len(scene.bodies), scene.spacing, LIES_AT * scene.spacing
        )
        self.adopt(scene, self.plan)

    def adopt(self, scene: Scene, plan: Plan) -> None:
        self.scene, self.plan = scene, plan
        self.sheets = [self._sheet_of(index) for index in self.own]
        self.steps = max(1, math.ceil(plan.dt / STEP_S - 1e-9))
        self.sheet.fill(joined([own_share(sheet, plan.dt / self.steps) for sheet in self.sheets]))
        self.sheet.friction.from_numpy(np.array([b.material.friction for b in scene.bodies], np.float32))
        self._pins.set_substep(plan.dt)
        self._colliders.set_substep(plan.dt)
        self._hold(self._hung)

    def _hold(self, held: NDArray) -> None:
        """held: [n] bool, which vertices move as they are led from now on; the nets have corners there."""
        self._held = held
        self.sheet.set_held(held)
        for net in self._nets:
            let_go(net)
        self._nets = list(self._nets_over(held))

    def _nets_over(self, held: NDArray) -> Iterator[Net]:
        """Those of each sheet, the coarsest first."""
        first = 0
        for index, sheet in zip(self.own, self.sheets, strict=True):
            body, own = self.scene.bodies[index], slice(first, first + len(sheet.mass))
            layers = pyramid_of(body.vertices, sheet, body.material, held[own], self.plan.dt / self.steps)
            for layer in reversed(layers):
                yield Net(layer, first, sheet.mass, held[own])
            first = own.stop

    def _sheet_of(self, index: int) -> Topology:
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
        out.array("F")[self.order] = vertex_deformation(self.rest, x, self._faces)

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
        pinned = self._pins.set([thing for thing in moved if isinstance(thing, Pin)], self.body)
        if (self._held != (self._hung | pinned)).any():
            self._hold(self._hung | pinned)
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
        self.sheet.advance(self.plan.dt, self.steps, self.gravity, self.floor, self._nets)
        if self._near is not None:
            self._near.give_back(self.sheet)
            for part, first in self._others:
                part.feel(self._near, first)
