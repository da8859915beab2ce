"""What is drawn at random: the ranges of the paper's Table 1, whose numbers are lost in print and are ours here.

| of | drawn |
|---|---|
| complexity | one body 30 %, two 35 %, three to five 35 % |
| material | density, Young's modulus, viscosity, yield stress by a factor; Poisson ratio, friction, restitution by value |
| environment | gravity; up to three lamps, their place, power and colour; the sky; thickness of the air; heat of gases |
| geometry | kind, scale, aspect ratio, turn |
| perturbation | every base value of a template by up to 15 % |
| looks | two colours, texture and its scale, roughness, metal |
"""

from __future__ import annotations

import colorsys

import msgspec
import numpy as np
from numpy.random import Generator

from perpetua.phys4d.data.spec import (
    MOVING_PATHS,
    CameraPlan,
    Form,
    Kind,
    Lamp,
    Look,
    Path,
    Room,
    Texture,
)
from perpetua.scene.presets import PRESETS
from perpetua_protocol.material import MaterialSpec
from perpetua_protocol.tracks import Quaternion, Vec3

COMPLEXITY = ((1,), 0.30), ((2,), 0.35), ((3, 4, 5), 0.35)
"""How many bodies, and how often."""
PERTURBATION = 0.15
DENSITY, STIFFNESS, FLUIDITY = (0.7, 1.4), (0.5, 2.0), (0.5, 2.0)
"""Factors on a preset's density; Young's modulus and yield stress; viscosity. The last two are drawn evenly in the logarithm."""
FRICTION, RESTITUTION = (0.2, 0.9), (0.1, 0.75)
POISSON_SHIFT = 0.05
GRAVITY = (8.0, 11.0)
"""m/s^2"""
TEMPERATURE = (60.0, 220.0)
"""degrees Celsius, of gases."""
AIR = (0.0, 0.6)
"""1/s, linear drag."""
ASPECT = (0.7, 1.4)
METALLIC_SHARE = 0.3
TEXTURES: tuple[Texture, ...] = ("plain", "noise", "checker", "stripes", "marble")
LAMP_POWER, LAMP_SIZE, LAMP_AWAY = (4.0, 13.0), (0.08, 0.6), (0.7, 1.0)
"""W; m; m from the middle."""
FIELD_OF_VIEW = (34.0, 50.0)
FIXED_AZIMUTHS = (0.0, -40.0, 40.0)


def count(random: Generator) -> int:
    """How many bodies a scene has."""
    chosen = random.choice(len(COMPLEXITY), p=[share for _, share in COMPLEXITY])
    return int(random.choice(COMPLEXITY[chosen][0]))


def perturbed(random: Generator, value: float) -> float:
    """``value`` within the perturbation ratio."""
    return float(value * random.uniform(1 - PERTURBATION, 1 + PERTURBATION))


def pick(random: Generator, choices: tuple[str, ...]) -> str:
    return str(choices[random.integers(len(choices))])


def material(random: Generator, preset: str) -> MaterialSpec:
    """A preset with its numbers drawn anew."""
    base = PRESETS[preset]

    def factor(span: tuple[float, float]) -> float:
        return float(np.exp(random.uniform(*np.log(span))))

    density, stiff, fluid = float(random.uniform(*DENSITY)), factor(STIFFNESS), factor(FLUIDITY)
    poisson, friction, bounce = (float(random.uniform(*span)) for span in ((-1, 1), FRICTION, RESTITUTION))
    changes: dict[str, float] = {}
    if base.model == "gas":
        return MaterialSpec(preset, temperature=float(random.uniform(*TEMPERATURE)))
    if base.model == "cloth":
        return MaterialSpec(
            preset,
            area_density=base.area_density * density,
            bending_stiffness=base.bending_stiffness * stiff,
            friction=friction,
        )
    changes |= {"density": base.density * density, "friction": friction}
    if base.model in ("elastic", "plastic", "snow", "sand"):
        changes["youngs_modulus"] = base.youngs_modulus * stiff
        changes["poisson_ratio"] = min(base.poisson_ratio + POISSON_SHIFT * poisson, 0.46)
    if base.model == "plastic":
        changes["yield_stress"] = base.yield_stress * stiff
    if base.model in ("elastic", "plastic", "liquid"):
        changes["viscosity"] = base.viscosity * fluid
    if base.model == "rigid":
        changes["restitution"] = bounce
    return MaterialSpec(preset, **changes)


def form(random: Generator, kinds: tuple[Kind, ...], size: float) -> Form:
    """One of ``kinds``, about ``size`` m wide, its sides in ratios of their own."""
    kind = kinds[random.integers(len(kinds))]
    ratio = random.uniform(*ASPECT, 3) if kind != "ball" else np.full(3, random.uniform(0.85, 1.2))
    sides = size * ratio / np.cbrt(np.prod(ratio)) * random.uniform(0.9, 1.1)
    if kind == "torus":
        sides[2] = 0.36 * sides[:2].mean()
    return Form(kind, (float(sides[0]), float(sides[1]), float(sides[2])), int(random.integers(1 << 30)))


