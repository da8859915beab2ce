"""Liquids, grains and gases."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from perpetua.phys4d.data import draws
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.spec import Form, Look, Stream
from perpetua.phys4d.data.templates.bodies import SOLID_KINDS
from perpetua.phys4d.data.templates.draft import Draft, changed, spread, thing
from perpetua_protocol.actions import Emitter, Turbulence, Wind

LIQUID = ("water", "milk", "oil", "chocolate", "honey")
GRAINS = ("sand", "wet sand", "sugar", "snow", "fresh snow")
GAS = ("steam", "smoke")


def dam(random: Generator, config: DataConfig) -> Draft:
    """Columns of liquid collapse."""
    layout = spread(random, min(2, draws.count(random)))
    made = [
        thing(
            random,
            draws.pick(random, LIQUID),
            draws.form(random, ("box", "cylinder", "ball"), 0.9 * layout.size),
            layout,
            i,
        )
        for i in range(len(layout.places))
    ]
    return Draft(made, middle=(0.0, 0.0, 0.03))


def pour(random: Generator, config: DataConfig) -> Draft:
    """A liquid is poured onto a thing."""
    return _poured(random, LIQUID)


def splash(random: Generator, config: DataConfig) -> Draft:
    """A lump of liquid falls onto a body."""
    layout = spread(random, 1)
    under = thing(
        random,
        draws.pick(random, ("wood", "porcelain", "stone")),
        draws.form(random, SOLID_KINDS, 0.05),
        layout,
        0,
    )
    lump = thing(
        random,
        draws.pick(random, LIQUID),
        draws.form(random, ("ball", "box"), 0.05),
        layout,
        0,
        under.form.size[2] + 0.02,
    )
    return Draft([under, changed(lump, name="lump")])


def collapse(random: Generator, config: DataConfig) -> Draft:
    """Columns of grains give way."""
    layout = spread(random, min(2, draws.count(random)))
    made = [
        thing(
            random,
            draws.pick(random, GRAINS),
            draws.form(random, ("box", "cylinder", "cone"), layout.size),
            layout,
            i,
        )
        for i in range(len(layout.places))
    ]
    return Draft(made, middle=(0.0, 0.0, 0.03))


def chute(random: Generator, config: DataConfig) -> Draft:
    """Grains run onto a thing."""
    return _poured(random, GRAINS)


def heap(random: Generator, config: DataConfig) -> Draft:
    """A rigid body falls into a heap of grains."""
    layout = spread(random, 1)
    under = thing(random, draws.pick(random, GRAINS), Form("cone", (0.14, 0.14, 0.05)), layout, 0)
    body = thing(
        random,
        draws.pick(random, ("metal", "stone", "porcelain")),
        draws.form(random, ("ball", "box"), 0.035),
        layout,
        0,
        0.075,
    )
    return Draft(
        [under, changed(body, name="striker", velocity=(0.0, 0.0, -float(random.uniform(0.2, 0.9))))]
    )


def plume(random: Generator, config: DataConfig) -> Draft:
    """Gas rises from a pot."""
    return _rising(random, wind=False)


def wisps(random: Generator, config: DataConfig) -> Draft:
    """Gas rises among eddies."""
    draft = _rising(random, wind=False)
    draft.actions.append(
        Turbulence(
            name="eddies", strength=float(random.uniform(2, 6)), size=0.06, seed=int(random.integers(1000))
        )
    )
    return draft


def draught(random: Generator, config: DataConfig) -> Draft:
    """A wind bends rising gas."""
    return _rising(random, wind=True)


def _poured(random: Generator, presets: tuple[str, ...]) -> Draft:
    """A stream from above, onto a thing."""
    under = thing(
        random,
        draws.pick(random, ("wood", "porcelain", "plastic")),
        draws.form(random, SOLID_KINDS, 0.05),
        spread(random, 1),
        0,
    )
    top = under.form.size[2]
    preset = draws.pick(random, presets)
    lean = random.normal(0, 0.15, 2)
    look = draws.look(random)
    emitter = Emitter(
        name=f"stream of {preset}",
        colour=draws.srgb(look.colour),
        location=(
            float(random.normal(0, 0.01)),
            float(random.normal(0, 0.01)),
            top + draws.perturbed(random, 0.07),
        ),
        direction=(float(lean[0]), float(lean[1]), -1.0),
        radius=draws.perturbed(random, 0.011),
        speed=float(random.uniform(0.5, 0.9)),
        material=draws.material(random, preset),
    )
    return Draft([under], [Stream(emitter, look)], middle=(0.0, 0.0, 0.04))


def _rising(random: Generator, wind: bool) -> Draft:
    """Gas that leaves a pot upwards; with a wind across it if ``wind``."""
    pot = thing(
        random,
        draws.pick(random, ("porcelain", "metal")),
        draws.form(random, ("cylinder", "box"), 0.055),
        spread(random, 1),
        0,
    )
    preset = draws.pick(random, GAS)
    lean = random.normal(0, 0.3, 2)
    shade = float(random.uniform(0.75, 0.95) if preset == "steam" else random.uniform(0.15, 0.5))
    emitter = Emitter(
        name=preset,
        colour=draws.srgb((shade, shade, shade)),
        location=(pot.at[0], pot.at[1], pot.form.size[2] + 0.004),
        direction=(float(lean[0]), float(lean[1]), 1.0),
        radius=draws.perturbed(random, 0.011),
        speed=float(random.uniform(0.5, 1.1)),
        material=draws.material(random, preset),
    )
    made = Draft(
        [pot], [Stream(emitter, Look((shade,) * 3, (shade,) * 3))], middle=(0.0, 0.0, 0.09), distance=0.55
    )
    if wind:
        angle = random.uniform(0, 2 * np.pi)
        made.actions.append(
            Wind(
                "wind",
                (float(np.cos(angle)), float(np.sin(angle)), 0.0),
                float(random.uniform(0.3, 0.8)),
                drag=4.0,
                targets=(preset,),
            )
        )
    return made
