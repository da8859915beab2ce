"""The scenes: three templates for each of nine categories, each a function from a random generator to things and actions.

The names of templates are what the split into training and test goes by (``config.HeldOut``).
"""

from __future__ import annotations

import math

import numpy as np

from perpetua.errors import DataError
from perpetua.phys4d.data import draws, shapes
from perpetua.phys4d.data.config import DataConfig, scene_name
from perpetua.phys4d.data.spec import Category, SceneSpec
from perpetua.phys4d.data.templates import bodies, flowing, jointed, thin
from perpetua.phys4d.data.templates.draft import Draft, Template
from perpetua.scene.actions import sample_scalar
from perpetua.scene.presets import PRESETS
from perpetua_protocol.actions import Drag

TEMPLATES: dict[Category, dict[str, Template]] = {
    "rigid": {"drop": bodies.drop, "slide": bodies.slide, "topple": bodies.topple},
    "articulated": {"chain": jointed.chain, "bridge": jointed.bridge, "lamp": jointed.lamp},
    "cloth": {"drape": thin.drape, "curtain": thin.curtain, "flag": thin.flag},
    "fluid": {"dam": flowing.dam, "pour": flowing.pour, "splash": flowing.splash},
    "soft": {"fall": bodies.fall_soft, "press": bodies.press, "bump": bodies.bump},
    "granular": {"collapse": flowing.collapse, "chute": flowing.chute, "heap": flowing.heap},
    "rope": {"rope fall": thin.rope_fall, "rope gust": thin.rope_gust, "swing": thin.swing},
    "inflatable": {"bounce": bodies.bounce, "blown": bodies.blown, "squeeze": bodies.squeeze},
    "gas": {"plume": flowing.plume, "wisps": flowing.wisps, "draught": flowing.draught},
}
COARSE_SPACINGS = (0.0052, 0.013)
"""m, between the particles of the coarse simulation, at least and at most."""


def draw_scene(config: DataConfig, index: int) -> SceneSpec:
    """Scene ``index`` of the data: the same for the same configuration, whoever makes it and when."""
    random = np.random.default_rng([config.seed, index])
    category = config.categories[index % len(config.categories)]
    names = list(TEMPLATES[category])
    template = names[int(random.integers(len(names)))]
    draft = TEMPLATES[category][template](random, config)
    seed = int(random.integers(1 << 31))
    actions = list(draft.actions)
    if category != "articulated":
        actions.append(Drag(name="air", linear=float(random.uniform(*draws.AIR))))
    return SceneSpec(
        scene_name(config, index),
        category,
        template,
        seed,
        tuple(draft.things),
        tuple(draft.streams),
        tuple(actions),
        tuple(draft.joints),
        draws.gravity(random),
        draws.lamps(random),
        draws.room(random),
        draws.cameras(random, draft.distance),
        draft.middle,
        _spacings(draft, config),
        config.frames,
        config.fps,
        config.width,
        config.height,
    )


def check_templates(config: DataConfig) -> None:
    """Raise ``DataError`` if what is held out is no template or no material."""
    known = [name for of in TEMPLATES.values() for name in of]
    for name in config.held_out.templates:
        if name not in known:
            raise DataError(f"held_out.templates names '{name}'; the templates are {', '.join(known)}.")
    for name in config.held_out.materials:
        if name not in PRESETS:
            raise DataError(
                f"held_out.materials names '{name}'; the materials are {', '.join(sorted(PRESETS))}."
            )


def held_out(config: DataConfig, spec: SceneSpec, path: str) -> tuple[str, ...]:
    """Why a clip of this scene by a camera on this path belongs to the test; nothing if it does not."""
    made_of = {thing.material.preset for thing in spec.things} | {
        s.emitter.material.preset for s in spec.streams
    }
    reasons = []
    if spec.template in config.held_out.templates:
        reasons.append("template")
    if made_of & set(config.held_out.materials):
        reasons.append("material")
    if path in config.held_out.cameras:
        reasons.append("camera")
    return tuple(reasons)


def _spacings(draft: Draft, config: DataConfig) -> tuple[float, float]:
    """m between particles, coarse and fine, so that solids and streams come to the particles asked for, or nets if those are finer."""
    seconds = config.frames / config.fps
    filled = sum(shapes.volume(thing.form) for thing in draft.things)
    for stream in draft.streams:
        e = stream.emitter
        filled += math.pi * e.radius**2 * sample_scalar(e.speed, 0.0) * seconds
    sheets = sum(shapes.area(thing.form) for thing in draft.things)
    wanted = max(math.cbrt(filled / config.coarse_particles), math.sqrt(sheets / config.coarse_particles))
    coarse = float(np.clip(wanted, *COARSE_SPACINGS))
    return coarse, coarse * math.cbrt(config.coarse_particles / config.fine_particles)
