"""Turbulence: a sum of travelling waves, each across its own direction of travel, so that the field has no divergence.

    a = w (S sqrt(2/M) sum_m e_m cos(k_m . x + c |k_m| t + phi_m) - flow v),     e_m . k_m = 0,  |e_m| = 1

as Kraichnan (1970), "Diffusion by a random velocity field", synthesises it. Over space the mean of |a|^2 is S^2 exactly. Wave lengths
lie within half an octave of ``size`` to either side; directions, polarisations and phases come from the seed. Half of the waves travel
one way and half the other, with the speed c (m/s).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.forces.api import Field, Moment, Row
from perpetua.physics.forces.fading import Fading
from perpetua.scene.actions import direction_at, sample_scalar, sample_vector
from perpetua_protocol import actions

TURBULENCE = 4

WAVES = 16
"""Waves in the sum: enough that the field looks random, few enough that it costs little beside the matter itself."""


@dataclass(frozen=True)
class Turbulence(Field):
    """strength: m/s^2, root mean square.  flow: 1/s.  waves: [WAVES, 7] wave vector (rad/m), polarisation, phase (rad)."""

    strength: float
    flow: float
    waves: NDArray[np.float64]

    @staticmethod
    def at(action: actions.Turbulence, moment: Moment, bodies: NDArray[np.bool_]) -> Turbulence:
        waves = random_waves(action.seed).copy()
        waves[:, :3] *= 2.0 * math.pi / action.size
        way = np.where(np.arange(WAVES) % 2, 1.0, -1.0)
        waves[:, 6] += way * action.speed * np.linalg.norm(waves[:, :3], axis=1) * moment.seconds
        waves[:, 6] %= 2.0 * math.pi  # small numbers keep their digits in the kernel's float32
        return Turbulence(
            action.name,
            bodies,
            sample_vector(action.location, moment.frame),
            direction_at(action.axis, moment.frame),
            Fading.of(action.falloff),
            sample_scalar(action.strength, moment.frame),
            action.flow,
            waves,
        )

    def pull(self, positions: NDArray) -> NDArray[np.float64]:
        k, e, phase = self.waves[:, :3], self.waves[:, 3:6], self.waves[:, 6]
        return self.strength * math.sqrt(2.0 / WAVES) * np.cos(positions @ k.T + phase) @ e

    def resistance(self) -> tuple[float, float]:
        return self.flow, 0.0

    def row(self) -> Row:
        return Row(
            TURBULENCE,
            self.centre,
            self.axis,
            strength=self.strength,
            linear=self.flow,
            fading=self.fading,
            waves=self.waves,
        )


@cache
def random_waves(seed: int) -> NDArray[np.float64]:
    """[WAVES, 7]: wave vectors of a length of about 1, unit vectors across them, phases."""
    rng = np.random.default_rng(seed % 2**32)
    direction = rng.normal(size=(WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    across = np.cross(direction, rng.normal(size=(WAVES, 3)))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    length = 2.0 ** rng.uniform(-0.5, 0.5, (WAVES, 1))
    waves = np.concatenate([length * direction, across, rng.uniform(0, 2 * math.pi, (WAVES, 1))], axis=1)
    waves.setflags(write=False)
    return waves
