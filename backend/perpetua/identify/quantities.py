"""What can be found out about a scene's physics, and the scene and the round with other values of it.

A material's value is sought as x = ln(value / the take's value), so that twice and half are equally far. A wind that nobody told of
is an even acceleration and a rate at which the air slows matter down, a = (x, y, 0) - rate v: Blender's wind of that strength and flow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.scene.materials import Material
from perpetua.scene.scene import Body, Scene
from perpetua_protocol.take import Force, Round

SOUGHT: dict[str, tuple[str, ...]] = {
    "elastic": ("youngs_modulus", "viscosity", "friction"),
    "plastic": ("yield_stress", "viscosity", "friction"),
    "snow": ("youngs_modulus", "friction"),
    "sand": ("friction_angle", "friction"),
    "liquid": ("viscosity",),
    "rigid": ("friction",),
}
"""Values of a material that show in how it moves, by model. Density does not: all fields accelerate heavy and light alike."""
SPREAD = {
    "youngs_modulus": 1.0,
    "viscosity": 1.0,
    "yield_stress": 0.7,
    "friction": 0.5,
    "friction_angle": 0.25,
}
"""How far the take's value is usually off, as a standard deviation of x; a stiffness by a factor of 2.7."""
WIND_SPREAD, RATE_SPREAD = 2.0, 2.0
"""The same of a wind's strength along an axis, m/s^2, and of the air's rate, 1/s."""
LIMIT = math.log(30.0)
"""Farthest that x goes from the take's value."""
STEEPEST_ANGLE = 80.0
"""Degrees of a sand's friction angle."""
STRONGEST_WIND, FASTEST_RATE = 10.0, 20.0
"""m/s^2 and 1/s."""
FIRST_STEP = 0.4
"""Secant slopes are first taken over this share of a quantity's usual spread."""
UNITS = {
    "youngs_modulus": "Pa",
    "viscosity": "Pa s",
    "yield_stress": "Pa",
    "friction": "",
    "friction_angle": "degrees",
    "wind": "m/s^2",
    "air_drag": "1/s",
}
WIND = ("wind_x", "wind_y")
"""Its strength along the axes: two numbers that are there together or not at all."""
FAR = 100.0
"""m; an even acceleration is a force from a point so far away."""
WIND_NAME = "wind that was found"


@dataclass(frozen=True)
class Quantity:
    """One number that is sought. body: index, or None for the wind.  name: the material's value, or ``wind_x``, ``wind_y``,
    ``air_drag``.  taken: the take's value.  spread: standard deviation of x before anything is known.  low, high: bounds of x."""

    key: str
    body: int | None
    name: str
    taken: float
    spread: float
    low: float
    high: float

    @property
    def step(self) -> float:
        """Over which a slope is first taken."""
        return FIRST_STEP * self.spread


class Known(msgspec.Struct, frozen=True):
    """What was found out and accepted so far, by a quantity's key: x, and its standard deviation."""

    x: dict[str, float] = {}
    spread: dict[str, float] = {}


def quantities_of(scene: Scene) -> list[Quantity]:
    """All that is sought in ``scene``. A value that is nought (water's friction) stays so."""
    found = []
    for index, body in enumerate(scene.bodies):
        for name in SOUGHT.get(body.material.model, ()):
            taken = float(getattr(body.material, name))
            if taken > 0:
                high = LIMIT if name != "friction_angle" else math.log(STEEPEST_ANGLE / taken)
                found.append(
                    Quantity(f"{body.name}/{name}", index, name, taken, SPREAD[name], -LIMIT, max(high, 0.0))
                )
    if any(body.material.model != "gas" for body in scene.bodies):
        for name in WIND:
            found.append(Quantity(name, None, name, 0.0, WIND_SPREAD, -STRONGEST_WIND, STRONGEST_WIND))
        found.append(Quantity("air_drag", None, "air_drag", 0.0, RATE_SPREAD, 0.0, FASTEST_RATE))
    return found


def value_of(quantity: Quantity, x: float) -> float:
    """The quantity in its own unit."""
    return x if quantity.body is None else quantity.taken * math.exp(x)


def start_of(quantities: list[Quantity], known: Known) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and its standard deviation before a round, each [Q]: what is known, else the take's values."""
    x = np.array([known.x.get(q.key, 0.0) for q in quantities])
    return x, np.array([known.spread.get(q.key, q.spread) for q in quantities])


def scene_with(scene: Scene, known: Known) -> Scene:
    """``scene`` with the materials that are known; the same object where nothing is."""
    changes: dict[int, dict[str, float]] = {}
    for quantity in quantities_of(scene):
        if quantity.body is not None and quantity.key in known.x:
            changes.setdefault(quantity.body, {})[quantity.name] = math.exp(known.x[quantity.key])
    if not changes:
        return scene
    return replace(scene, bodies=[_changed(body, changes.get(i, {})) for i, body in enumerate(scene.bodies)])


def round_with(played: Round, known: Known) -> Round:
    """``played`` with the wind that is known."""
    along, across, rate = (known.x.get(key, 0.0) for key in ("wind_x", "wind_y", "air_drag"))
    strength = math.hypot(along, across)
    if strength == 0 and rate == 0:
        return played
    direction = (along / strength, across / strength) if strength > 0 else (1.0, 0.0)
    far = (-FAR * direction[0], -FAR * direction[1], 0.0)
    wind = Force(WIND_NAME, far, strength, flow=rate)
    return msgspec.structs.replace(played, actions=(*played.actions, wind))


def _changed(body: Body, factors: dict[str, float]) -> Body:
    """The body with values of its material, and of its regions alike, multiplied by ``factors``."""

    def changed(material: Material) -> Material:
        return msgspec.structs.replace(
            material, **{name: getattr(material, name) * factor for name, factor in factors.items()}
        )

    return replace(body, material=changed(body.material), regions=tuple(map(changed, body.regions)))
