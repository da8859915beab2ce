"""A vortex about an axis n: a = w (s n x r - inflow r_n - flow v), with r from a point of the axis and r_n its part across n.

s (1/s^2) is an angular acceleration: matter at rest turns by s t^2 / 2 before it is flung outward. inflow (1/s^2) is a centripetal pull:
matter that circles with omega = sqrt(inflow) stays at its distance. With flow k alone, matter held at a distance ends at the angular
speed s / k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.forces.api import Field, Moment, Row
from perpetua.physics.forces.fading import Fading
from perpetua.scene.actions import direction_at, sample_scalar, sample_vector
from perpetua_protocol import actions

VORTEX = 3


@dataclass(frozen=True)
class Vortex(Field):
    """strength: 1/s^2.  inflow: 1/s^2.  flow: 1/s."""

    strength: float
    inflow: float
    flow: float

    @staticmethod
    def at(action: actions.Vortex, moment: Moment, bodies: NDArray[np.bool_]) -> Vortex:
        return Vortex(
            action.name,
            bodies,
            sample_vector(action.location, moment.frame),
            direction_at(action.axis, moment.frame),
            Fading.of(action.falloff),
            sample_scalar(action.strength, moment.frame),
            sample_scalar(action.inflow, moment.frame),
            action.flow,
        )

    def pull(self, positions: NDArray) -> NDArray[np.float64]:
        r = positions - self.centre
        across = r - (r @ self.axis)[:, None] * self.axis
        return self.strength * np.cross(self.axis, r) - self.inflow * across

    def resistance(self) -> tuple[float, float]:
        return self.flow, 0.0

    def row(self) -> Row:
        return Row(
            VORTEX,
            self.centre,
            self.axis,
            strength=self.strength,
            inflow=self.inflow,
            linear=self.flow,
            fading=self.fading,
        )
