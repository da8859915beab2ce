"""Push and poke: newtons over the matter in a ball, a_i = F w_i / sum_j m_j w_j, so that sum_i m_i a_i = F exactly.

w = (1 - (d/R)^2)^2 within the reach R: a compact bell, smooth at its edge (kernels of this form are usual in smoothed particle
hydrodynamics; Monaghan 1992, "Smoothed particle hydrodynamics"). A poke is the push that delivers its impulse J (N s) within its window: over a
control step of length s that covers a share of the window, F = share J / s, and the shares add up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.forces.api import Force, Moment, Row, Vec
from perpetua.scene.actions import direction_at, sample_scalar, sample_vector
from perpetua_protocol import actions

PUSH = 6


@dataclass(frozen=True)
class Push(Force):
    """force: [3] N over the whole ball.  reach: m."""

    force: Vec
    reach: float

    @staticmethod
    def at(action: actions.Push, moment: Moment, bodies: NDArray[np.bool_]) -> Push:
        newtons = sample_scalar(action.force, moment.frame)
        return _push(action, newtons, moment, bodies)

    @staticmethod
    def of_poke(
        action: actions.Poke, window: tuple[float, float], moment: Moment, bodies: NDArray[np.bool_]
    ) -> Push:
        """The push that a poke with this ``window`` of frames is over the control step ``moment``."""
        start, end = window
        covered = min(end, moment.frame + moment.step / 2) - max(start, moment.frame - moment.step / 2)
        share = max(0.0, covered) / (end - start)
        return _push(action, share * action.impulse * moment.fps / moment.step, moment, bodies)

    def weight(self, positions: NDArray) -> NDArray[np.float64]:
        share = np.minimum(np.linalg.norm(positions - self.centre, axis=1) / self.reach, 1.0)
        return (1.0 - share**2) ** 2

    def weighted_mass(self, positions: NDArray, mass: NDArray, body: NDArray) -> float:
        """sum_j m_j w_j, kg: what the force is divided by."""
        return float((self.weight(positions) * mass * self.bodies[body]).sum())

    def parts(
        self,
        positions: NDArray,
        mass: NDArray,
        body: NDArray,
        total: float | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        shared = self.weighted_mass(positions, mass, body) if total is None else total
        weight = self.weight(positions) * self.bodies[body]
        if shared > 0:
            weight = weight / shared
        nothing = np.zeros(len(positions))
        return weight[:, None] * self.force, nothing, nothing

    def row(self) -> Row:
        return Row(PUSH, self.centre, vector=self.force, reach=self.reach)


def _push(
    action: actions.Push | actions.Poke, newtons: float, moment: Moment, bodies: NDArray[np.bool_]
) -> Push:
    direction = direction_at(action.direction, moment.frame)
    centre = sample_vector(action.location, moment.frame)
    return Push(action.name, bodies, centre, newtons * direction, action.reach)
