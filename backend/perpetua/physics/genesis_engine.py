"""Physics by Genesis: a round's frames, one after another, from a state to the next.

    check -> world (box of cells, substep) -> [settle once] -> each frame: sample keys, advance, check, measure deformation

The same inputs give the same bytes on a CPU with one thread (the default; see ``runtime.THREADS_VARIABLE``), and a round of
2 n frames gives the same bytes as two rounds of n.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import Cancelled, SimulationError
from perpetua.physics import checks, deformation, forces, grid, motion, settle, stability, worlds
from perpetua.physics.api import RoundPlan, Simulation, SimulationStopped
from perpetua.physics.parts import Arrivals, Snapshot
from perpetua.progress import Progress
from perpetua.scene.actions import sample_scalar, sample_vector
from perpetua.scene.emission import Releases, awaiting, releases, waiting
from perpetua.scene.particles import Particles, State, present
from perpetua.scene.scene import Body, Scene
from perpetua.scene.trajectory import Trajectory
from perpetua_protocol.take import Collider, Emitter, Pin, Wind

if TYPE_CHECKING:
    from perpetua.physics.world import World

CELLS_PER_SPACING = 0.5
"""A grid cell is two particle spacings wide: eight particles a cell, the usual filling of the material point method."""

ROOM = 1.5
"""Space to each side of the scene at first, in sizes of the scene's matter."""

ACTIONS_AT_ONCE = 16
"""Kernels are compiled for this many actions (more compile anew)."""

REFINEMENTS = 2
"""A frame that explodes under a violent action is tried again with half the substep this often."""

FLOWING_MODELS = ("sand", "snow", "liquid")


@dataclass(frozen=True)
class GenesisEngine:
    """The engine registered as ``genesis``."""

    def simulate(self, scene: Scene, state: State, plan: RoundPlan, progress: Progress) -> Simulation:
        """Advance ``state`` by the round's frames. See :class:`perpetua.physics.api.PhysicsEngine`."""
        state = awaiting(scene, state)
        checks.check_input(scene, state)
        motion.check_targets([plan.round], {body.name: body.material for body in scene.bodies})
        try:
            return _Run(scene, state, plan, progress).frames()
        except Cancelled:
            raise  # the world is whole; the next round may load it
        except SimulationError:
            worlds.forget()
            raise
        except BaseException:
            worlds.discard()
            raise


