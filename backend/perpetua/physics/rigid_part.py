"""The rigid bodies of a scene as a part of its world: free bodies in Genesis, and the plane they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.physics import forces
from perpetua.physics.forces import Load
from perpetua.physics.parts import Building, Part, Snapshot, Stored, solver_state
from perpetua.physics.rigid import PLANE_FRICTION, RigidBody, forget_contacts

Wrench = tuple[NDArray[np.float64], NDArray[np.float64]]


class RigidPart(Part):
    """All rigid bodies; their particles ride on their poses."""

    models = frozenset({"rigid"})

    def __init__(self, building: Building) -> None:
        gs = building.gs
        self._genesis = building.genesis
        self._solver = building.genesis.sim.rigid_solver
        self._genesis.add_entity(
            gs.morphs.Plane(), gs.materials.Rigid(needs_coup=False, friction=PLANE_FRICTION)
        )
        self.bodies = {
            i: RigidBody(gs, self._genesis, building.scene, i, building.folder)
            for i in building.bodies_of(self.models)
        }
        self._wrenches: dict[int, Wrench] = {}

    def load(self, snapshot: Snapshot, genesis_state: Any) -> None:
        state = solver_state(self._genesis, genesis_state, self._solver)
        for index, rigid in self.bodies.items():
            rigid.write(snapshot.rigid[index], state)

    def loaded(self) -> None:
        forget_contacts(self._solver)

    def store(self, out: Stored) -> None:
        for index, rigid in self.bodies.items():
            out.rigid[index] = pose = rigid.store()
            positions, velocities, rotation = rigid.particles(pose)
            out.arrays["positions"][rigid.own] = positions
            out.arrays["velocities"][rigid.own] = velocities
            out.arrays["F"][rigid.own] = rotation

    def pushed_mass(self, loads: Sequence[Load]) -> NDArray[np.float64]:
        total = np.zeros(len(loads))
        for index, rigid in self.bodies.items():
            positions, _, _ = rigid.particles(rigid.store())
            body, mass = np.full(len(positions), index), np.full(len(positions), rigid.point_mass)
            total += [
                forces.pushed_mass(item, positions, mass, body) if item.kind == forces.PUSH else 0.0
                for item in loads
            ]
        return total

    def set_loads(self, loads: Sequence[Load], other_mass: NDArray, hold: NDArray | None) -> None:
        self._wrenches = {}
        if hold is not None:
            self._wrenches = {i: (-r.shape.mass * hold, np.zeros(3)) for i, r in self.bodies.items()}
        elif loads:
            total = self.pushed_mass(loads) + other_mass
            for index, rigid in self.bodies.items():
                force, torque = _wrench(rigid, index, loads, total)
                if force.any() or torque.any():
                    self._wrenches[index] = (force, torque)

    def before_substep(self) -> None:
        for index, (force, torque) in self._wrenches.items():
            self.bodies[index].push(force, torque)


def _wrench(rigid: RigidBody, index: int, loads: Sequence[Load], total: NDArray) -> Wrench:
    """Force and torque of all ``loads`` on a rigid body, each push shared by ``total`` [L] kg."""
    pose = rigid.store()
    centre = rigid.shape.centre + pose.position
    positions, velocities, _ = rigid.particles(pose)
    force, torque = np.zeros(3), np.zeros(3)
    for item, mass in zip(loads, total, strict=True):
        f, t = forces.wrench(item, centre, positions, velocities, rigid.point_mass, index, mass)
        force, torque = force + f, torque + t
    return force, torque
