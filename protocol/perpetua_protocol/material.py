"""What an artist says of a material: a named preset and its changes."""

from __future__ import annotations

import msgspec


class MaterialSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named preset and what the artist changes of it. None keeps the preset's value."""

    preset: str = "clay"
    density: float | None = None
    """kg/m^3"""
    youngs_modulus: float | None = None
    """Pa"""
    poisson_ratio: float | None = None
    yield_stress: float | None = None
    """von Mises yield stress of an elasto-plastic solid, Pa"""
    viscosity: float | None = None
    """Dynamic viscosity of a liquid or gas, Pa s; of a solid its internal (Kelvin-Voigt) shear viscosity, which ends its wobble"""
    friction_angle: float | None = None
    """Internal friction of sand, degrees"""
    cohesion: float | None = None
    """Strength of wet sand without pressure, Pa"""
    friction: float | None = None
    """Coulomb friction against the support; two bodies that touch share the geometric mean of theirs"""
    restitution: float | None = None
    """Share of the approach speed with which a rigid body bounces off, 0 to 1"""
    surface_tension: float | None = None
    """Surface tension of a liquid, N/m"""
    contact_angle: float | None = None
    """Angle at which a liquid's edge meets the support, degrees"""
    area_density: float | None = None
    """Mass of cloth, kg/m^2"""
    bending_stiffness: float | None = None
    """Flexural rigidity of cloth, N m"""
    temperature: float | None = None
    """Temperature of a gas, degrees Celsius; hotter than the room's 20 it rises"""
    lifetime: float | None = None
    """How long a puff of gas can be seen, s"""