class _Run:
    """One round: what stays the same over its frames, and the frames themselves."""

    def __init__(self, scene: Scene, state: State, plan: RoundPlan, progress: Progress) -> None:
        self.scene, self.state, self.plan, self.progress = scene, state, plan, progress
        self.dx = scene.spacing / (CELLS_PER_SPACING * plan.grid_refinement)
        self.frame_s = 1.0 / plan.fps
        self.gridded = np.array([body.material.on_grid for body in scene.bodies])
        self.soft = self.gridded[scene.particles.body]
        self.names = [body.name for body in scene.bodies]
        self.coming = releases(plan.round, plan.start_frame, plan.fps, scene.spacing)
        self.waiting = _waiting(scene, state, plan, self.coming)
        self.substeps = stability.choose_substeps(
            scene.bodies, self.dx, plan.fps, _expected_speed(state, plan), plan.max_substeps
        )
        self.dt = self.frame_s / self.substeps
        rest = scene.particles.positions
        matter = rest[self.soft] if self.soft.any() else rest
        low, high = matter.min(0), matter.max(0)
        self.fields = len(np.unique(scene.particles.body[self.soft]))
        self.box = grid.box_around(low, high, self.dx, ROOM * float((high - low).max()))
        grid.check_size(self.box, self.fields, self._farthest(scene.particles), plan.start_frame)
        self._deformations = [
            (own, deformation.Deformation(rest[own], scene.spacing, _stretch_limit(body)))
            for index, body in enumerate(scene.bodies)
            if self.gridded[index] and len(own := np.flatnonzero(scene.particles.body == index))
        ]
        self.touched = np.zeros(len(plan.round.actions), bool)
        self._refinements = 0
        self._world: World | None = None

    def frames(self) -> Simulation:
        """All frames of the round."""
        count = self.plan.round.frames
        total = self.state.total_F.astype(np.float32)
        now = Snapshot(self.state.particles, self.state.rigid, self.state.memory, present(total))
        positions, gradients = [now.particles.positions], [total]
        if settle.needs_settling(self.scene, self.state):
            self.progress(0.0, "settling under gravity")
            gravity = sample_vector(self.plan.gravity, self.plan.start_frame)
            world = self._roomy_world(now, 0)
            now = replace(now, particles=settle.settled(world, self.scene, self.state, gravity, self.dt))

        def so_far() -> Simulation:
            times = self.state.time + np.arange(len(positions), dtype=np.float64) * self.frame_s
            end = State(now.particles, total, now.rigid, float(times[-1]), now.memory)
            trajectory = Trajectory(np.stack(positions), np.stack(gradients), times)
            return Simulation(
                trajectory, end, self.substeps, self._idle(), self.box.corners if self.soft.any() else None
            )

        for frame in range(count):
            before = now
            try:
                now = self._frame(now, frame)
            except SimulationError as error:
                raise SimulationStopped(str(error), so_far()) from error
            total = self._deform(total, before, now)
            positions.append(now.particles.positions)
            gradients.append(total)
        self.progress(1.0, self._summary())
        return so_far()

    def _frame(self, now: Snapshot, frame: int) -> Snapshot:
        """The state a frame later; again with a finer substep where it exploded, and in a larger box where matter came
        to the faces of this one."""
        number = self.plan.start_frame + frame + 1
        while True:
            world = self._roomy_world(now, frame)
            working = self._advance(world, now, frame)
            after = world.store(now.particles)
            came = self._coming_in(frame)
            expected = now.present.copy()
            expected[came.index] = True
            try:
                checks.check_frame(self.scene, after, expected, self.dx, self.dt, number, working)
                if not working and self.gridded.all():
                    checks.check_momentum(self.scene, now, after, self._gained(frame, came), self.dx, number)
            except checks.Exploded:
                if self._hopeless(now, frame) or not self._refine():
                    raise
                continue
            grid.check_near(after.particles.positions, after.particles.body, self.names, number)
            low, high, _ = self._extent(after.particles, frame)
            if self.box.contains(low, high):
                return after
            self._grow(after.particles, low, high, 0.0, frame)

    def _hopeless(self, now: Snapshot, frame: int) -> bool:
        """Whether an action throws matter faster than the finest substep could follow."""
        start = self.plan.start_frame
        finest = checks.CELLS_PER_SUBSTEP * self.dx / self.dt * 2 ** (REFINEMENTS - self._refinements)
        spacing = self.scene.spacing
        kinds, of = self.scene.materials()
        mass = np.array([kind.particle_mass(spacing) for kind in kinds])[of][now.present]
        p = now.particles
        matter = p.positions[now.present], p.velocities[now.present], mass, p.body[now.present]
        middle = forces.Moment(start + frame + 0.5, 1.0, self.plan.fps)
        for item in forces.forces_at(self.plan.round, start, middle, self.names):
            if item is not None:
                a = item.acceleration(*matter)
                if np.linalg.norm(a, axis=1).max(initial=0.0) * self.frame_s > finest:
                    return True
        return False

    def _refine(self) -> bool:
        """Halve the substep for the rest of the round, where the cap allows it; whether that was possible."""
        if self._refinements == REFINEMENTS or 2 * self.substeps > (self.plan.max_substeps or np.inf):
            return False
        self._refinements += 1
        self.substeps *= 2
        self.dt /= 2
        self._world = None
        return True

    def _advance(self, world: World, before: Snapshot, frame: int) -> str:
        """Substeps of one frame; returns the quoted names of the actions that worked on matter in it."""
        there = before.present
        start, count = self.plan.start_frame, self.plan.round.frames
        out = self.coming.within(start + frame, start + frame + 1)
        self.touched[np.unique(self.coming.action[out])] = True
        working: dict[str, None] = {}
        for control in range(stability.CONTROL_STEPS):
            self.progress(
                (frame + control / stability.CONTROL_STEPS) / count, f"frame {frame + 1} of {count}"
            )
            now = start + frame + (control + 0.5) / stability.CONTROL_STEPS
            moment = forces.Moment(now, 1.0 / stability.CONTROL_STEPS, self.plan.fps)
            pulling = forces.forces_at(self.plan.round, start, moment, self.names)
            moved = motion.moved_at(self.plan.round, start, moment, self.scene.bodies)
            for index, item in enumerate(a or b for a, b in zip(pulling, moved, strict=True)):
                if item is not None:
                    working[f"'{item.name}'"] = None
                    if not self.touched[index]:
                        particles = before.particles
                        self.touched[index] = item.reaches(particles.positions[there], particles.body[there])
            world.set_gravity(sample_vector(self.plan.gravity, now))
            world.advance(
                [item for item in pulling if item is not None],
                self.substeps // stability.CONTROL_STEPS,
                moved=[item for item in moved if item is not None],
                arrivals=self._coming_in(frame, control) if len(self.coming) else None,
            )
        return ", ".join(working)

    def _coming_in(self, frame: int, control: int | None = None) -> Arrivals:
        """What leaves the emitters in one of a frame's control steps, or in all of the frame."""
        first = self.plan.start_frame + frame + (control or 0) / stability.CONTROL_STEPS
        which = self.coming.within(first, first + (1.0 if control is None else 1.0 / stability.CONTROL_STEPS))
        rows = self.waiting[which]
        order = np.argsort(rows)
        seconds = (self.coming.frames[which] - first) * self.frame_s
        positions, velocities = self.coming.positions[which], self.coming.velocities[which]
        return Arrivals(rows[order], positions[order], velocities[order], seconds[order])

    def _gained(self, frame: int, came: Arrivals) -> NDArray[np.float64]:
        """[P, 3] m/s that each particle gains in a frame if nothing but gravity acts, as ``_advance`` samples it."""
        start, steps = self.plan.start_frame + frame, stability.CONTROL_STEPS
        moments = (np.arange(steps) + 0.5) / steps
        gravity = np.array([sample_vector(self.plan.gravity, start + moment) for moment in moments])
        gained = np.tile(gravity.mean(0) * self.frame_s, (len(self.scene.particles), 1))
        ends = (np.arange(steps) + 1.0) * self.frame_s / steps
        left = np.clip(ends - came.seconds[:, None], 0.0, self.frame_s / steps)  # of each control step
        gained[came.index] = came.velocities + left @ gravity
        return gained

    def _extent(self, particles: Particles, frame: int) -> tuple[NDArray, NDArray, float]:
        """Corners [3], [3] m of the soft matter, and how far its fastest particle goes in a frame, m."""
        if not self.gridded.any():
            return np.zeros(3), np.zeros(3), 0.0
        soft = particles.positions[self.soft]
        came = self._coming_in(frame)
        moving = np.concatenate([particles.velocities[self.soft], came.velocities[self.soft[came.index]]])
        speed = np.linalg.norm(moving, axis=1).max(initial=0.0)
        if not len(soft):
            soft = np.zeros((1, 3), np.float32)
        return soft.min(0), soft.max(0), float(speed) * self.frame_s

    def _roomy_world(self, now: Snapshot, frame: int) -> World:
        """The world with the state ``now``, exchanged for one in a larger box when these particles need it."""
        low, high, travel = self._extent(now.particles, frame)
        if self._world is not None and self.box == self._world.plan.box and self.box.holds(low, high, travel):
            if now.rigid:  # as a restart would, or two rounds differed from one twice as long
                self._world.load(now)
            return self._world
        if not self.box.holds(low, high, travel):
            self._grow(now.particles, low, high, travel, frame)
        self.box = worlds.reusable_box(self.scene, self.dt, self.box, low, high, travel)
        capacity = max(ACTIONS_AT_ONCE, len(self.plan.round.actions))
        self._world = worlds.obtain(self.scene, self.dt, capacity, self.box, self.plan.seed)
        self._world.load(now)
        return self._world

    def _grow(self, particles: Particles, low: NDArray, high: NDArray, travel: float, frame: int) -> None:
        who, number = self._farthest(particles), self.plan.start_frame + frame + 1
        self.box = grid.grown(self.box, low, high, travel, who, number, self.fields)

    def _farthest(self, particles: Particles) -> str:
        """The name of the soft body that is farthest from the middle of the picture."""
        away = np.abs(particles.positions - self.scene.particles.positions.mean(0)).max(1) * self.soft
        return self.names[int(particles.body[away.argmax()])]

    def _deform(self, total: NDArray, before: Snapshot, after: Snapshot) -> NDArray[np.float32]:
        """[P, 3, 3]: the whole deformation since the picture; of matter that is on no grid it is the engine's F."""
        out = after.particles.F.copy()
        out[~after.present] = 0.0
        was, now = before.particles.positions, after.particles.positions
        for every, measure in self._deformations:
            own = every[before.present[every]]
            if len(own):
                out[own] = measure.advance(total[own], was[own], now[own], self.frame_s)
            out[every[after.present[every] & ~before.present[every]]] = np.eye(3)
        return out

    def _idle(self) -> tuple[str, ...]:
        """Names of the actions that reached no object so far."""
        pairs = zip(self.plan.round.actions, self.touched, strict=True)
        return tuple(action.name for action, touched in pairs if not touched)

    def _summary(self) -> str:
        text = f"{self.plan.round.frames} frames of {self.substeps} substeps"
        if self.soft.any():
            text += " in a box of {:.2g} x {:.2g} x {:.2g} m".format(*self.box.size)
        if idle := self._idle():
            text += f"; {', '.join(repr(name) for name in idle)} reached no object"
        return text


