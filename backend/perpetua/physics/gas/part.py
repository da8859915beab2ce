"""Steam and smoke in a world: tracers that live a while, make the air lighter where they are, and are carried by it.

A puff is born at the foot of what the picture shows, rises, mixes with the room's air, and is gone after its lifetime; then it is
born again, so a steaming pot goes on steaming. Its excess over the room's air is FRESH exp(-age / (MIXING lifetime)), and the
air of a cell that puffs fill to the share c is accelerated by

    a = -g c (rho_air - rho_gas) / rho_air         (Boussinesq: the difference of density counts as weight only)

with c the puffs' volumes times their excess over the cell's. Puffs that the picture shows are as old as they are high. A puff's F is
its size: it grows in as it is born and shrinks away as it ends.

A puff that an emitter lets out lives once. Over its first ``DRIVEN`` spacings it keeps the speed it came with, and so does the air of the cell
it is in: the mouth blows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.gas.air import Air
from perpetua.physics.gas.obstacles import obstructed, put_outside
from perpetua.physics.motion import Collider, Pin
from perpetua.physics.parts import Arrivals, Building, Part, Plan, Snapshot, Stored
from perpetua.scene.puffs import LIFETIMES

if TYPE_CHECKING:
    from perpetua.physics.forces import Force
    from perpetua.scene.scene import Scene

AIR_DENSITY = 1.204
"""kg/m^3, dry air at 20 degrees and one atmosphere"""

FRESH = 0.3
"""Share of the gas in a puff at its birth: what can be seen is mist that has already mixed with the room's air."""

MIXING = 0.3
"""Share of its lifetime in which a puff's excess falls to 1 / e. Measured plumes entrain air at a tenth of their speed times their
girth (Morton, Taylor and Turner 1956), which dilutes a plume of a few centimetres within a few diameters."""

MOST_CELLS = 120_000
"""About 50 ms CPU a step."""

FINEST = 0.75
"""A cell is so many spacings wide at least."""

SIDE_ROOM, TOP_ROOM = 0.8, 2.0
"""Air beside and above the picture's gas, in its largest extent."""

GOLDEN = 0.6180339887498949

WAITING, GONE = -1, -2
"""Lives of a puff that has not left its emitter yet, and of one that has faded away."""

DRIVEN = 2.0
"""So far, in spacings, the air is driven by what leaves an emitter: some two cells, of which one at least holds a puff at any time."""

STREAM_ROOM = 0.25
"""Air around the space that an emitter's stream is for, in its largest extent."""

SWIRL = 0.25
"""Strength of vorticity confinement (Fedkiw et al. use 0.1 to 0.5)."""

BIRTH = 0.12
"""Share of its life in which a puff grows in."""

SMALLEST = 0.2
"""Size of a puff that has just been born or is nearly gone; drawn this small it is not seen."""

GROWTH = 0.8
"""A puff is larger by this share at the end of its life."""

SOURCE = 0.15
"""Share of the picture's gas, counted from below, that new puffs come from."""

FILLED = 0.35
"""A cell of which other bodies fill so much is an obstacle."""

FLOW_CELLS = 2.0
"""The air moves so many cells a step at most."""

MOST_STEPS = 16
WARM_UP_S = 1.0
"""The air in a picture of steam moves already: so long it flows past the puffs before the first frame."""


