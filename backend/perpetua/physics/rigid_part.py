"""The rigid bodies of a scene as a part of its world: free bodies in Genesis, and the plane they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.physics.cloth.surroundings import Surroundings
from perpetua.physics.forces.compiled import CompiledForces
from perpetua.physics.motion import Collider, Pin, PinnedBody
from perpetua.physics.parts import Building, Part, Plan, Snapshot, Stored
from perpetua.physics.rigid import (
    PLANE_DAMPING_RATIO,
    PLANE_FRICTION,
    PLANE_TIME_CONSTANT,
    RigidBody,
    set_contact,
)
from perpetua.physics.rigid_colliders import RigidColliders
from perpetua.physics.shared_kernels import floats, integers, vectors
from perpetua.scene.scene import Scene

PINNED_MASSES = 1e4
"""A pinned body pushes other rigid bodies as if it were so many times as heavy: what is pushed does not hold it up."""


class RigidPart(Part):
    """All rigid bodies; their particles ride on their poses."""

    models = frozenset({"rigid"})

    def __init__(self, building: Building) -> None:
        gs = building.gs
        self._genesis, self._scene, self._plan = building.genesis, building.scene, building.plan
        self._dt = building.plan.dt
        self._gravity = np.zeros(3)
        self._plane = self._genesis.add_entity(
            gs.morphs.Plane(), gs.materials.Rigid(needs_coup=False, friction=PLANE_FRICTION)
        )
        self.bodies = {
            i: RigidBody(gs, self._genesis, building.scene, i, building.folder)
            for i in building.bodies_of(self.models)
        }
        self._held: NDArray | None = None
        self._substep = 0
        self.pinned: dict[int, PinnedBody] = {}
        """Bodies that a pin holds in this control step, by index."""

    def built(self) -> None:
        """Contact parameters, and the bodies' particles as the forces meet them: arm from the centre of mass at rest, link, body, mass
        and lift."""
        from perpetua.physics.rigid_solver import RigidSolver

        self._solver = RigidSolver(self._genesis)
        set_contact(self._plane, PLANE_TIME_CONSTANT * self._dt, PLANE_DAMPING_RATIO)
        parts = list(self.bodies.items())
        count = sum(len(rigid.own) for _, rigid in parts)
        arm = vectors(3, count)
        link, body, mass = integers(count), integers(count), floats(count)
        arm.from_numpy(np.concatenate([r.rest - r.shape.centre for _, r in parts]).astype(np.float32))
        link.from_numpy(np.concatenate([np.full(len(r.own), r.link, np.int32) for _, r in parts]))
        body.from_numpy(np.concatenate([np.full(len(r.own), i, np.int32) for i, r in parts]))
        lift = floats(count)
        lift.from_numpy(np.concatenate([np.full(len(r.own), r.shape.lift, np.float32) for _, r in parts]))
        self._points = (arm, link, body, mass, lift)
        self._colliders = RigidColliders([rigid for _, rigid in parts], self._dt)
        self.adopt(self._scene, self._plan)

    def adopt(self, scene: Scene, plan: Plan) -> None:
        self._scene, self._plan = scene, plan
        self.pinned = {}
        for index, rigid in self.bodies.items():
            rigid.adopt(scene.bodies[index].material, self._dt)
        masses = [np.full(len(r.own), r.point_mass, np.float32) for r in self.bodies.values()]
        self._points[3].from_numpy(np.concatenate(masses))

    def set_gravity(self, gravity: NDArray) -> None:
        self._gravity = np.asarray(gravity, np.float64)

    def load(self, snapshot: Snapshot) -> None:
        for index in self.pinned:
            self.bodies[index].weigh_down(1.0)
        self.pinned = {}

        def write(state: Any) -> None:
            for index, rigid in self.bodies.items():
                pose = snapshot.rigid[index]
                still = not (pose.velocity.any() or pose.angular_velocity.any())
                rigid.write(rigid.put_on_plane(pose) if still else pose, state)

        self._solver.load(write)

    def store(self, out: Stored) -> None:
        self._refuse_trouble()
        self._carry()
        arrays = [out.array(name) for name in ("positions", "velocities", "F")]
        for index, rigid in self.bodies.items():
            out.rigid[index] = pose = rigid.store()
            rigid.carry(pose, rigid.own, *arrays)

    def _refuse_trouble(self) -> None:
        if trouble := self._solver.trouble():
            speeds = {rigid.name: np.linalg.norm(rigid.store().velocity) for rigid in self.bodies.values()}
            worst = max(speeds, key=lambda name: np.nan_to_num(speeds[name], nan=np.inf))
            raise SimulationError(
                f"The motion of the rigid '{worst}' cannot be followed: {trouble} Lower the strength of what drives it, or allow more "
                "substeps."
            )

    @property
    def points(self) -> int:
        return len(self._points[1].to_numpy())

    def point_bodies(self) -> NDArray[np.int32]:
        return self._points[2].to_numpy()

    def show(self, near: Surroundings, first: int) -> None:
        arm, link, _, _, lift = self._points
        near.show_rigid(self._solver.links, arm, link, lift, first)

    def feel(self, near: Surroundings, first: int) -> None:
        _, link, _, _, lift = self._points
        near.push_rigid(self._solver.links, link, lift, first, self._dt)

    def motion(self) -> tuple[NDArray, NDArray]:
        found = [rigid.particles(rigid.store()) for rigid in self.bodies.values()]
        return np.concatenate([p for p, _ in found]), np.concatenate([v for _, v in found])

    def hold(self, acceleration: NDArray | None) -> None:
        self._held = acceleration

    def set_moved(self, moved: Sequence[Pin | Collider]) -> None:
        self._carry()
        before, self.pinned = self.pinned, {}
        for pin in (thing for thing in moved if isinstance(thing, Pin)):
            for index, rigid in self.bodies.items():
                pose = rigid.store()
                positions, _ = rigid.particles(pose)
                if pin.reaches(positions, np.full(len(positions), index)):
                    self.pinned[index] = PinnedBody(rigid.shape.centre, pose, pin.motion)
        for index in self.pinned.keys() - before.keys():
            self.bodies[index].weigh_down(PINNED_MASSES)
        for index in before.keys() - self.pinned.keys():
            released = self.bodies[index]
            released.weigh_down(1.0)
            released.place(released.put_on_plane(released.store()))
        self._colliders.set([thing for thing in moved if isinstance(thing, Collider)])
        self._substep = 0

    def _carry(self) -> None:
        """Put what pins hold exactly where they hold it at the start of the next substep."""
        for index, held in self.pinned.items():
            self.bodies[index].place(held.after(self._substep * self._dt))

    def weigh(self, forces: CompiledForces) -> None:
        forces.weigh_rigid(self._solver.links, *self._points)

    def before_substep(self, forces: CompiledForces) -> None:
        self._carry()
        begun = self._substep * self._dt
        self._substep += 1
        if self._held is not None:
            for rigid in self.bodies.values():
                rigid.push(-rigid.shape.mass * self._held, np.zeros(3))
        if forces.any:
            forces.apply_rigid(self._solver.links, *self._points)
        self._colliders.push(begun, self._gravity, self.bodies.keys() - self.pinned.keys())

    def substep(self) -> None:
        self._solver.substep()
