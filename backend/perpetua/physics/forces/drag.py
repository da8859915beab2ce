"""Drag: a = -w (k + q |v|) v, with k in 1/s (creeping flow) and q in 1/m (fast flow: q = rho_air c_d A / (2 m)).

Under gravity g matter falls at last with the speed that solves q v^2 + k v = g.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.forces.api import Field, Moment, Row
from perpetua.physics.forces.fading import Fading
from perpetua.scene.actions import direction_at, sample_scalar, sample_vector
from perpetua_protocol import actions

DRAG = 5


@dataclass(frozen=True)
class Drag(Field):
    """linear: 1/s.  quadratic: 1/m."""

    linear: float
    quadratic: float

    @staticmethod
    def at(action: actions.Drag, moment: Moment, bodies: NDArray[np.bool_]) -> Drag:
        return Drag(
            action.name,
            bodies,
            sample_vector(action.location, moment.frame),
            direction_at(action.axis, moment.frame),
            Fading.of(action.falloff),
            sample_scalar(action.linear, moment.frame),
            sample_scalar(action.quadratic, moment.frame),
        )

    def pull(self, positions: NDArray) -> NDArray[np.float64]:
        return np.zeros(positions.shape)

    def resistance(self) -> tuple[float, float]:
        return self.linear, self.quadratic

    def row(self) -> Row:
        return Row(
            DRAG,
            self.centre,
            self.axis,
            linear=self.linear,
            quadratic=self.quadratic,
            fading=self.fading,
        )
