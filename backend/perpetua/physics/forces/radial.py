"""A force from a point: a = w (s r/|r| - flow v), with r from the centre and s in m/s^2 (negative attracts).

Without fading it has the potential -s |r|, so matter let go at distance r0 passes the centre of an attraction with sqrt(2 |s| r0).
At the centre itself there is no direction and no pull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.forces.api import Field, Moment, Row
from perpetua.physics.forces.fading import Fading
from perpetua.scene.actions import direction_at, sample_scalar, sample_vector
from perpetua_protocol import actions

RADIAL = 2


@dataclass(frozen=True)
class Radial(Field):
    """strength: m/s^2 away from the centre.  flow: 1/s."""

    strength: float
    flow: float

    @staticmethod
    def at(action: actions.Force, moment: Moment, bodies: NDArray[np.bool_]) -> Radial:
        return Radial(
            action.name,
            bodies,
            sample_vector(action.location, moment.frame),
            direction_at(action.axis, moment.frame),
            Fading.of(action.falloff),
            sample_scalar(action.strength, moment.frame),
            action.flow,
        )

    def pull(self, positions: NDArray) -> NDArray[np.float64]:
        r = positions - self.centre
        distance = np.linalg.norm(r, axis=1)[:, None]
        return self.strength * np.divide(r, distance, out=np.zeros_like(r, np.float64), where=distance > 0)

    def resistance(self) -> tuple[float, float]:
        return self.flow, 0.0

    def row(self) -> Row:
        return Row(
            RADIAL, self.centre, self.axis, strength=self.strength, linear=self.flow, fading=self.fading
        )
