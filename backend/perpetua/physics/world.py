"""A Genesis world of one scene: built once for a box of cells and a substep, then loaded with states and advanced.

Steps of one substep each are taken from Python: that costs a tenth of a substep and lets the actions and the plane act
every substep, at a hundredth of the memory that Genesis' own substeps would take. Import after ``runtime.fresh``.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import quadrants as qd
import torch
from numpy.typing import NDArray

from perpetua.physics import forces
from perpetua.physics.contact import PlaneContact, resting_heights
from perpetua.physics.forces import Load
from perpetua.physics.grid import Box
from perpetua.physics.mpm_materials import default_plastic, genesis_material
from perpetua.physics.particle_loads import ParticleLoads
from perpetua.physics.rigid import PLANE_FRICTION, RigidBody, forget_contacts
from perpetua.scene.particles import Particles, RigidPose
from perpetua.scene.scene import Scene


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
            self._add_rigid()
            for index in soft:
                self._scene.add_entity(
                    gs.morphs.Nowhere(n_particles=int((body == index).sum())),
                    genesis_material(gs, scene.bodies[index].material, plan.dt),
                )
            self._scene.build()
        self._solver = solver
        self._fill_constants(body)

    def _add_rigid(self) -> None:
        gs, scene = self._gs, self.scene
        hard = [i for i, b in enumerate(scene.bodies) if b.material.is_rigid]
        if hard:
            self._scene.add_entity(
                gs.morphs.Plane(), gs.materials.Rigid(needs_coup=False, friction=PLANE_FRICTION)
            )
        with tempfile.TemporaryDirectory(prefix="perpetua-rigid-") as folder:
            self.rigid = {i: RigidBody(gs, self._scene, scene, i, Path(folder)) for i in hard}

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

    def load(self, particles: Particles, poses: dict[int, RigidPose]) -> None:
        """Make this the world's state. Particles must lie inside the box (Genesis would end the process)."""
        with _quiet():
            state = self._scene.get_state()
            if len(self.order):
                self._write_soft(particles, self._mpm(state))
            if self.rigid:
                solver = self._scene.sim.rigid_solver
                for index, rigid in self.rigid.items():
                    rigid.write(poses[index], state.solvers_state[self._scene.sim.solvers.index(solver)])
            self._scene.reset(state)
            if self.rigid:
                forget_contacts(self._scene.sim.rigid_solver)

    def _write_soft(self, particles: Particles, state: Any) -> None:
        o = self.order
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

    def _mpm(self, state: Any) -> Any:
        return state.solvers_state[self._scene.sim.solvers.index(self._solver)]

    def store(self, before: Particles) -> tuple[Particles, dict[int, RigidPose]]:
        """The world's state: all particles (those of rigid bodies ride on their poses) and the poses.

        ``before`` gives what neither of them changes.
        """
        out = {
            "positions": before.positions.copy(),
            "velocities": before.velocities.copy(),
            "F": before.F.copy(),
            "C": before.C.copy(),
            "plastic": before.plastic.copy(),
        }
        if len(self.order):
            with _quiet():
                mpm = self._mpm(self._scene.get_state())
            self._solver._queried_states.clear()
            for name, values in (
                ("positions", mpm.pos),
                ("velocities", mpm.vel),
                ("F", mpm.F),
                ("C", mpm.C),
                ("plastic", mpm.Jp),
            ):
                out[name][self.order] = values[0].cpu().numpy()
        poses = {}
        for index, rigid in self.rigid.items():
            poses[index] = rigid.store()
            out["positions"][rigid.own], out["velocities"][rigid.own], rotation = rigid.particles(
                poses[index]
            )
            out["F"][rigid.own] = rotation
        return Particles(body=before.body, **out), poses

    def set_gravity(self, gravity: NDArray) -> None:
        """gravity: [3], m/s^2."""
        self._scene.sim.set_gravity(tuple(float(g) for g in gravity))

    def set_damping(self, rate: NDArray) -> None:
        """rate: [B], 1/s, at which each body's velocity decays."""
        self._loads.set_damping(np.exp(-np.asarray(rate) * self.plan.dt))

    def advance(self, loads: list[Load], substeps: int, hold: NDArray | None = None) -> None:
        """Take ``substeps`` substeps under ``loads``, which hold over all of them.

        ``hold``: [3] m/s^2 that rigid bodies are held against (gravity, while something settles).
        """
        wrenches, shared = self._rigid_wrenches(loads)
        if hold is not None:
            for index, rigid in self.rigid.items():
                wrenches[index] = (-rigid.shape.mass * hold, np.zeros(3))
        self._loads.set_loads(loads, shared)
        for _ in range(substeps):
            if len(self.order):
                self._plane.find_gaps(self._solver, self._body, self._height, self._friction)
                self._loads.apply(self._solver, self._body, self._mass)
            for index, (force, torque) in wrenches.items():
                self.rigid[index].push(force, torque)
            self._scene.step(update_visualizer=False)

    def _rigid_wrenches(self, loads: list[Load]) -> tuple[dict[int, tuple[NDArray, NDArray]], NDArray]:
        """Force and torque on every rigid body that an action reaches, and the mass [L] kg they add to each push."""
        shared = np.zeros(len(loads))
        if not loads or not self.rigid:
            return {}, shared
        points = {}
        for index, rigid in self.rigid.items():
            pose = rigid.store()
            positions, velocities, _ = rigid.particles(pose)
            points[index] = (rigid.shape.centre + pose.position, positions, velocities)
            body, mass = np.full(len(positions), index), np.full(len(positions), rigid.point_mass)
            shared += [
                forces.pushed_mass(item, positions, mass, body) if item.kind == forces.PUSH else 0.0
                for item in loads
            ]
        soft = self._pushed_soft(loads)
        out = {}
        for index, (centre, positions, velocities) in points.items():
            force, torque = np.zeros(3), np.zeros(3)
            for item, total in zip(loads, shared + soft, strict=True):
                f, t = forces.wrench(
                    item, centre, positions, velocities, self.rigid[index].point_mass, index, total
                )
                force, torque = force + f, torque + t
            if force.any() or torque.any():
                out[index] = (force, torque)
        return out, shared

    def _pushed_soft(self, loads: list[Load]) -> NDArray[np.float64]:
        if not len(self.order):
            return np.zeros(len(loads))
        with _quiet():
            positions = self._mpm(self._scene.get_state()).pos[0].cpu().numpy()
        self._solver._queried_states.clear()
        body = self.scene.particles.body[self.order]
        return np.array(
            [
                forces.pushed_mass(item, positions, self.mass[body], body)
                if item.kind == forces.PUSH
                else 0.0
                for item in loads
            ]
        )


class _quiet(warnings.catch_warnings):
    """Genesis and Quadrants warn of their own inner workings; none of it is for the artist."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
