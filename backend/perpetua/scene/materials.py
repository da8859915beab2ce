"""Materials: what an object is made of, in SI units. The named ones are in ``presets.py``."""

from __future__ import annotations

import itertools
import math
import re
from typing import Literal

import msgspec

from perpetua.errors import MaterialError
from perpetua_protocol.take import MaterialSpec

Model = Literal["elastic", "plastic", "snow", "sand", "liquid", "rigid", "cloth", "gas"]


class Material(msgspec.Struct, frozen=True):
    """A constitutive model and its parameters. Which of them a model uses stands in brackets; others are ignored."""

    preset: str
    model: Model
    density: float
    """kg/m^3 (all; of a gas, at ``temperature``; of cloth, the fibres', which buoyancy and air drag see)"""
    youngs_modulus: float = 1.0e5
    """Pa (all but gas; of a liquid it sets the compressibility only, of cloth the stretch along its threads)"""
    poisson_ratio: float = 0.3
    yield_stress: float = 0.0
    """von Mises yield stress in tension, Pa (plastic)"""
    viscosity: float = 0.0
    """Dynamic viscosity, Pa s (liquid, gas); internal shear viscosity of Kelvin and Voigt, Pa s (elastic, plastic): a wobble of
    angular frequency w has the loss factor w viscosity / shear modulus"""
    friction_angle: float = 35.0
    """Internal friction, degrees (sand)"""
    cohesion: float = 0.0
    """Shear strength without pressure, Pa (sand)"""
    friction: float = 0.6
    """Coulomb friction against the support; where two bodies touch, the geometric mean of theirs acts"""
    restitution: float = 0.0
    """Share of the approach speed with which it bounces off, 0 to 1 (rigid)"""
    surface_tension: float = 0.0
    """N/m (liquid); with ``contact_angle`` the thickness at which a puddle stops to spread"""
    contact_angle: float = 90.0
    """Degrees at which the liquid's edge meets the support (liquid)"""
    area_density: float = 0.15
    """kg/m^2 (cloth)"""
    bending_stiffness: float = 1.0e-5
    """N m (cloth): flexural rigidity of a strip for each metre of its width"""
    temperature: float = 20.0
    """degrees Celsius (gas): hotter than the room rises"""
    lifetime: float = 2.0
    """s, how long a puff can be seen (gas)"""
    typical_height: float = 0.08
    """m, how tall such a thing on a table usually is; used when the artist gives no height"""

    @property
    def is_rigid(self) -> bool:
        return self.model == "rigid"

    @property
    def on_grid(self) -> bool:
        """Whether its particles move with a grid and deform, rather than as a body, a sheet or with the air."""
        return self.model not in ("rigid", "cloth", "gas")

    def particle_mass(self, spacing: float) -> float:
        """kg of a particle of such matter, ``spacing`` m from the next."""
        if self.model == "cloth":
            return self.area_density * spacing**2
        return self.density * spacing**3

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


POSITIVE = ("density", "youngs_modulus", "area_density", "lifetime")
NOT_NEGATIVE = (
    "yield_stress", "viscosity", "cohesion", "friction", "surface_tension", "bending_stiffness",
)  # fmt: skip
RANGES = {
    "friction_angle": (0.0, 89.0, "degrees"),
    "contact_angle": (0.0, 180.0, "degrees"),
    "restitution": (0.0, 1.0, ""),
    "temperature": (-273.0, 3000.0, "degrees Celsius"),
}
"""Least and largest value, and the unit, of the parameters that have both."""


def resolve(spec: MaterialSpec) -> Material:
    """The preset with the artist's changes. Raises ``MaterialError`` for an unknown preset or an impossible value."""
    from perpetua.scene.presets import PRESETS

    if spec.preset not in PRESETS:
        raise MaterialError(
            f"There is no material called '{spec.preset}'; choose one of: {', '.join(sorted(PRESETS))}."
        )
    changes = {
        name: getattr(spec, name)
        for name in spec.__struct_fields__
        if name != "preset" and getattr(spec, name) is not None
    }
    preset = PRESETS[spec.preset]
    if preset.model == "gas" and spec.temperature is not None and spec.density is None:
        changes["density"] = (
            preset.density * _kelvin(preset.temperature) / max(_kelvin(spec.temperature), 1.0)
        )
    material = msgspec.structs.replace(preset, **changes)
    for problem in _problems(material):
        raise MaterialError(f"Material '{spec.preset}' has {problem}")
    return material


def _kelvin(celsius: float) -> float:
    return celsius + 273.15


def _problems(material: Material) -> list[str]:
    out = []
    for name in POSITIVE:
        value = getattr(material, name)
        if not 0 < value < math.inf:
            out.append(f"{name} {value:g}; it must be a number above zero.")
    if not -1.0 < material.poisson_ratio < 0.5:
        out.append(
            f"Poisson ratio {material.poisson_ratio:g}; it must be below 0.5 (0.45 is nearly incompressible)."
        )
    for name in NOT_NEGATIVE:
        value = getattr(material, name)
        if not 0 <= value < math.inf:
            out.append(f"{name} {value:g}; it must be a number, zero or above.")
    for name, (least, most, unit) in RANGES.items():
        value = getattr(material, name)
        if not least <= value <= most:
            out.append(f"{name} {value:g}; use {least:g} to {most:g}{' ' + unit if unit else ''}.")
    return out


NICKNAMES = {
    "doh": "clay",
    "dumpling": "dough",
    "bread": "dough",
    "pudding": "jelly",
    "jello": "jelly",
    "gelatin": "jelly",
    "sponge": "foam",
    "sandcastle": "wet sand",
    "castle": "wet sand",
    "dune": "dry sand",
    "syrup": "honey",
    "marmalade": "jam",
    "tea": "water",
    "cloth": "cotton",
    "fabric": "cotton",
    "shirt": "cotton",
    "doll": "cotton",
    "cup": "porcelain",
    "pot": "porcelain",
    "teapot": "porcelain",
    "steel": "metal",
    "iron": "metal",
    "rock": "stone",
    "vapour": "steam",
    "vapor": "steam",
}
"""Everyday words for the presets."""


def guess(words: str) -> str | None:
    """The preset that a file's name speaks of, such as "jam" for ``strawberry_jam.png``; None if it speaks of none.

    Names of two words, such as "wet sand", come before those of one.
    """
    from perpetua.scene.presets import PRESETS

    spoken = [word for word in re.split(r"[^a-z]+", words.lower()) if word]
    for pair in itertools.pairwise(spoken):
        if " ".join(pair) in PRESETS:
            return " ".join(pair)
    for word in spoken:
        if word in PRESETS:
            return word
        if word in NICKNAMES:
            return NICKNAMES[word]
    return None
