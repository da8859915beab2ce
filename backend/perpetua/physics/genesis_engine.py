"""Physics by Genesis: a round's frames, one after another, from a state to the next.

    check -> world (box of cells, substep) -> [settle once] -> each frame: sample keys, advance, check, measure deformation

The same inputs give the same bytes on a CPU with one thread (the default); see ``runtime.THREADS_VARIABLE``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.physics import checks, deformation, forces, grid, settle, stability
from perpetua.physics.api import RoundPlan, Simulation
from perpetua.progress import Progress
from perpetua.scene.actions import sample_scalar, sample_vector
from perpetua.scene.particles import Particles, RigidPose, State
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory
from perpetua_protocol.take import Wind

CELLS_PER_SPACING = 0.5
"""A grid cell is two particle spacings wide: eight particles a cell, the usual filling of the material point method."""

ROOM = 1.0
"""Space to each side of the scene at first, in sizes of the scene's matter."""

ACTIONS_AT_ONCE = 16
"""Kernels are compiled for this many actions (more compile anew)."""

FLOWING_MODELS = ("sand", "snow", "liquid")


@dataclass(frozen=True)
class GenesisEngine:
    """The engine registered as ``genesis``."""

    def simulate(self, scene: Scene, state: State, plan: RoundPlan, progress: Progress) -> Simulation:
        """Advance ``state`` by the round's frames. See :class:`perpetua.physics.api.PhysicsEngine`."""
        checks.check_input(scene, state)
        return _Run(scene, state, plan, progress).frames()


class _Run:
    """One round: what stays the same over its frames, and the frames themselves."""

    def __init__(self, scene: Scene, state: State, plan: RoundPlan, progress: Progress) -> None:
        from perpetua.physics import runtime

        self.scene, self.state, self.plan, self.progress = scene, state, plan, progress
        self.dx = scene.spacing / (CELLS_PER_SPACING * plan.grid_refinement)
        self.frame_s = 1.0 / plan.fps
        rigid = np.array([body.material.is_rigid for body in scene.bodies])
        self.soft = ~rigid[scene.particles.body]
        self.names = [body.name for body in scene.bodies]
        self.substeps = stability.choose_substeps(
            scene.bodies, self.dx, plan.fps, _expected_speed(state, plan), plan.max_substeps
        )
        self.dt = self.frame_s / self.substeps
        self._start = runtime.fresh
        rest = scene.particles.positions
        low, high = rest.min(0), rest.max(0)
        self.box = grid.box_around(low, high, self.dx, ROOM * float((high - low).max()))
        self.world = None

    def frames(self) -> Simulation:
        """All frames of the round."""
        count = self.plan.round.frames
        particles, poses = self.state.particles, self.state.rigid
        total = self.state.total_F.astype(np.float32)
        positions, gradients = [particles.positions], [total]
        touched = np.zeros(len(self.plan.round.actions), bool)
        if settle.needs_settling(self.scene, self.state):
            self.progress(0.0, "settling under gravity")
            self._make_room(particles, poses, 0)
            gravity = sample_vector(self.plan.gravity, self.plan.start_frame)
            particles = settle.settled(self.world, self.scene, self.state, gravity, self.dt)
        for frame in range(count):
            self.progress(frame / count, f"frame {frame + 1} of {count}")
            self._make_room(particles, poses, frame)
            before = particles
            particles, poses = self._frame(particles, poses, frame, touched)
            total = self._deform(total, before.positions, particles)
            positions.append(particles.positions)
            gradients.append(total)
        self.progress(1.0, self._summary(touched))
        times = self.state.time + np.arange(count + 1) * self.frame_s
        end = State(particles, total, poses, float(times[-1]))
        return Simulation(Trajectory(np.stack(positions), np.stack(gradients), times), end, self.substeps)

    def _frame(
        self, particles: Particles, poses: dict[int, RigidPose], frame: int, touched: NDArray
    ) -> tuple[Particles, dict[int, RigidPose]]:
        start = self.plan.start_frame
        self.world.load_rigid(poses)  # as a restart would, or two rounds differed from one twice as long
        per_control = self.substeps // stability.CONTROL_STEPS
        for control in range(stability.CONTROL_STEPS):
            now = start + frame + (control + 0.5) / stability.CONTROL_STEPS
            entries = forces.loads_at(self.plan.round, start, now, self.names)
            loads = [item for item in entries if item is not None]
            self.world.set_gravity(sample_vector(self.plan.gravity, now))
            self.world.advance(loads, per_control)
        after, moved = self.world.store(particles)
        checks.check_frame(
            self.scene, after, self.dx, self.dt, start + frame + 1, _quoted([item.name for item in loads])
        )
        return after, moved

    def _make_room(self, particles: Particles, poses: dict[int, RigidPose], frame: int) -> None:
        soft = particles.positions[self.soft]
        low, high = soft.min(0, initial=np.inf), soft.max(0, initial=-np.inf)
        travel = float(np.linalg.norm(particles.velocities, axis=1).max()) * self.frame_s
        if self.world is not None and self.box.holds(low, high, travel):
            return
        while not self.box.holds(low, high, travel):
            away = np.abs(particles.positions - self.scene.particles.positions.mean(0)).max(1) * self.soft
            who = self.names[int(particles.body[away.argmax()])]
            self.box = grid.grown(self.box, low, high, travel, who, self.plan.start_frame + frame)
        gs = self._start(self.plan.seed)
        from perpetua.physics.world import Plan, World

        capacity = max(ACTIONS_AT_ONCE, len(self.plan.round.actions))
        self.world = World(gs, self.scene, Plan(self.box, self.dt, capacity))
        self.world.load(particles, poses)

    def _deform(self, total: NDArray, before: NDArray, after: Particles) -> NDArray[np.float32]:
        out = after.F.copy()
        for index, body in enumerate(self.scene.bodies):
            own = self.scene.particles.body == index
            limit = deformation.FLOWING if body.material.model in FLOWING_MODELS else deformation.SOLID
            if own.any() and not body.material.is_rigid:
                out[own] = deformation.advance(
                    total[own], before[own], after.positions[own], limit, self.frame_s
                )
        return out

    def _summary(self, touched: NDArray) -> str:
        return f"{self.plan.round.frames} frames, {self.substeps} substeps each"


def _expected_speed(state: State, plan: RoundPlan) -> float:
    """m/s that the round's winds and the state's own motion make likely."""
    own = float(np.linalg.norm(state.particles.velocities, axis=1).max(initial=0.0))
    winds = [
        abs(sample_scalar(action.speed, plan.start_frame + frame))
        for action in plan.round.actions
        if isinstance(action, Wind)
        for frame in range(plan.round.frames + 1)
    ]
    return max([own, *winds])


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
