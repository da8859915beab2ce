"""Particles on a grid (the material point method): solids that deform, snow, sand and liquids.

Import after ``runtime.fresh``: the compiler needs Genesis to have started.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perpetua.physics import laws
from perpetua.physics.cloth.surroundings import Surroundings
from perpetua.physics.contact import PlaneContact, film_thickness, resting_heights
from perpetua.physics.forces.compiled import CompiledForces
from perpetua.physics.grid_colliders import GridColliders
from perpetua.physics.grid_pins import GridPins
from perpetua.physics.matter import Matter
from perpetua.physics.motion import Collider, Pin
from perpetua.physics.parts import Arrivals, Building, Part, Plan, Snapshot, Stored
from perpetua.physics.rigid import motions
from perpetua.physics.rigid_contact import RigidContact
from perpetua.physics.rigid_part import RigidPart
from perpetua.physics.shared_kernels import floats, integers
from perpetua.physics.signed_distance import distance_grid
from perpetua.physics.soft_grid import SoftGrid
from perpetua.scene.emission import mixing
from perpetua.scene.scene import Scene

UNMOVED = 1e12
"""kg; the mass of a body that a pin holds, as soft matter meets it."""

DISTANCE_NODES = 48
"""Nodes of a rigid body's distance field along each axis."""

DISTANCE_MARGIN_CELLS = 1.0
"""How far beyond the body it reaches, in cells of the soft grid."""