def look(random: Generator, metal: bool = False) -> Look:
    """A colour, and another near it or far from it, in a texture."""
    hue, other = random.uniform(), random.uniform()
    light = random.uniform(0.35, 0.95)
    first = colorsys.hsv_to_rgb(hue, random.uniform(0.25, 0.9), light)
    second = colorsys.hsv_to_rgb(
        other if random.uniform() < 0.4 else hue,
        random.uniform(0.1, 0.9),
        float(np.clip(light * random.uniform(0.4, 1.5), 0.1, 0.95)),
    )
    return Look(
        _linear(first),
        _linear(second),
        TEXTURES[random.integers(len(TEXTURES))],
        float(random.uniform(0.008, 0.03)),
        float(random.uniform(0.15, 0.9)),
        float(random.uniform(0.6, 1.0)) if metal and random.uniform() < METALLIC_SHARE else 0.0,
    )


def room(random: Generator) -> Room:
    """Table, wall and sky; the two surfaces are duller than things."""
    table, wall = look(random), look(random)
    return Room(
        _dull(table, float(random.uniform(0.03, 0.12)), float(random.uniform(0.35, 0.9))),
        _dull(wall, float(random.uniform(0.1, 0.4)), 0.9),
        (float(random.uniform(0.75, 1.0)), float(random.uniform(0.85, 1.0)), 1.0),
        float(random.uniform(0.2, 0.6)),
    )


def lamps(random: Generator) -> tuple[Lamp, ...]:
    """One to three lamps above; the first is the strongest."""
    made = []
    for index in range(int(random.integers(1, 4))):
        angle, height = random.uniform(0, 2 * np.pi), random.uniform(0.5, 0.9)
        away = random.uniform(*LAMP_AWAY)
        flat = away * np.sqrt(1 - height**2)
        warm = random.uniform(0.0, 0.35)
        made.append(
            Lamp(
                (float(flat * np.cos(angle)), float(flat * np.sin(angle)), float(away * height)),
                float(random.uniform(*LAMP_POWER)) * (1.0 if index == 0 else 0.35),
                float(random.uniform(*LAMP_SIZE)),
                (1.0, float(1 - 0.5 * warm), float(1 - warm)),
            )
        )
    return tuple(made)


def cameras(random: Generator, distance: float) -> tuple[CameraPlan, ...]:
    """Three that stand and two that move, some ``distance`` m away."""
    view = float(random.uniform(*FIELD_OF_VIEW))
    away = perturbed(random, distance) * 40.0 / view
    made = []
    for number, base in enumerate(FIXED_AZIMUTHS):
        a, e = base + random.uniform(-15, 15), random.uniform(14, 40)
        made.append(_plan(f"fixed_{number + 1}", "fixed", (a, a), (e, e), (away, away), view))
    chosen = random.choice(len(MOVING_PATHS), 2, replace=False)
    for number, index in enumerate(chosen):
        a, e, turn = random.uniform(-30, 30), random.uniform(16, 34), random.choice((-1.0, 1.0))
        path = MOVING_PATHS[int(index)]
        sweep = turn * random.uniform(12, 30)
        azimuth = (
            (a, a + sweep) if path == "orbit" else (a, a + 0.3 * sweep) if path == "first person" else (a, a)
        )
        elevation = (
            (e, e + random.uniform(10, 22))
            if path == "crane"
            else (10.0, 10.0)
            if path == "first person"
            else (e, e)
        )
        nearer = away * random.uniform(0.7, 0.85)
        way = (away, nearer) if path in ("dolly", "first person") else (away, away)
        made.append(_plan(f"moving_{number + 1}", path, azimuth, elevation, way, view))
    return tuple(made)


def gravity(random: Generator) -> Vec3:
    return (0.0, 0.0, -float(random.uniform(*GRAVITY)))


def turned(random: Generator, upright: bool) -> Quaternion:
    """A turn about the vertical, or any turn."""
    if upright:
        half = random.uniform(0, np.pi)
        return (float(np.cos(half)), 0.0, 0.0, float(np.sin(half)))
    q = random.normal(size=4)
    q /= np.linalg.norm(q)
    return (float(q[0]), float(q[1]), float(q[2]), float(q[3]))


def _plan(
    name: str,
    path: Path,
    azimuth: tuple[float, float],
    elevation: tuple[float, float],
    distance: tuple[float, float],
    view: float,
) -> CameraPlan:
    def pair(values: tuple[float, float]) -> tuple[float, float]:
        return float(values[0]), float(values[1])

    return CameraPlan(name, path, pair(azimuth), pair(elevation), pair(distance), view)


def _dull(of: Look, scale: float, roughness: float) -> Look:
    def grey(colour: Vec3) -> Vec3:
        mean = sum(colour) / 3
        r, g, b = (0.35 * c + 0.65 * mean for c in colour)
        return r, g, b

    return msgspec.structs.replace(
        of, colour=grey(of.colour), second=grey(of.second), scale=scale, roughness=roughness
    )


def srgb(linear: Vec3) -> Vec3:
    """sRGB of linear RGB (IEC 61966-2-1)."""
    r, g, b = (float(12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055) for c in linear)
    return r, g, b


def _linear(encoded: tuple[float, float, float]) -> Vec3:
    """Linear RGB of sRGB (IEC 61966-2-1)."""
    r, g, b = (float(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in encoded)
    return r, g, b
