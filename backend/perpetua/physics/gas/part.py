"""Steam and smoke in a world: tracers that live a while, make the air lighter where they are, and are carried by it.

A puff is born at the foot of what the picture shows, rises, mixes with the room's air, and is gone after its lifetime; then it is
born again, so a steaming pot goes on steaming. Its excess over the room's air is FRESH exp(-age / (MIXING lifetime)), and the
air of a cell that puffs fill to the share c is accelerated by

    a = -g c (rho_air - rho_gas) / rho_air         (Boussinesq: the difference of density counts as weight only)

with c the puffs' volumes times their excess over the cell's. Puffs that the picture shows are as old as they are high. A puff's F is
its size: it grows in as it is born and shrinks away as it ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.gas.air import Air
from perpetua.physics.parts import Building, Part, Plan, Snapshot, Stored

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

LIFETIMES = 0.6
"""Puffs live between 1 - LIFETIMES / 2 and 1 + LIFETIMES / 2 of their material's lifetime, or they would all end at once."""

SIDE_ROOM, TOP_ROOM = 0.8, 2.0
"""Air beside and above the picture's gas, in its largest extent."""

GOLDEN = 0.6180339887498949

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
        self.order = np.concatenate([np.flatnonzero(body == i) for i in own])
        self.names = [scene.bodies[i].name for i in own]
        self.body = body[self.order]
        self.rest = scene.particles.positions[self.order].astype(np.float64)
        self.gravity = np.zeros(3)
        self._others: Sequence[Part] = ()
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

    def load(self, snapshot: Snapshot, genesis_state: Any) -> None:
        self.x = snapshot.particles.positions[self.order].copy()
        self.v = snapshot.particles.velocities[self.order].copy()
        memory = snapshot.memory
        self.air = self._still_air()
        self._fresh = "gas_u" not in memory
        if self._fresh:
            low, high = self.rest[:, 2].min(), self.rest[:, 2].max()
            self.born = 0.8 * self.lifetime * (self.rest[:, 2] - low) / max(high - low, 1e-6)
            self.age, self.lives = self.born.copy(), np.zeros(len(self.order), np.int64)
            return
        self.air.u, self.air.v, self.air.w = (memory[f"gas_{name}"].copy() for name in "uvw")
        self.born, self.age, self.lives = (memory[f"gas_{name}"].copy() for name in ("born", "age", "lives"))

    def store(self, out: Stored) -> None:
        out.arrays["positions"][self.order] = self.x
        out.arrays["velocities"][self.order] = self.v
        out.arrays["F"][self.order] = self.sizes()[:, None, None] * np.eye(3)
        if self._fresh:
            return  # nothing has moved yet; the first step finds the air still, as after any load
        for name in "uvw":
            out.memory[f"gas_{name}"] = getattr(self.air, name).copy()
        for name in ("born", "age", "lives"):
            out.memory[f"gas_{name}"] = getattr(self, name).copy()

    def sizes(self) -> NDArray[np.float64]:
        """[n]: how large each puff is, in its size in the picture."""
        left = np.clip((self.lifetime - self.age) / np.maximum(self.lifetime - self.born, 1e-9), 0.0, 1.0)
        grown = np.where(self.lives == 0, 1.0, np.clip(self.age / (BIRTH * self.lifetime), 0.0, 1.0))
        visible = _smooth(grown) * _smooth(np.clip(2.0 * left, 0.0, 1.0))
        return (SMALLEST + (1.0 - SMALLEST) * visible) * (1.0 + GROWTH * (1.0 - left))

    # -- motion ---------------------------------------------------------------------------------------------------

    def after_substeps(self, forces: Sequence[Force], seconds: float) -> None:
        """Let the air flow for ``seconds``, which the other matter has just taken."""
        if self._fresh:
            self._fresh = False
            step = 1.0 / 96.0
            for _ in range(round(WARM_UP_S / step)):
                self._flow((), step)
        speed = max(float(np.abs(f).max()) for f in (self.air.u, self.air.v, self.air.w))
        steps = min(max(1, math.ceil(speed * seconds / (FLOW_CELLS * self.air.dx))), MOST_STEPS)
        for _ in range(steps):
            dt = seconds / steps
            solid, velocity = self._flow(forces, dt)
            self._carry(dt, solid, velocity)

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
        excess = self.lightness * FRESH * np.exp(-self.age / (MIXING * self.lifetime))
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
        """Cells that other bodies fill [nx, ny, nz], and how those bodies move there [nx, ny, nz, 3] m/s."""
        air = self.air
        count = int(np.prod(air.shape))
        filled, momentum = np.zeros(count), np.zeros((count, 3))
        for part in self._others:
            positions, velocities = part.motion()
            cell = np.floor((positions - air.origin) / air.dx).astype(np.int64)
            inside = ((cell >= 0) & (cell < air.shape)).all(1)
            index = np.ravel_multi_index(tuple(cell[inside].T), air.shape)
            filled += np.bincount(index, minlength=count)
            for axis in range(3):
                momentum[:, axis] += np.bincount(index, velocities[inside, axis], count)
        solid = filled * self.scene.spacing**3 > FILLED * air.dx**3
        velocity = momentum / np.maximum(filled, 1.0)[:, None]
        return solid.reshape(air.shape), velocity.reshape(*air.shape, 3).astype(np.float32)

    def _carry(self, dt: float, solid: NDArray[np.bool_], solid_velocity: NDArray) -> None:
        air = self.air
        moved = air.carried(self.x, dt)
        moved[:, 2] = np.maximum(moved[:, 2], np.minimum(self.x[:, 2], 0.1 * self.scene.spacing))
        cell = np.floor((moved - air.origin) / air.dx).astype(np.int64)
        outside = ((cell < 0) | (cell >= air.shape)).any(1)
        at = tuple(np.clip(cell, 0, np.array(air.shape) - 1).T)
        stopped = solid[at] & ~outside
        moved[stopped] = self.x[stopped] + dt * solid_velocity[at][stopped]
        self.v = ((moved - self.x) / np.float32(dt)).astype(np.float32)
        self.x = moved.astype(np.float32)
        self.age += dt
        over = (self.age >= self.lifetime) | outside
        if over.any():
            self._bear(np.flatnonzero(over))

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
        low, high = self.rest.min(0), self.rest.max(0)
        extent = float((high - low).max()) + 2.0 * self.scene.spacing
        lower = low - SIDE_ROOM * extent
        upper = high + SIDE_ROOM * extent
        upper[2] = high[2] + TOP_ROOM * extent
        floor = bool(lower[2] <= 0.25 * extent)
        lower[2] = 0.0 if floor else lower[2]
        dx = max(FINEST * self.scene.spacing, float((np.prod(upper - lower) / MOST_CELLS) ** (1.0 / 3.0)))
        shape = np.ceil((upper - lower) / dx).astype(int)
        return Air.still(lower, dx, (int(shape[0]), int(shape[1]), int(shape[2])), floor)


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
