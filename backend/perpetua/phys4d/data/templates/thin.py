"""Cloth and ropes."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from perpetua.phys4d.data import draws
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.spec import Form, Thing
from perpetua.phys4d.data.templates.draft import Draft, spread, thing
from perpetua_protocol.actions import Push, Turbulence, Wind
from perpetua_protocol.material import MaterialSpec
from perpetua_protocol.tracks import ScalarTrack, Vec3

CLOTH = ("cotton", "silk", "denim")
ROPE_LENGTH, ROPE_THICKNESS = 0.16, 0.012
"""m"""
ROPE_DENSITY = 0.8
"""kg/m^2 of the band that a rope is simulated as: 10 g/m."""


def drape(random: Generator, config: DataConfig) -> Draft:
    """A sheet falls over things."""
    layout = spread(random, int(random.integers(1, 3)))
    made = [
        thing(
            random,
            draws.pick(random, ("wood", "jelly", "porcelain")),
            draws.form(random, ("ball", "box", "cylinder"), layout.size),
            layout,
            i,
        )
        for i in range(len(layout.places))
    ]
    top = max(body.form.size[2] for body in made)
    side = draws.perturbed(random, 0.17)
    made.append(
        _sheet(random, Form("sheet", (side, draws.perturbed(random, side), 0.0)), (0.0, 0.0, top + 0.012))
    )
    return Draft(made)


def curtain(random: Generator, config: DataConfig) -> Draft:
    """Hanging cloth is pushed out of its rest."""
    made = _hanging(random)
    x, _, z = made[0].at
    push = Push(
        "hand", (x, -0.005, z + 0.05), (float(random.normal(0, 0.4)), float(random.choice((-1, 1))), 0.0),
        ScalarTrack((0.0, 4.0, 9.0), (0.0, float(random.uniform(0.02, 0.08)), 0.0)), 0.05,
    )  # fmt: skip
    return Draft(made, actions=[push], middle=(0.0, 0.0, 0.09), distance=0.52)


def flag(random: Generator, config: DataConfig) -> Draft:
    """Hanging cloth in a gust."""
    gust = Wind(
        "gust", (float(random.normal(0, 0.5)), float(random.choice((-1, 1))), 0.0),
        ScalarTrack((0.0, 6.0, 14.0), (0.3, float(random.uniform(1.0, 2.2)), 0.6)), drag=float(random.uniform(2, 5)),
    )  # fmt: skip
    return Draft(_hanging(random), actions=[gust], middle=(0.0, 0.0, 0.09), distance=0.52)


def rope_fall(random: Generator, config: DataConfig) -> Draft:
    """Ropes fall, some over a thing."""
    layout = spread(random, int(random.integers(1, 3)))
    made = []
    if random.uniform() < 0.6:
        made.append(
            thing(
                random,
                draws.pick(random, ("wood", "porcelain")),
                draws.form(random, ("ball", "box", "cylinder"), 0.05),
                layout,
                0,
            )
        )
    top = max((body.form.size[2] for body in made), default=0.0)
    for index in range(len(layout.places)):
        made.append(
            _rope(
                random,
                index,
                (float(random.normal(0, 0.01)), 0.02 * index, top + 0.015 + 0.02 * index),
                hanging=False,
            )
        )
    return Draft(made)


def rope_gust(random: Generator, config: DataConfig) -> Draft:
    """Hanging ropes in a wind with eddies."""
    made = [
        _rope(random, i, (0.05 * (i - 1), 0.0, 0.02), hanging=True) for i in range(int(random.integers(1, 4)))
    ]
    wind = Wind("wind", (1.0, float(random.normal(0, 0.5)), 0.0), float(random.uniform(0.6, 1.6)), drag=3.0)
    eddies = Turbulence(
        name="eddies", strength=float(random.uniform(1, 4)), size=0.08, seed=int(random.integers(1000))
    )
    return Draft(made, actions=[wind, eddies], middle=(0.0, 0.0, 0.08), distance=0.52)


def swing(random: Generator, config: DataConfig) -> Draft:
    """Hanging ropes that a blow sets swinging."""
    made = [
        _rope(random, i, (0.06 * (i - 0.5), 0.0, 0.02), hanging=True)
        for i in range(int(random.integers(1, 3)))
    ]
    blow = Wind(
        "blow",
        (float(random.choice((-1, 1))), float(random.normal(0, 0.5)), 0.0),
        float(random.uniform(1.2, 2.2)),
        drag=5.0,
        end=5.0,
    )
    return Draft(made, actions=[blow], middle=(0.0, 0.0, 0.08), distance=0.52)


def _sheet(random: Generator, form: Form, at: Vec3, held: bool = False) -> Thing:
    preset = draws.pick(random, CLOTH)
    return Thing("sheet", form, draws.material(random, preset), draws.look(random), at, held=held)


def _hanging(random: Generator) -> list[Thing]:
    """A sheet that hangs by its upper edge across the front view."""
    size = (draws.perturbed(random, 0.17), 0.0, draws.perturbed(random, 0.15))
    return [_sheet(random, Form("sheet", size), (0.0, 0.0, 0.015), held=True)]


def _rope(random: Generator, index: int, at: Vec3, hanging: bool) -> Thing:
    long, thick = draws.perturbed(random, ROPE_LENGTH), draws.perturbed(random, ROPE_THICKNESS)
    size = (0.0, thick, long) if hanging else (long, thick, 0.0)
    stiff = float(np.exp(random.uniform(np.log(5e-6), np.log(2e-4))))
    matter = MaterialSpec(
        "cotton",
        area_density=draws.perturbed(random, ROPE_DENSITY),
        bending_stiffness=stiff,
        friction=float(random.uniform(*draws.FRICTION)),
    )
    turn = (1.0, 0.0, 0.0, 0.0) if hanging else draws.turned(random, upright=True)
    return Thing(f"rope {index + 1}", Form("rope", size), matter, draws.look(random), at, turn, held=hanging)
