"""Particles on Genesis' grid (the material point method): solids that deform, snow, sand and liquids.

Import after ``runtime.fresh``: the compiler needs Genesis to have started.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import quadrants as qd
import torch

from perpetua.physics.contact import PlaneContact, resting_heights
from perpetua.physics.forces.compiled import CompiledForces
from perpetua.physics.mpm_materials import default_plastic, genesis_material
from perpetua.physics.parts import Building, Part, Snapshot, Stored, quiet, solver_state


class SoftPart(Part):
    """The bodies of matter on the grid, the plane they stand on, and the actions on them."""

    models = frozenset({"elastic", "plastic", "snow", "sand", "liquid"})

    def __init__(self, building: Building) -> None:
        gs, scene, plan = building.gs, building.scene, building.plan
        self.scene, self.plan = scene, plan
        self._genesis, self._solver = building.genesis, building.genesis.sim.mpm_solver
        body, own = scene.particles.body, building.bodies_of(self.models)
        self.order = np.concatenate([np.flatnonzero(body == i) for i in own])
        self.body = body[self.order]
        columns = (int(self._solver.grid_res[0]), int(self._solver.grid_res[1]))
        self._plane = PlaneContact(plan.box.lower, columns, plan.box.dx, plan.dt)
        building.genesis.add_force_field(gs.force_fields.Custom(self._plane.acceleration))
        for index in own:
            building.genesis.add_entity(
                gs.morphs.Nowhere(n_particles=int((body == index).sum())),
                genesis_material(gs, scene.bodies[index].material, plan.dt),
            )

    def built(self) -> None:
        count, bodies = len(self.order), len(self.scene.bodies)
        materials = [b.material for b in self.scene.bodies]
        density = np.array([m.density for m in materials])[self.body]
        self._body = qd.field(qd.i32, shape=count)
        self._height = qd.field(qd.f32, shape=count)
        self._friction = qd.field(qd.f32, shape=bodies)
        self._mass = qd.field(qd.f32, shape=count)
        self._body.from_numpy(self.body.astype(np.int32))
        self._height.from_numpy(resting_heights(self.scene)[self.order])
        self._friction.from_numpy(np.array([m.friction for m in materials], np.float32))
        self._mass.from_numpy((density * self.scene.spacing**3).astype(np.float32))
        self._untouched_sand = np.array([default_plastic(m) for m in materials])[self.body] == 0.0

    def load(self, snapshot: Snapshot, genesis_state: Any) -> None:
        """Particles must lie inside the box (Genesis would end the process)."""
        state, particles, o = self._own(genesis_state), snapshot.particles, self.order
        plastic = particles.plastic[o].copy()
        plastic[self._untouched_sand & (plastic == 1.0)] = 0.0  # Particles.at_rest says 1 for all matter
        for target, values in (
            (state.pos, particles.positions[o]),
            (state.vel, particles.velocities[o]),
            (state.F, particles.F[o]),
            (state.C, particles.C[o]),
            (state.Jp, plastic),
        ):
            target.copy_(torch.from_numpy(np.ascontiguousarray(values, np.float32))[None])
        state.active.fill_(True)

    def store(self, out: Stored) -> None:
        state = self._now()
        for name, values in (
            ("positions", state.pos),
            ("velocities", state.vel),
            ("F", state.F),
            ("C", state.C),
            ("plastic", state.Jp),
        ):
            out.arrays[name][self.order] = values[0].cpu().numpy()

    def weigh(self, forces: CompiledForces) -> None:
        forces.weigh_mpm(self._solver, self._body, self._mass)

    def before_substep(self, forces: CompiledForces) -> None:
        self._plane.find_gaps(self._solver, self._body, self._height, self._friction)
        if forces.any or forces.damping:
            forces.apply_mpm(self._solver, self._body)

    def _own(self, genesis_state: Any) -> Any:
        return solver_state(self._genesis, genesis_state, self._solver)

    def _now(self) -> Any:
        with quiet():
            state = self._own(self._genesis.get_state())
        self._solver._queried_states.clear()
        return state
