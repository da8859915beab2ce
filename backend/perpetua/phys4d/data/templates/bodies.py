"""Rigid, soft and air-filled bodies."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from perpetua.phys4d.data import draws
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.shapes import volume
from perpetua.phys4d.data.spec import Form, Kind, Thing
from perpetua.phys4d.data.templates.draft import Draft, Layout, changed, spread, thing
from perpetua_protocol.actions import Poke, Push, Wind
from perpetua_protocol.material import MaterialSpec
from perpetua_protocol.tracks import ScalarTrack

SOLID_KINDS: tuple[Kind, ...] = ("ball", "box", "cylinder", "cone", "stone")
SOFT_KINDS: tuple[Kind, ...] = (*SOLID_KINDS, "torus")
RIGID = ("wood", "porcelain", "glass", "metal", "stone", "plastic")
SOFT = ("jelly", "rubber", "foam", "clay", "dough", "cream", "butter")
WALL_SHARE = 0.24
"""Of an air-filled body's least half side that is its shell."""
AIR_FILLING = MaterialSpec("foam", density=60.0, youngs_modulus=4.0e4, poisson_ratio=0.3, viscosity=1.0)
"""Air under a little pressure, softened and made heavier as stiff things are here: its bulk modulus, 3e4 Pa, is a fifth of what an
atmosphere gives, and 60 kg/m^3 let the substep be fifty times longer than 1.2 would."""


def drop(random: Generator, config: DataConfig) -> Draft:
    """Rigid bodies fall and bounce."""
    return Draft(_fall(random, RIGID, SOLID_KINDS, 3.0))


def slide(random: Generator, config: DataConfig) -> Draft:
    """One rigid body slides into others."""
    layout = spread(random, max(2, draws.count(random)))
    made = []
    for index in range(len(layout.places)):
        made.append(
            thing(
                random,
                draws.pick(random, RIGID),
                draws.form(random, ("box", "cylinder", "ball"), layout.size),
                layout,
                index,
            )
        )
    target = layout.places[1] - layout.places[0]
    speed = target / max(np.linalg.norm(target), 1e-9) * random.uniform(0.5, 1.1)
    made[0] = changed(made[0], velocity=(float(speed[0]), float(speed[1]), 0.0))
    return Draft(made)


def topple(random: Generator, config: DataConfig) -> Draft:
    """A tower that a ball knocks over."""
    side = draws.perturbed(random, 0.038)
    layers = int(random.integers(2, 5))
    made, height = [], 0.0
    for index in range(layers):
        form = Form("box", (side, side, draws.perturbed(random, 0.8 * side)))
        body = thing(random, draws.pick(random, RIGID), form, Layout(np.zeros((layers, 2)), side), index)
        made.append(changed(body, at=(0.0, 0.0, height), turn=(1.0, 0.0, 0.0, 0.0)))
        height += form.size[2]
    ball = Form("ball", (0.04,) * 3)
    away = random.choice((-1.0, 1.0))
    body = thing(random, "metal", ball, Layout(np.array([[0.1 * away, 0.0]]), 0.04), 0, 0.4 * height)
    made.append(changed(body, name="striker", velocity=(-float(away * random.uniform(0.7, 1.2)), 0.0, 0.3)))
    return Draft(made, middle=(0.0, 0.0, 0.06))


def fall_soft(random: Generator, config: DataConfig) -> Draft:
    """Soft bodies fall, wobble or keep their dents."""
    return Draft(_fall(random, SOFT, SOFT_KINDS, 0.0))


