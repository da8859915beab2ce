"""How strongly a field acts at a place: Blender's falloff, word for word.

Source: ``falloff_func`` and ``effector_falloff`` in Blender 4.5, source/blender/blenkernel/intern/effect.cc. With r the vector from the
centre and n the axis, d is |r| for a sphere and |n.r| for a tube and a cone, and

    f(d; power, min, max) = 0 where d > max,  1 where d < min,  else (1 + d - min)^-power

A tube multiplies f of the distance from its axis, a cone f of the angle from its axis in degrees. Lengths are metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua_protocol.actions import Falloff

SPHERE, TUBE, CONE = 0, 1, 2
SHAPES = {"sphere": SPHERE, "tube": TUBE, "cone": CONE}
SIDES = {"both": 0, "positive": 1, "negative": -1}

NO_END = 1e9
"""Stands for a largest distance that is switched off."""


@dataclass(frozen=True)
class Fading:
    """A ``Falloff`` as numbers. shape: SPHERE, TUBE or CONE.  side: 0 both, 1 along the axis, -1 against it."""

    shape: int = SPHERE
    side: int = 0
    power: float = 0.0
    least: float = 0.0
    most: float = NO_END
    radial_power: float = 0.0
    radial_least: float = 0.0
    radial_most: float = NO_END

    @staticmethod
    def of(falloff: Falloff) -> Fading:
        """The numbers of an artist's falloff. A smallest distance that is switched off is the same as zero."""

        def most(value: float | None) -> float:
            return NO_END if value is None else value

        return Fading(
            SHAPES[falloff.shape],
            SIDES[falloff.side],
            falloff.power,
            falloff.min_distance or 0.0,
            most(falloff.max_distance),
            falloff.radial_power,
            falloff.radial_min or 0.0,
            most(falloff.radial_max),
        )

    def weight(self, r: NDArray, axis: NDArray) -> NDArray[np.float64]:
        """[N] for places ``r`` [N, 3] m from the centre and the unit vector ``axis`` [3]."""
        distance = np.linalg.norm(r, axis=1)
        along = r @ axis
        if self.shape == SPHERE:
            weight = _faded(distance, self.power, self.least, self.most)
        else:
            weight = _faded(np.abs(along), self.power, self.least, self.most)
            if self.shape == TUBE:
                radial = np.linalg.norm(r - along[:, None] * axis, axis=1)
            else:
                cosine = np.divide(along, distance, out=np.ones_like(along), where=distance > 0)
                radial = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
            weight = weight * _faded(radial, self.radial_power, self.radial_least, self.radial_most)
        return np.where(self.side * along < 0.0, 0.0, weight)


def _faded(d: NDArray, power: float, least: float, most: float) -> NDArray[np.float64]:
    faded = np.maximum(1.0 + d - least, 1e-9) ** -power
    return np.where(d > most, 0.0, np.where(d < least, 1.0, faded))
