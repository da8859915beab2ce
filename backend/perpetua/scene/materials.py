"""Materials: what an object is made of, in SI units, with named presets.

Values are orders of magnitude for the thing named, softened where noted: an explicit solver's step shrinks with the
square root of the stiffness, and above some 1e6 Pa a body of ten centimetres shows no visible difference.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

from perpetua.errors import MaterialError
from perpetua_protocol.take import MaterialSpec

Model = Literal["elastic", "plastic", "snow", "sand", "liquid", "rigid"]


class Material(msgspec.Struct, frozen=True):
    """A constitutive model and its parameters."""

    preset: str
    model: Model
    density: float
    """kg/m^3"""
    youngs_modulus: float
    """Pa"""
    poisson_ratio: float
    yield_stress: float = 0.0
    """von Mises yield stress, Pa (plastic)"""
    viscosity: float = 0.0
    """dynamic viscosity, Pa s (liquid)"""
    friction_angle: float = 35.0
    """internal friction, degrees (sand)"""
    friction: float = 0.6
    """Coulomb friction against the support"""
    typical_height: float = 0.08
    """m, how tall such a thing on a table usually is; used when the artist gives no height"""

    @property
    def is_rigid(self) -> bool:
        return self.model == "rigid"

    @property
    def lame(self) -> tuple[float, float]:
        """(lambda, mu), Pa."""
        E, nu = self.youngs_modulus, self.poisson_ratio
        return E * nu / ((1 + nu) * (1 - 2 * nu)), E / (2 * (1 + nu))

    @property
    def sound_speed(self) -> float:
        """Speed of pressure waves, m/s: sqrt((lambda + 2 mu) / rho)."""
        lam, mu = self.lame
        return ((lam + 2 * mu) / self.density) ** 0.5


PRESETS: dict[str, Material] = {
    m.preset: m
    for m in (
        Material("clay", "plastic", 1400, 2.0e5, 0.35, yield_stress=3.0e3, friction=0.8, typical_height=0.06),
        Material(
            "dough", "plastic", 1100, 4.0e4, 0.40, yield_stress=1.2e3, friction=0.8, typical_height=0.09
        ),
        Material("jelly", "elastic", 1050, 1.5e4, 0.42, friction=0.4, typical_height=0.07),
        Material("rubber", "elastic", 1100, 4.0e5, 0.45, friction=0.9, typical_height=0.06),
        Material("snow", "snow", 400, 1.4e5, 0.20, friction=0.5, typical_height=0.15),
        Material("sand", "sand", 1600, 1.0e5, 0.20, friction_angle=33.0, friction=0.6, typical_height=0.15),
        Material("jam", "liquid", 1300, 1.0e5, 0.45, viscosity=30.0, friction=1.0, typical_height=0.06),
        Material("honey", "liquid", 1420, 1.0e5, 0.45, viscosity=10.0, friction=1.0, typical_height=0.03),
        Material("water", "liquid", 1000, 1.0e5, 0.45, viscosity=0.001, friction=0.0, typical_height=0.05),
        Material("wood", "rigid", 700, 1.0e9, 0.35, friction=0.5, typical_height=0.10),
        Material("porcelain", "rigid", 2400, 6.0e10, 0.20, friction=0.4, typical_height=0.10),
    )
}


def resolve(spec: MaterialSpec) -> Material:
    """The preset with the artist's changes. Raises ``MaterialError`` for an unknown preset or an impossible value."""
    if spec.preset not in PRESETS:
        raise MaterialError(
            f"There is no material called '{spec.preset}'; choose one of: {', '.join(sorted(PRESETS))}."
        )
    changes = {
        name: getattr(spec, name)
        for name in spec.__struct_fields__
        if name != "preset" and getattr(spec, name) is not None
    }
    material = msgspec.structs.replace(PRESETS[spec.preset], **changes)
    for name in ("density", "youngs_modulus"):
        if not 0 < getattr(material, name) < math.inf:
            raise MaterialError(
                f"Material '{spec.preset}' has {name} {getattr(material, name):g}; it must be a number above zero."
            )
    if not -1.0 < material.poisson_ratio < 0.5:
        raise MaterialError(
            f"Material '{spec.preset}' has Poisson ratio {material.poisson_ratio:g}; it must be below 0.5 (0.45 is nearly incompressible)."
        )
    for name in ("yield_stress", "viscosity", "friction"):
        if not 0 <= getattr(material, name) < math.inf:
            raise MaterialError(
                f"Material '{spec.preset}' has {name} {getattr(material, name):g}; it must be a number, zero or above."
            )
    if not 0 <= material.friction_angle < 90:
        raise MaterialError(
            f"Material '{spec.preset}' has friction_angle {material.friction_angle:g} degrees; use one from 0 to below 90."
        )
    return material


NICKNAMES = {
    "doh": "clay",
    "plasticine": "clay",
    "dumpling": "dough",
    "bread": "dough",
    "pudding": "jelly",
    "jello": "jelly",
}
"""Everyday words for the presets."""


def guess(words: str) -> str | None:
    """The preset that a file's name speaks of, such as "jam" for ``strawberry_jam.png``; None if it speaks of none."""
    for word in re.split(r"[^a-z]+", words.lower()):
        if word in PRESETS:
            return word
        if word in NICKNAMES:
            return NICKNAMES[word]
    return None
