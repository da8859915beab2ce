"""Wind: a = w drag (u - v), the drag of slow air on small things (Stokes), linear in the relative velocity.

u is the air's velocity (m/s) and drag a rate (1/s): matter reaches u with the time constant 1 / drag. Within the reach R the weight
w is 1 up to 3/4 of R and falls smoothly to 0 at R, times Blender's falloff.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.forces.api import Field, Moment, Row, Vec
from perpetua.physics.forces.fading import Fading
from perpetua.scene.actions import direction_at, sample_scalar, sample_vector
from perpetua_protocol import actions

WIND = 1

CORE = 0.75
"""Share of a wind's reach with its full strength."""


@dataclass(frozen=True)
class Wind(Field):
    """velocity: [3] m/s of the air.  drag: 1/s.  reach: m, zero is everywhere."""

    velocity: Vec
    drag: float
    reach: float

    @staticmethod
    def at(action: actions.Wind, moment: Moment, bodies: NDArray[np.bool_]) -> Wind:
        direction = direction_at(action.direction, moment.frame)
        return Wind(
            action.name,
            bodies,
            sample_vector(action.location, moment.frame),
            direction,
            Fading.of(action.falloff),
            sample_scalar(action.speed, moment.frame) * direction,
            action.drag,
            action.reach or 0.0,
        )

    def weight(self, positions: NDArray) -> NDArray[np.float64]:
        weight = super().weight(positions)
        if self.reach > 0:
            weight = weight * smooth_edge(np.linalg.norm(positions - self.centre, axis=1) / self.reach)
        return weight

    def pull(self, positions: NDArray) -> NDArray[np.float64]:
        return np.broadcast_to(self.drag * self.velocity, positions.shape)

    def resistance(self) -> tuple[float, float]:
        return self.drag, 0.0

    def row(self) -> Row:
        return Row(
            WIND,
            self.centre,
            self.axis,
            self.drag * self.velocity,
            linear=self.drag,
            reach=self.reach,
            fading=self.fading,
        )


def smooth_edge(share: NDArray) -> NDArray[np.float64]:
    """1 up to ``CORE``, a smooth step to 0 from there to 1."""
    edge = np.clip((share - CORE) / (1.0 - CORE), 0.0, 1.0)
    return 1.0 - edge * edge * (3.0 - 2.0 * edge)
