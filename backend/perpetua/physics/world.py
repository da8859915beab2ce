"""A Genesis world of one scene: built once for a box of cells and a substep, then loaded with states and advanced.

Steps of one substep each are taken from Python: that costs a tenth of a substep and lets the actions and the plane act
every substep, at a hundredth of the memory that Genesis' own substeps would take. Import after ``runtime.fresh``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import quadrants as qd
import torch
from numpy.typing import NDArray

from perpetua.physics.contact import PlaneContact, resting_heights
from perpetua.physics.forces import Load
from perpetua.physics.grid import Box
from perpetua.physics.mpm_materials import default_plastic, genesis_material
from perpetua.physics.particle_loads import ParticleLoads
from perpetua.scene.particles import Particles
from perpetua.scene.scene import Scene

PLANE_FRICTION_ONLY_OWN = 0.01
"""Genesis takes the larger friction of two rigid bodies in contact; the plane's is the least it accepts."""


@dataclass(frozen=True)
class Plan:
    """What a world is compiled for. dt: substep, s.  capacity: actions at once."""

    box: Box
    dt: float
    capacity: int


class World:
    """The particles of ``scene`` in a running Genesis scene. One at a time in a process (see ``runtime``)."""

    def __init__(self, gs: Any, scene: Scene, plan: Plan) -> None:
        self.scene, self.plan = scene, plan
        body = scene.particles.body
        soft = [i for i, b in enumerate(scene.bodies) if not b.material.is_rigid]
        self.order = np.concatenate([np.flatnonzero(body == i) for i in soft] or [np.zeros(0, np.int64)])
        dx = plan.box.dx
        self._gs = gs
        with _quiet():
            self._scene = gs.Scene(
                show_viewer=False,
                sim_options=gs.options.SimOptions(dt=plan.dt, substeps=1),
                mpm_options=gs.options.MPMOptions(
                    lower_bound=tuple(float(c * dx) for c in plan.box.lower),
                    upper_bound=tuple(float(c * dx) for c in plan.box.upper),
                    grid_density=1.0 / dx,
                    particle_size=scene.spacing,
                ),
            )
            solver = self._scene.sim.mpm_solver
            columns = (int(solver.grid_res[0]), int(solver.grid_res[1]))
            self._plane = PlaneContact(plan.box.lower, columns, dx, plan.dt)
            self._scene.add_force_field(gs.force_fields.Custom(self._plane.acceleration))
            for index in soft:
                self._scene.add_entity(
                    gs.morphs.Nowhere(n_particles=int((body == index).sum())),
                    genesis_material(gs, scene.bodies[index].material, plan.dt),
                )
            self._scene.build()
        self._solver = solver
        self._fill_constants(body)

    def _fill_constants(self, body: NDArray) -> None:
        count, bodies = len(self.order), len(self.scene.bodies)
        materials = [b.material for b in self.scene.bodies]
        self.mass = np.array([m.density for m in materials]) * self.scene.spacing**3
        self._body = qd.field(qd.i32, shape=max(count, 1))
        self._height = qd.field(qd.f32, shape=max(count, 1))
        self._friction = qd.field(qd.f32, shape=bodies)
        self._mass = qd.field(qd.f32, shape=bodies)
        if count:
            self._body.from_numpy(body[self.order].astype(np.int32))
            self._height.from_numpy(resting_heights(self.scene)[self.order])
        self._friction.from_numpy(np.array([m.friction for m in materials], np.float32))
        self._mass.from_numpy(self.mass.astype(np.float32))
        self._loads = ParticleLoads(self.plan.capacity, bodies, self.plan.dt)
        self._untouched_sand = np.array([default_plastic(m) for m in materials])[body[self.order]] == 0.0

    def load(self, particles: Particles) -> None:
        """Make ``particles`` the world's state. They must lie inside the box (Genesis would end the process)."""
        o = self.order
        with _quiet():
            state = self._scene.get_state()
            mpm = state.solvers_state[self._scene.sim.solvers.index(self._solver)]
            plastic = particles.plastic[o].copy()
            plastic[self._untouched_sand & (plastic == 1.0)] = 0.0  # Particles.at_rest says 1 for all matter
            for target, values in (
                (mpm.pos, particles.positions[o]),
                (mpm.vel, particles.velocities[o]),
                (mpm.F, particles.F[o]),
                (mpm.C, particles.C[o]),
                (mpm.Jp, plastic),
            ):
                target.copy_(torch.from_numpy(np.ascontiguousarray(values, np.float32))[None])
            mpm.active.fill_(True)
            self._scene.reset(state)

    def store(self, before: Particles) -> Particles:
        """The world's state; what is not simulated as particles is taken from ``before``."""
        with _quiet():
            state = self._scene.get_state()
        mpm = state.solvers_state[self._scene.sim.solvers.index(self._solver)]
        self._solver._queried_states.clear()
        out = {
            "positions": before.positions.copy(),
            "velocities": before.velocities.copy(),
            "F": before.F.copy(),
            "C": before.C.copy(),
            "plastic": before.plastic.copy(),
        }
        for name, values in (
            ("positions", mpm.pos),
            ("velocities", mpm.vel),
            ("F", mpm.F),
            ("C", mpm.C),
            ("plastic", mpm.Jp),
        ):
            out[name][self.order] = values[0].cpu().numpy()
        return Particles(body=before.body, **out)

    def set_gravity(self, gravity: NDArray) -> None:
        """gravity: [3], m/s^2."""
        self._scene.sim.set_gravity(tuple(float(g) for g in gravity))

    def set_damping(self, rate: NDArray) -> None:
        """rate: [B], 1/s, at which each body's velocity decays."""
        self._loads.set_damping(np.exp(-np.asarray(rate) * self.plan.dt))

    def advance(self, loads: list[Load], substeps: int) -> None:
        """Take ``substeps`` substeps under ``loads``, which hold over all of them."""
        self._loads.set_loads(loads, np.zeros(len(loads)))
        for _ in range(substeps):
            self._plane.find_gaps(self._solver, self._body, self._height, self._friction)
            self._loads.apply(self._solver, self._body, self._mass)
            self._scene.step(update_visualizer=False)

    def pushed(self, count: int) -> NDArray[np.float32]:
        """[count], kg: matter within reach of each push at the last substep."""
        return self._loads.own_mass.to_numpy()[:count]


class _quiet(warnings.catch_warnings):
    """Genesis and Quadrants warn of their own inner workings; none of it is for the artist."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
