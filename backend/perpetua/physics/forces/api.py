"""What a force is at a moment: one small class a kind, with its formula, units and source.

Every force gives a particle of velocity v the acceleration

    a = g - (k + q |v|) v

with g its own pull (m/s^2) and k, q >= 0 its resistance (1/s, 1/m). ``compiled`` evaluates the same formulas before every substep of
dt s and takes the resistance at the end of it, gravity included, so that the strongest drag is stable and the speed at which it
balances its pull is exact:

    v' = v + dt g - dt (k + q |v'|) v',  of which  |v'| = 2 s / (b + sqrt(b^2 + 4 dt q s)),  s = |v + dt g|,  b = 1 + dt k.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.forces.fading import Fading

Vec = NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """A control step of the engine. frame: its middle, in frames of the take.  step: its length, in frames."""

    frame: float
    step: float
    fps: float

    @property
    def seconds(self) -> float:
        """Seconds since the picture."""
        return self.frame / self.fps


@dataclass(frozen=True)
class Row:
    """A force as the compiled kernel reads it; what a kind does not use stays zero. Lengths in m."""

    kind: int
    centre: Vec
    axis: Vec = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    vector: Vec = field(default_factory=lambda: np.zeros(3))
    """Wind: pull of the air, m/s^2. Push: force, N."""
    strength: float = 0.0
    """m/s^2 (radial, turbulence) or 1/s^2 (vortex)."""
    inflow: float = 0.0
    """1/s^2 (vortex)"""
    linear: float = 0.0
    """1/s"""
    quadratic: float = 0.0
    """1/m"""
    reach: float = 0.0
    """Radius of a push, or of a wind that does not blow everywhere; zero is everywhere."""
    fading: Fading = field(default_factory=Fading)
    waves: NDArray[np.float64] | None = None
    """[M, 7] of a turbulence: wave vector (rad/m), polarisation, phase (rad)."""


@dataclass(frozen=True)
class Force(ABC):
    """An action at a moment. bodies: [B] bool, which it acts on.  centre: [3], m."""

    name: str
    bodies: NDArray[np.bool_]
    centre: Vec

    @abstractmethod
    def weight(self, positions: NDArray) -> NDArray[np.float64]:
        """[N] >= 0: how strongly it acts at ``positions`` [N, 3] m."""

    @abstractmethod
    def parts(
        self,
        positions: NDArray,
        mass: NDArray,
        body: NDArray,
        total: float | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Pull [N, 3] m/s^2 and resistance, [N] 1/s and [N] 1/m, for matter at ``positions`` [N, 3] m of ``mass`` [N] kg and
        ``body`` [N]. ``total`` is the weighted mass in kg that a push is shared by, if other matter shares it."""

    @abstractmethod
    def row(self) -> Row:
        """The numbers of this force for the compiled kernel."""

    def acceleration(
        self,
        positions: NDArray,
        velocities: NDArray,
        mass: NDArray,
        body: NDArray,
        total: float | None = None,
        dt: float = 0.0,
    ) -> NDArray[np.float64]:
        """[N, 3] m/s^2: the formula, or with ``dt`` s what a substep of that length does (see the module)."""
        pull, linear, quadratic = self.parts(positions, mass, body, total)
        if dt == 0.0:
            return pull - (linear + quadratic * np.linalg.norm(velocities, axis=1))[:, None] * velocities
        free = velocities + dt * pull
        speed, b = np.linalg.norm(free, axis=1), 1.0 + dt * linear
        slowed = 2.0 * speed / (b + np.sqrt(b * b + 4.0 * dt * quadratic * speed))
        return (free / (b + dt * quadratic * slowed)[:, None] - velocities) / dt

    def reaches(self, positions: NDArray, body: NDArray) -> bool:
        """Whether it touches any matter at ``positions`` [N, 3] of ``body`` [N] that it is meant for."""
        return bool((self.weight(positions)[self.bodies[body]] > 0).any())


@dataclass(frozen=True)
class Field(Force):
    """A force that does not ask how heavy things are. axis: [3] unit vector of the falloff."""

    axis: Vec
    fading: Fading

    def weight(self, positions: NDArray) -> NDArray[np.float64]:
        return self.fading.weight(positions - self.centre, self.axis)

    @abstractmethod
    def pull(self, positions: NDArray) -> NDArray[np.float64]:
        """[N, 3] m/s^2 where the weight is 1."""

    @abstractmethod
    def resistance(self) -> tuple[float, float]:
        """k in 1/s and q in 1/m where the weight is 1."""

    def parts(
        self,
        positions: NDArray,
        mass: NDArray,
        body: NDArray,
        total: float | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        weight = self.weight(positions) * self.bodies[body]
        linear, quadratic = self.resistance()
        return weight[:, None] * self.pull(positions), weight * linear, weight * quadratic
