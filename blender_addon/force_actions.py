"""An object of the evaluated scene, frame by frame, as an action of a take.

What the wire can key over time (place, direction, rotation, strength) becomes tracks; what it cannot (flow, falloff, size) has
to stay the same while the force acts, and a force of which it does not is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bpy

from perpetua_protocol.take import (
    Action,
    Collider,
    Drag,
    Emitter,
    Falloff,
    Force,
    Pin,
    Poke,
    Push,
    Quaternion,
    Turbulence,
    Vec3,
    Vortex,
    Wind,
)

from . import collider_mesh, forces
from .errors import AddonError
from .force_kinds import DEFAULT_DRAG, DRAG, EDDY_SPEED, FORCE, FRICTION, IMPULSE, POUR_SPEED, RATE, REACH
from .tracks import rotation_track, scalar_track, vector_track

POINT_LIKE = {"POINT", "PLANE"}
"""Shapes of a Blender field that act from its origin; the others act from lines or surfaces."""


@dataclass(frozen=True)
class Reading:
    """A force in one frame, by the names of the take. ``fixed`` cannot be keyed in a take."""

    vectors: dict[str, Vec3] = field(default_factory=dict)
    scalars: dict[str, float] = field(default_factory=dict)
    rotations: dict[str, Quaternion] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)


def read(carrier: bpy.types.Object) -> Reading:
    """The force that an evaluated object carries, as it is now.

    Raises ``AddonError`` naming the object when a number is not finite or Perpetua has nothing like its settings.
    """
    return READERS[forces.kind_of(carrier).name](carrier)


def action(
    carrier: bpy.types.Object,
    frames: list[float],
    readings: list[Reading],
    window: tuple[float, float],
    chosen: dict[str, Any],
) -> Action | None:
    """The action of a round from the readings in its frames; None when it does nothing in it.

    frames: of the take, growing. window: frames it acts from and to. chosen: what is said of it in the list rather than by its
    object, by the names of the take. Raises ``AddonError`` when something changes over
    time that a take cannot key.
    """
    kind = forces.kind_of(carrier)
    acting = [r for frame, r in zip(frames, readings, strict=True) if window[0] <= frame <= window[1]]
    fixed = (acting or readings)[0].fixed
    for what in fixed:
        if any(reading.fixed[what] != fixed[what] for reading in acting):
            raise AddonError(
                f"'{carrier.name}' changes its {what.replace('_', ' ')} over time, which a round cannot follow; "
                "keep it, and key what is stronger or weaker instead."
            )
    if kind.idle_when_zero and not any(
        reading.scalars.get(name, 0.0) or reading.fixed.get(name, 0.0)
        for reading in readings
        for name in kind.idle_when_zero
    ):
        return None
    first = readings[0]
    return CLASSES[kind.name](
        name=carrier.name,
        start=window[0],
        end=window[1],
        **chosen,
        **{n: vector_track(frames, [r.vectors[n] for r in readings]) for n in first.vectors},
        **{n: scalar_track(frames, [r.scalars[n] for r in readings]) for n in first.scalars},
        **{n: rotation_track(frames, [r.rotations[n] for r in readings]) for n in first.rotations},
        **fixed,
    )


def _wind(carrier: bpy.types.Object) -> Reading:
    _understood(carrier)
    reach = None
    if carrier.field.use_max_distance:
        (reach,) = forces.finite(carrier, "max distance", (carrier.field.distance_max,))
    return Reading(
        {"location": _location(carrier), "direction": _axis(carrier)},
        {"speed": _of_field(carrier, "strength")},
        fixed={
            "drag": forces.number(carrier, DRAG, DEFAULT_DRAG),
            "reach": reach,  # a smooth edge, instead of the falloff's hard one
            "falloff": _falloff(carrier, with_maximum=False),
        },
    )


def _force(carrier: bpy.types.Object) -> Reading:
    return _field(carrier, {"strength": "strength"}, {"flow": _of_field(carrier, "flow")})


def _vortex(carrier: bpy.types.Object) -> Reading:
    # Blender keeps a vortex's inflow where other fields have their flow, so it has no flow of its own
    return _field(carrier, {"strength": "strength", "inflow": "inflow"}, {})


def _turbulence(carrier: bpy.types.Object) -> Reading:
    fixed = {
        "size": _of_field(carrier, "size"),
        "speed": forces.number(carrier, EDDY_SPEED, 0.0),
        "seed": carrier.field.seed,
        "flow": _of_field(carrier, "flow"),
    }
    return _field(carrier, {"strength": "strength"}, fixed)


def _drag(carrier: bpy.types.Object) -> Reading:
    return _field(carrier, {"linear": "linear_drag", "quadratic": "quadratic_drag"}, {})


def _push(carrier: bpy.types.Object) -> Reading:
    return Reading(
        {"location": _location(carrier), "direction": _axis(carrier)},
        {"force": forces.number(carrier, FORCE)},
        fixed={"reach": forces.number(carrier, REACH)},
    )


def _poke(carrier: bpy.types.Object) -> Reading:
    return Reading(
        {"location": _location(carrier), "direction": _axis(carrier)},
        fixed={"impulse": forces.number(carrier, IMPULSE), "reach": forces.number(carrier, REACH)},
    )


def _pin(carrier: bpy.types.Object) -> Reading:
    return Reading(
        {"location": _location(carrier)},
        rotations={"rotation": _rotation(carrier)},
        fixed={"reach": forces.number(carrier, REACH) or None},
    )


def _collider(carrier: bpy.types.Object) -> Reading:
    return Reading(
        {"location": _location(carrier)},
        rotations={"rotation": _rotation(carrier)},
        fixed={"mesh": collider_mesh.read(carrier), "friction": forces.number(carrier, FRICTION)},
    )


def _emitter(carrier: bpy.types.Object) -> Reading:
    return Reading(
        {"location": _location(carrier), "direction": _axis(carrier)},
        {"speed": forces.number(carrier, POUR_SPEED), "rate": forces.number(carrier, RATE)},
        fixed={"radius": forces.number(carrier, REACH)},
    )


READERS: dict[str, Callable[[bpy.types.Object], Reading]] = {
    "wind": _wind,
    "force": _force,
    "vortex": _vortex,
    "turbulence": _turbulence,
    "drag": _drag,
    "push": _push,
    "poke": _poke,
    "pin": _pin,
    "emitter": _emitter,
    "collider": _collider,
}
CLASSES: dict[str, type] = {
    "wind": Wind,
    "force": Force,
    "vortex": Vortex,
    "turbulence": Turbulence,
    "drag": Drag,
    "push": Push,
    "poke": Poke,
    "pin": Pin,
    "emitter": Emitter,
    "collider": Collider,
}


def _field(carrier: bpy.types.Object, scalars: dict[str, str], fixed: dict[str, Any]) -> Reading:
    """A Blender field that fades with distance. scalars: name in the take: name in Blender."""
    _understood(carrier)
    return Reading(
        {"location": _location(carrier), "axis": _axis(carrier)},
        {name: _of_field(carrier, blenders) for name, blenders in scalars.items()},
        fixed={**fixed, "falloff": _falloff(carrier)},
    )


def _falloff(carrier: bpy.types.Object, with_maximum: bool = True) -> Falloff:
    its = carrier.field
    shape = its.falloff_type.lower()
    spread = {}
    if shape != "sphere":
        spread = {
            "radial_power": _of_field(carrier, "radial_falloff"),
            "radial_min": _of_field(carrier, "radial_min") if its.use_radial_min else None,
            "radial_max": _of_field(carrier, "radial_max") if its.use_radial_max else None,
        }
    return Falloff(
        shape=shape,
        power=_of_field(carrier, "falloff_power"),
        min_distance=_of_field(carrier, "distance_min") if its.use_min_distance else None,
        max_distance=_of_field(carrier, "distance_max") if its.use_max_distance and with_maximum else None,
        side=its.z_direction.lower(),
        **spread,
    )


def _understood(carrier: bpy.types.Object) -> None:
    """Refuse what Perpetua has nothing like, rather than leave it out."""
    its = carrier.field
    if its.shape not in POINT_LIKE:
        raise AddonError(
            f"'{carrier.name}' acts from a {its.shape.lower()}, and Perpetua's fields act from a point; set its Shape to Point."
        )
    if its.noise:
        raise AddonError(
            f"'{carrier.name}' has noise, which Perpetua does not follow; set it to 0, and add a turbulence instead."
        )


def _of_field(carrier: bpy.types.Object, name: str) -> float:
    return forces.finite(carrier, name.replace("_", " "), (getattr(carrier.field, name),))[0]


def _location(carrier: bpy.types.Object) -> Vec3:
    x, y, z = forces.finite(carrier, "location", carrier.matrix_world.translation)
    return x, y, z


def _axis(carrier: bpy.types.Object) -> Vec3:
    """Unit vector of its local +Z."""
    x, y, z = forces.finite(carrier, "direction", carrier.matrix_world.col[2].xyz.normalized())
    return x, y, z


def _rotation(carrier: bpy.types.Object) -> Quaternion:
    w, x, y, z = forces.finite(carrier, "rotation", carrier.matrix_world.to_quaternion())
    return w, x, y, z