class GasPart(Part):
    """All gas of a scene, in one box of air."""

    models = frozenset({"gas"})

    def __init__(self, building: Building) -> None:
        scene = building.scene
        self.scene = scene
        body, own = scene.particles.body, building.bodies_of(self.models)
        self.order = np.flatnonzero(np.isin(body, own))  # what comes in later rounds is at the end
        self.names = [scene.bodies[i].name for i in own]
        self.body = body[self.order]
        self.rest = scene.particles.positions[self.order].astype(np.float64)
        self.emitted = np.array([scene.bodies[i].emitted for i in self.body])
        self.gravity = np.zeros(3)
        self._arrivals: Arrivals | None = None
        self._others: Sequence[Part] = ()
        self._colliders: list[Collider] = []
        self._fresh = False
        self.adopt(scene, building.plan)
        self.air = self._still_air()

    def adopt(self, scene: Scene, plan: Plan) -> None:
        self.scene = scene
        materials = [scene.bodies[i].material for i in self.body]
        self.lightness = np.array([(AIR_DENSITY - m.density) / AIR_DENSITY for m in materials])
        vary = np.arange(len(self.order)) * GOLDEN % 1.0  # evenly, and the same in every run
        self.lifetime = np.array([m.lifetime for m in materials]) * (1.0 + LIFETIMES * (vary - 0.5))

    def meet(self, others: Sequence[Part]) -> None:
        self._others = others

    def set_gravity(self, gravity: NDArray) -> None:
        self.gravity = np.asarray(gravity, np.float64)

    # -- state ----------------------------------------------------------------------------------------------------

    def load(self, snapshot: Snapshot) -> None:
        self.x = snapshot.particles.positions[self.order].copy()
        self.v = snapshot.particles.velocities[self.order].copy()
        memory = snapshot.memory
        self.air = self._still_air()
        self._arrivals = None
        self._fresh = "gas_u" not in memory
        shown = ~self.emitted
        self.born, self.lives = np.zeros(len(self.order)), np.where(shown, 0, WAITING)
        if shown.any():
            low, high = self.rest[shown, 2].min(), self.rest[shown, 2].max()
            self.born[shown] = (0.8 * self.lifetime * (self.rest[:, 2] - low) / max(high - low, 1e-6))[shown]
        self.age = self.born.copy()
        if self._fresh:
            return
        for name in ("born", "age", "lives"):
            known = memory[f"gas_{name}"]  # of the puffs there were; those that came with this round wait
            getattr(self, name)[: len(known)] = known
        u, v, w = (memory[f"gas_{name}"] for name in "uvw")
        origin, dx = memory["gas_box"][:3], float(memory["gas_box"][3])
        before = Air(origin, dx, u.copy(), v.copy(), w.copy(), self.air.floor)
        if before.dx == self.air.dx and before.shape == self.air.shape and (origin == self.air.origin).all():
            self.air = before
        else:
            self.air.take_over(before)

    def store(self, out: Stored) -> None:
        out.present[self.order] = self.lives >= 0
        out.array("positions")[self.order] = self.x
        out.array("velocities")[self.order] = self.v
        out.array("F")[self.order] = self.sizes()[:, None, None] * np.eye(3)
        if self._fresh:
            return  # nothing has moved yet; the first step finds the air still, as after any load
        for name in "uvw":
            out.memory[f"gas_{name}"] = getattr(self.air, name).copy()
        out.memory["gas_box"] = np.append(self.air.origin, self.air.dx)
        for name in ("born", "age", "lives"):
            out.memory[f"gas_{name}"] = getattr(self, name).copy()

    def sizes(self) -> NDArray[np.float64]:
        """[n]: how large each puff is, in its size in the picture; zero for one that is not there."""
        left = np.clip((self.lifetime - self.age) / np.maximum(self.lifetime - self.born, 1e-9), 0.0, 1.0)
        grown = np.where(self.lives == 0, 1.0, np.clip(self.age / (BIRTH * self.lifetime), 0.0, 1.0))
        visible = _smooth(grown) * _smooth(np.clip(2.0 * left, 0.0, 1.0))
        return np.where(
            self.lives >= 0, (SMALLEST + (1.0 - SMALLEST) * visible) * (1.0 + GROWTH * (1.0 - left)), 0.0
        )

    # -- motion ---------------------------------------------------------------------------------------------------

    def expect(self, arrivals: Arrivals, substeps: int) -> None:
        mine = np.isin(arrivals.index, self.order)
        self._arrivals = Arrivals(
            np.searchsorted(self.order, arrivals.index[mine]),
            arrivals.positions[mine],
            arrivals.velocities[mine],
            arrivals.seconds[mine],
        )

    def set_moved(self, moved: Sequence[Pin | Collider]) -> None:
        """The colliders that the air flows around: those that act on any of its gas."""
        mine = np.unique(self.body)
        self._colliders = [
            thing for thing in moved if isinstance(thing, Collider) and thing.bodies[mine].any()
        ]

    def after_substeps(self, forces: Sequence[Force], seconds: float) -> None:
        """Let the air flow for ``seconds``, which the other matter has just taken."""
        if self._fresh:
            self._fresh = False
            step = 1.0 / 96.0
            for _ in range(0 if self.emitted.all() else round(WARM_UP_S / step)):
                self._flow((), step)
        coming, self._arrivals = self._arrivals, None
        speeds = [float(np.abs(f).max()) for f in (self.air.u, self.air.v, self.air.w)]
        if coming is not None and len(coming):
            speeds.append(float(np.linalg.norm(coming.velocities, axis=1).max()))
        steps = min(max(1, math.ceil(max(speeds) * seconds / (FLOW_CELLS * self.air.dx))), MOST_STEPS)
        dt = seconds / steps
        for step_number in range(steps):
            self._colliders = [collider.later(dt) for collider in self._colliders]
            solid, velocity = self._flow(forces, dt)
            self._carry(dt, solid, velocity)
            if coming is not None:
                step_of = np.minimum(coming.seconds // dt, steps - 1)
                self._let_in(coming, step_of == step_number, (step_number + 1) * dt)

    def _let_in(self, coming: Arrivals, which: NDArray[np.bool_], now: float) -> None:
        """The arrivals ``which`` are there from now on, ``now`` s into the control step."""
        if not which.any():
            return
        rows, v = coming.index[which], coming.velocities[which].astype(np.float32)
        self.x[rows] = coming.positions[which] + (now - coming.seconds[which])[:, None] * v
        self.v[rows] = v
        self.age[rows] = (now - coming.seconds)[which]
        self.born[rows] = 0.0
        self.lives[rows] = 1

    def _flow(self, forces: Sequence[Force], dt: float) -> tuple[NDArray[np.bool_], NDArray]:
        air = self.air
        solid, solid_velocity = self._obstacles()
        air.advect(dt)
        change = self._buoyancy() * dt + air.swirl(SWIRL, dt)
        change += self._driven(forces, dt)
        air.accelerate(change)
        air.project(solid, solid_velocity)
        return solid, solid_velocity

    def _buoyancy(self) -> NDArray[np.float64]:
        """[nx, ny, nz, 3] m/s^2."""
        air = self.air
        excess = (self.lives >= 0) * self.lightness * FRESH * np.exp(-self.age / (MIXING * self.lifetime))
        share = _deposited(self.x, excess * self.scene.spacing**3, air)
        light = np.clip(share / air.dx**3, -1.0, 1.0)
        return -light[..., None] * self.gravity

    def _driven(self, forces: Sequence[Force], dt: float) -> NDArray[np.float64]:
        """[nx, ny, nz, 3] m/s that the artist's forces add to the air in ``dt`` s."""
        air = self.air
        count = int(np.prod(air.shape))
        change = np.zeros((count, 3))
        if forces:
            centres, velocities = (
                air.centres().reshape(-1, 3),
                air.cell_velocities().reshape(-1, 3).astype(float),
            )
            mass = np.full(count, AIR_DENSITY * air.dx**3)
            for force in forces:
                body = next((i for i in np.unique(self.body) if force.bodies[i]), None)
                if body is not None:
                    change += dt * force.acceleration(centres, velocities, mass, np.full(count, body), dt=dt)
        return change.reshape(*air.shape, 3)

    def _obstacles(self) -> tuple[NDArray[np.bool_], NDArray]:
        """Cells that other bodies or colliders fill, or a mouth blows in [nx, ny, nz], and the speed there [nx, ny, nz, 3] m/s."""
        air = self.air
        count = int(np.prod(air.shape))
        filled, momentum = np.zeros(count), np.zeros((count, 3))
        for part in self._others:
            number, sum_ = _counted(*part.motion(), air)
            filled += number
            momentum += sum_
        way = self.age * np.linalg.norm(self.v, axis=1)
        young = self.emitted & (self.lives >= 0) & (way < DRIVEN * self.scene.spacing)
        blown, blow = _counted(self.x[young], self.v[young], air)
        solid = (filled * self.scene.spacing**3 > FILLED * air.dx**3) | (blown > 0)
        momentum = np.where(blown[:, None] > 0, blow, momentum)
        velocity = momentum / np.maximum(np.where(blown > 0, blown, filled), 1.0)[:, None]
        for collider in self._colliders:
            index, speed = obstructed(collider, air)
            solid[index], velocity[index] = True, speed
        return solid.reshape(air.shape), velocity.reshape(*air.shape, 3).astype(np.float32)

    def _carry(self, dt: float, solid: NDArray[np.bool_], solid_velocity: NDArray) -> None:
        air, there = self.air, self.lives >= 0
        moved = np.where(there[:, None], air.carried(self.x, dt), self.x)
        moved[:, 2] = np.maximum(moved[:, 2], np.minimum(self.x[:, 2], 0.1 * self.scene.spacing))
        cell = np.floor((moved - air.origin) / air.dx).astype(np.int64)
        outside = ((cell < 0) | (cell >= air.shape)).any(1)
        at = tuple(np.clip(cell, 0, np.array(air.shape) - 1).T)
        stopped = solid[at] & ~outside & there
        moved[stopped] = self.x[stopped] + dt * solid_velocity[at][stopped]
        for collider in self._colliders:
            moved[there] = put_outside(collider, moved[there], self.body[there])
        self.v = ((moved - self.x) / np.float32(dt)).astype(np.float32)
        self.x = moved.astype(np.float32)
        self.age += dt * there
        over = ((self.age >= self.lifetime) | outside) & there
        self.lives[over & self.emitted] = GONE
        if (over & ~self.emitted).any():
            self._bear(np.flatnonzero(over & ~self.emitted))

    def _bear(self, which: NDArray[np.int64]) -> None:
        """Let the puffs ``which`` begin again at the foot of the picture's gas; where is a fixed function of the puff and its lives."""
        self.lives[which] += 1
        self.age[which] = self.born[which] = 0.0
        for body in np.unique(self.body[which]):
            mine = which[self.body[which] == body]
            height = np.where(self.body == body, self.rest[:, 2], np.inf)
            source = np.argsort(height, kind="stable")[: max(1, int(SOURCE * (self.body == body).sum()))]
            chosen = (mine * 2654435761 + self.lives[mine] * 40503) % len(source)
            self.x[mine] = self.rest[source[chosen]]
        self.v[which] = self.air.at(self.x[which])

    def _still_air(self) -> Air:
        lows, highs, extents = [], [], []
        if not self.emitted.all():
            low, high = self.rest[~self.emitted].min(0), self.rest[~self.emitted].max(0)
            extents.append(float((high - low).max()) + 2.0 * self.scene.spacing)
            lows.append(low - SIDE_ROOM * extents[-1])
            highs.append(high + np.array([SIDE_ROOM, SIDE_ROOM, TOP_ROOM]) * extents[-1])
        for body in np.unique(self.body[self.emitted]):
            space = self.scene.bodies[body].vertices
            extents.append(float(np.ptp(space, axis=0).max()) + 2.0 * self.scene.spacing)
            lows.append(space.min(0) - STREAM_ROOM * extents[-1])
            highs.append(space.max(0) + STREAM_ROOM * extents[-1])
        lower, upper, extent = np.min(lows, 0), np.max(highs, 0), max(extents)
        floor = bool(lower[2] <= 0.25 * extent)
        lower[2] = 0.0 if floor else lower[2]
        dx = max(FINEST * self.scene.spacing, float((np.prod(upper - lower) / MOST_CELLS) ** (1.0 / 3.0)))
        shape = np.ceil((upper - lower) / dx).astype(int)
        return Air.still(lower, dx, (int(shape[0]), int(shape[1]), int(shape[2])), floor)


def _counted(positions: NDArray, velocities: NDArray, air: Air) -> tuple[NDArray, NDArray]:
    """How many of the points [n, 3] m are in each cell [nx ny nz], and the sum of their ``velocities`` [n, 3] m/s there [nx ny nz, 3]."""
    count = int(np.prod(air.shape))
    cell = np.floor((positions - air.origin) / air.dx).astype(np.int64)
    inside = ((cell >= 0) & (cell < air.shape)).all(1)
    index = np.ravel_multi_index(tuple(cell[inside].T), air.shape)
    sums = [np.bincount(index, velocities[inside, axis], count) for axis in range(3)]
    return np.bincount(index, minlength=count), np.stack(sums, -1)


def _deposited(points: NDArray, amount: NDArray, air: Air) -> NDArray[np.float64]:
    """[nx, ny, nz]: ``amount`` [n] at ``points`` [n, 3] m shared by the eight nearest cells, trilinearly."""
    g = (points - air.origin) / air.dx - 0.5
    base = np.floor(g).astype(np.int64)
    f = g - base
    out = np.zeros(int(np.prod(air.shape)))
    for corner in np.ndindex(2, 2, 2):
        cell = base + corner
        weight = np.prod(np.where(corner, f, 1.0 - f), axis=1)
        inside = ((cell >= 0) & (cell < air.shape)).all(1)
        index = np.ravel_multi_index(tuple(cell[inside].T), air.shape)
        out += np.bincount(index, (weight * amount)[inside], len(out))
    return out.reshape(air.shape)


def _smooth(share: NDArray) -> NDArray:
    return share * share * (3.0 - 2.0 * share)