def _stretch_limit(body: Body) -> deformation.StretchLimit:
    flows = body.emitted or body.material.model in FLOWING_MODELS
    return deformation.FLOWING if flows else deformation.SOLID


def _waiting(scene: Scene, state: State, plan: RoundPlan, coming: Releases) -> NDArray[np.int64]:
    """[n]: the scene's particles that are ``coming`` out of the round's emitters. Raises ``SimulationError`` where one is there already."""
    rows = waiting(scene, coming, plan.round, plan.start_frame)
    if present(state.total_F)[rows].any():
        raise SimulationError(
            "Matter that an emitter is to let out is in the world already; begin the round from the state that the one before ended in."
        )
    return rows


def _expected_speed(state: State, plan: RoundPlan) -> float:
    """m/s that the round's winds and what the artist moves, and the state's own motion, make likely."""
    speeds = [float(np.linalg.norm(state.particles.velocities, axis=1).max(initial=0.0))]
    for action in plan.round.actions:
        for frame in range(plan.round.frames + 1):
            if isinstance(action, Wind):
                speeds.append(abs(sample_scalar(action.speed, plan.start_frame + frame)))
            elif isinstance(action, Emitter):
                speeds.append(sample_scalar(action.speed, plan.start_frame + frame))
            elif isinstance(action, Pin | Collider):
                moment = forces.Moment(plan.start_frame + frame, 1.0 / stability.CONTROL_STEPS, plan.fps)
                speeds.append(motion.fastest(action, moment))
    return max(speeds)