def press(random: Generator, config: DataConfig) -> Draft:
    """Soft bodies are pressed down, let go, and pressed again."""
    layout = spread(random, draws.count(random))
    made, actions = [], []
    for index in range(len(layout.places)):
        body = thing(
            random, draws.pick(random, SOFT), draws.form(random, SOFT_KINDS, layout.size), layout, index
        )
        made.append(body)
        weight = body.material.density or 1000.0
        force = float(weight * volume(body.form) * 9.81 * random.uniform(4, 14))
        keys = ScalarTrack(
            (0.0, 0.3 * config.frames, 0.45 * config.frames, 0.6 * config.frames), (0.0, force, force, 0.0)
        )
        top = (body.at[0], body.at[1], body.form.size[2])
        lean = random.normal(0, 0.3, 2)
        actions.append(
            Push(
                f"press {index + 1}",
                top,
                (float(lean[0]), float(lean[1]), -1.0),
                keys,
                0.7 * layout.size,
                targets=(body.name,),
            )
        )
    return Draft(made, actions=list(actions))


def bump(random: Generator, config: DataConfig) -> Draft:
    """Soft bodies are struck from the side, and meet each other."""
    layout = spread(random, max(2, draws.count(random)))
    made = []
    for index in range(len(layout.places)):
        made.append(
            thing(
                random, draws.pick(random, SOFT), draws.form(random, SOFT_KINDS, layout.size), layout, index
            )
        )
    way = layout.places[1] - layout.places[0]
    way = way / max(float(np.linalg.norm(way)), 1e-9)
    mass = (made[0].material.density or 1000.0) * volume(made[0].form)
    place = (*(layout.places[0]).tolist(), 0.6 * made[0].form.size[2])
    blow = Poke(
        name="blow", location=place, direction=(float(way[0]), float(way[1]), 0.15), impulse=float(mass * random.uniform(0.6, 1.2)),
        reach=0.8 * layout.size, targets=(made[0].name,),
    )  # fmt: skip
    return Draft(made, actions=[blow])


def bounce(random: Generator, config: DataConfig) -> Draft:
    """Air-filled bodies fall and bounce."""
    bodies = _fall(random, ("rubber",), ("ball", "ball", "box", "cylinder"), 0.0)
    return Draft([_filled(random, body) for body in bodies])


def blown(random: Generator, config: DataConfig) -> Draft:
    """Air-filled bodies are blown along."""
    layout = spread(random, draws.count(random))
    made = [
        _filled(random, thing(random, "rubber", draws.form(random, ("ball",), layout.size), layout, i))
        for i in range(len(layout.places))
    ]
    angle = random.uniform(0, 2 * np.pi)
    return Draft(
        made,
        actions=[
            Wind(
                "wind",
                (float(np.cos(angle)), float(np.sin(angle)), 0.0),
                float(random.uniform(0.6, 1.4)),
                drag=3.0,
            )
        ],
    )


def squeeze(random: Generator, config: DataConfig) -> Draft:
    """Air-filled bodies are pressed and spring back."""
    draft = press(random, config)
    draft.things = [
        _filled(
            random,
            changed(body, material=draws.material(random, "rubber"), form=Form("ball", body.form.size)),
        )
        for body in draft.things
    ]
    return draft


def _fall(random: Generator, presets: tuple[str, ...], kinds: tuple[Kind, ...], spin: float) -> list[Thing]:
    """Bodies that fall from up to a hand's height, each thrown a little."""
    layout = spread(random, draws.count(random))
    made = []
    for index in range(len(layout.places)):
        form = draws.form(random, kinds, layout.size)
        height = float(random.uniform(0.15, 1.3) * 0.06)
        body = thing(random, draws.pick(random, presets), form, layout, index, height)
        throw, turn = random.normal(0, 0.12, 2), random.normal(0, spin, 3)
        lifted = height + 0.35 * max(form.size)  # so that no corner is below it, however it is turned
        made.append(
            changed(
                body,
                at=(*body.at[:2], lifted),
                turn=draws.turned(random, upright=False),
                velocity=(float(throw[0]), float(throw[1]), 0.0),
                spin=(float(turn[0]), float(turn[1]), float(turn[2])),
            )
        )
    return made


def _filled(random: Generator, body: Thing) -> Thing:
    """The body as a shell of rubber around air."""
    return changed(body, core=AIR_FILLING, wall=WALL_SHARE * min(body.form.size))