class SoftPart(Part):
    """The bodies of matter on the grid, the plane they stand on, what else they touch, and the actions on them."""

    models = frozenset(laws.LAW)

    def __init__(self, building: Building) -> None:
        scene, plan = building.scene, building.plan
        self.scene, self.plan = scene, plan
        body, own = scene.particles.body, building.bodies_of(self.models)
        self.order = np.concatenate([np.flatnonzero(body == i) for i in own])
        self.body = body[self.order]
        self.leader = mixing(scene)
        self._arriving, self._gravity = False, np.zeros(3)
        self._rigid = next((part for part in building.parts if isinstance(part, RigidPart)), None)

    def built(self) -> None:
        scene, plan = self.scene, self.plan
        count = len(self.order)
        everything, of = scene.materials()
        used, material = np.unique(of[self.order], return_inverse=True)
        kinds = [everything[i] for i in used]
        numbers = laws.constants(kinds)
        own = self._own
        friction = np.array([scene.bodies[i].material.friction for i in own], np.float32)
        nx, ny, nz = (int(n) + 1 for n in np.subtract(plan.box.upper, plan.box.lower))
        field = np.searchsorted(own, self.leader[self.body])
        self.matter = Matter(count)
        radius = 0.5 * scene.spacing
        self._plane = PlaneContact(plan.box.lower, (nx, ny), len(own), plan.box.dx, plan.dt, radius)
        hard = [] if self._rigid is None else list(self._rigid.bodies.values())
        self._contact = RigidContact(
            [distance_grid(r.shape.mesh, DISTANCE_NODES, DISTANCE_MARGIN_CELLS * plan.box.dx) for r in hard],
            np.array([r.shape.mass for r in hard]),
            np.array([scene.bodies[r.index].material.friction for r in hard]),
        )
        place = (plan.capacity, own, plan.box.lower, (nx, ny, nz), plan.box.dx)
        self._colliders = GridColliders(*place, radius=radius, liquid=numbers.law[material] == laws.LIQUID)
        self._pins = GridPins(*place)
        self._grid = SoftGrid(
            self.matter, plan.box.lower, (nx, ny, nz), plan.box.dx, plan.dt, scene.spacing,
            material, field, numbers, friction, self._plane, self._contact, self._colliders, self._pins,
        )  # fmt: skip
        self._material = material
        self._field = self._grid.field
        self._body = integers(count)
        self._height = floats(count)
        self._mass = floats(count)
        self._body.from_numpy(self.body.astype(np.int32))
        self._height.from_numpy(resting_heights(scene)[self.order])
        self._untouched_sand = np.array([laws.default_memory(m) for m in kinds])[material] == 0.0
        self.adopt(scene, plan)

    def adopt(self, scene: Scene, plan: Plan) -> None:
        self.scene, self.plan = scene, plan
        kinds, of = scene.materials()
        numbers = laws.constants([kinds[i] for i in np.unique(of[self.order])])
        own = self._own
        friction = np.array([scene.bodies[i].material.friction for i in own], np.float32)
        self._grid.set_materials(numbers, friction)
        self._grid.set_substep(plan.dt)
        self._plane.set_substep(plan.dt)
        self._plane.set_films(
            np.array([film_thickness(scene.bodies[i].material, scene.spacing) for i in own])
        )
        if self._rigid is not None:
            hard = self._rigid.bodies
            self._contact.set_masses(np.array([rigid.shape.mass for rigid in hard.values()]))
            self._contact.set_friction(np.array([scene.bodies[i].material.friction for i in hard]))
        self._colliders.set_substep(plan.dt)
        self._pins.set_substep(plan.dt)
        mass = numbers.density[self._material] * scene.spacing**3
        self._mass.from_numpy(mass.astype(np.float32))

    @property
    def _own(self) -> NDArray[np.int64]:
        """[fields]: the body that each velocity field of the grid is named after."""
        return np.unique(self.leader[self.body])

    def load(self, snapshot: Snapshot) -> None:
        """Particles must lie inside the box."""
        particles, o = snapshot.particles, self.order
        plastic = particles.plastic[o].copy()
        plastic[self._untouched_sand & (plastic == 1.0)] = 0.0  # Particles.at_rest says 1 for all matter
        self.matter.write(
            pos=particles.positions[o],
            vel=particles.velocities[o],
            F=particles.F[o],
            C=particles.C[o],
            Jp=plastic,
        )
        self.matter.set_present(snapshot.present[o])
        self._contact.forget()

    def store(self, out: Stored) -> None:
        there = self.matter.present()
        out.present[self.order] = there
        for name, field in (
            ("positions", "pos"),
            ("velocities", "vel"),
            ("F", "F"),
            ("C", "C"),
            ("plastic", "Jp"),
        ):
            out.array(name)[self.order[there]] = self.matter.read(field)[there]

    def set_gravity(self, gravity: NDArray) -> None:
        self._gravity = np.asarray(gravity, np.float64)
        self._grid.set_gravity(gravity)

    def set_moved(self, moved: Sequence[Pin | Collider]) -> None:
        self._pins.set([thing for thing in moved if isinstance(thing, Pin)])
        self._colliders.set([thing for thing in moved if isinstance(thing, Collider)])

        if self._rigid is not None:
            held = self._rigid.pinned
            masses = [UNMOVED if i in held else r.shape.mass for i, r in self._rigid.bodies.items()]
            self._contact.set_masses(np.array(masses))

    def expect(self, arrivals: Arrivals, substeps: int) -> None:
        rows = np.flatnonzero(np.isin(self.order, arrivals.index))
        self._arriving = len(rows) > 0
        if not self._arriving:
            return
        mine = np.searchsorted(arrivals.index, self.order[rows])
        seconds, velocities = arrivals.seconds[mine], arrivals.velocities[mine]
        births = np.minimum(np.floor(seconds / self.plan.dt), substeps - 1)
        late = (seconds - births * self.plan.dt)[:, None]  # since the substep began
        # what leaves falls freely from then on, faster the farther it is from the mouth: grad v = g v^T / |v|^2
        falling = self._gravity[:, None] * (velocities / (velocities**2).sum(1, keepdims=True))[:, None, :]
        places = arrivals.positions[mine] - late * velocities
        self.matter.expect(rows, births, pos=places, vel=velocities, C=falling)

    def let_out(self, substep: int) -> None:
        if self._arriving:
            self.matter.let_out(substep)

    def weigh(self, forces: CompiledForces) -> None:
        forces.weigh_mpm(self.matter, self._body, self._mass)

    def before_substep(self, forces: CompiledForces) -> None:
        self._plane.find_gaps(self.matter, self._field, self._height, self._grid.friction)
        if forces.any or forces.damping:
            forces.apply_mpm(self.matter, self._body)
        self._colliders.before_substep(self.matter, self._field)
        self._pins.before_substep(self.matter, self._field)
        if self._rigid is None:
            self._grid.substep()
            return
        hard = list(self._rigid.bodies.values())
        self._contact.place(*motions(hard))
        self._grid.substep()
        for rigid, impulse in zip(hard, self._contact.impulses(), strict=True):
            if impulse.any() and rigid.index not in self._rigid.pinned:
                rigid.push(impulse[:3] / self.plan.dt, impulse[3:] / self.plan.dt)

    @property
    def points(self) -> int:
        return len(self.order)

    def point_bodies(self) -> NDArray[np.int32]:
        return self.body

    def show(self, near: Surroundings, first: int) -> None:
        near.show_mpm(self.matter, first)

    def feel(self, near: Surroundings, first: int) -> None:
        near.push_mpm(self.matter, self._mass, first)

    def motion(self) -> tuple[NDArray, NDArray]:
        there = self.matter.present()
        return self.matter.read("pos")[there], self.matter.read("vel")[there]
