"""What a template hands on, and what all templates share: places on the table that do not overlap, and a thing at one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from perpetua.phys4d.data import draws
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.spec import Form, Joint, Stream, Thing
from perpetua_protocol.actions import Action
from perpetua_protocol.tracks import Vec3

DISTANCE = 0.42
"""m from the cameras to the middle, at a field of view of 40 degrees."""
SIZES = {1: 0.068, 2: 0.056, 3: 0.05, 4: 0.046, 5: 0.042}
"""m, of a thing, by how many there are."""
GAP = 1.35
"""Least distance between two places, in the things' size."""
HALF_TABLE = 0.095
"""m from the middle that things stand, at most."""
TRIES = 400


@dataclass
class Draft:
    """The rest of a scene is drawn the same way for all templates. middle: m, where the cameras look, from ``distance`` m away."""

    things: list[Thing]
    streams: list[Stream] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    joints: list[Joint] = field(default_factory=list)
    middle: Vec3 = (0.0, 0.0, 0.045)
    distance: float = DISTANCE


Template = Callable[[Generator, DataConfig], Draft]


@dataclass(frozen=True)
class Layout:
    """places: [n, 2] m.  size: m, of a thing."""

    places: NDArray[np.float64]
    size: float


def spread(random: Generator, count: int) -> Layout:
    """Places for ``count`` things; the space widens until they fit."""
    size = draws.perturbed(random, SIZES[count])
    reach = 0.0 if count == 1 else HALF_TABLE * 0.6
    for _attempt in range(TRIES):
        places = random.uniform(-reach, reach, (count, 2)) + random.normal(0, 0.005, 2)
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e3 * np.eye(count)
        if apart.min() > GAP * size:
            return Layout(places, size)
        reach *= 1.01
    raise AssertionError("the space has widened beyond any count")


def thing(
    random: Generator, preset: str, form: Form, layout: Layout, index: int, height: float = 0.0
) -> Thing:
    """A thing of ``preset`` at its place, ``height`` m above the table."""
    x, y = layout.places[index]
    return Thing(
        f"{form.kind} {index + 1}",
        form,
        draws.material(random, preset),
        draws.look(random, metal=preset == "metal"),
        (float(x), float(y), height),
        draws.turned(random, upright=True),
    )


def changed(of: Thing, **changes: Any) -> Thing:
    """``of`` with some of its fields exchanged."""
    return msgspec.structs.replace(of, **changes)
