"""Forces as empties: Blender's own wind field, and a push in newtons along the empty's arrow (its local +Z).

A force acts from frame ``perpetua_start`` to ``perpetua_end`` of the scene's timeline. Strength (wind, m/s) and
``perpetua_force`` (push, N) can be keyed, and the empties can be moved, turned and animated like anything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import bpy
from mathutils import Vector

from .errors import AddonError

START, END = "perpetua_start", "perpetua_end"
FORCE, REACH, DRAG = "perpetua_force", "perpetua_reach", "perpetua_drag"
DEFAULT_DRAG = 2.0
"""1/s, how quickly matter takes up the air's velocity."""
WIND_SIZE_M = 0.05
"""Size of a wind's empty in the viewport."""


def new_wind(
    name: str,
    location: Vector,
    direction: Vector,
    speed: float,
    window: tuple[int, int],
    into: bpy.types.Collection,
) -> bpy.types.Object:
    """An empty with Blender's WIND field; its strength is the air's speed in m/s."""
    if bpy.context.mode != "OBJECT":
        raise AddonError("A wind can only be added in Object Mode; leave this mode first (Tab).")
    if bpy.app.background and bpy.context.scene.rigidbody_world is None:
        # without one, Blender 4.5 fills the console with complaints once a field is keyed; an empty one does nothing
        bpy.ops.rigidbody.world_add()
    # only the operator gives an empty a field
    bpy.ops.object.effector_add(type="WIND", radius=WIND_SIZE_M, location=location)
    made = bpy.context.view_layer.objects.active
    made.name = name
    made.field.strength = speed
    _set(made, DRAG, DEFAULT_DRAG, "How quickly matter takes up the air's velocity, 1/s", 0.0, 100.0)
    _finish(made, direction, window, into)
    return made


def new_push(
    name: str,
    location: Vector,
    direction: Vector,
    newtons: float,
    reach: float,
    window: tuple[int, int],
    into: bpy.types.Collection,
) -> bpy.types.Object:
    """An arrow empty that pushes with ``newtons`` over a ball of radius ``reach`` [m] around it."""
    made = bpy.data.objects.new(name, None)
    into.objects.link(made)
    made.location = location
    made.empty_display_type = "SINGLE_ARROW"
    made.empty_display_size = reach
    _set(made, FORCE, newtons, "Force over the whole ball, N", 0.0, 10_000.0)
    _set(made, REACH, reach, "Radius of the ball it acts in, m", 0.0001, 10.0)
    _finish(made, direction, window, into)
    return made


def is_wind(force: bpy.types.Object) -> bool:
    """Whether an object carries Blender's wind field."""
    return force.field is not None and force.field.type == "WIND"


def is_push(force: bpy.types.Object) -> bool:
    """Whether an object carries a push."""
    return FORCE in force


def number(force: bpy.types.Object, name: str, default: float | None = None) -> float:
    """A force's custom property as a finite number; ``default`` where it has none.

    Raises ``AddonError`` when it is missing without a default, or is not a finite number.
    """
    value = force.get(name, default)
    if not isinstance(value, (int, float)):
        raise AddonError(f"'{force.name}' has no number in its property {name}; give it one.")
    return finite(force, name, (float(value),))[0]


def finite(force: bpy.types.Object, what: str, values: Iterable[float]) -> tuple[float, ...]:
    """``values`` of a force as they are. Raises ``AddonError`` naming the force when one is infinite or not a number."""
    checked = tuple(values)
    for value in checked:
        if not math.isfinite(value):
            raise AddonError(f"'{force.name}' has the {what} {value}; give it a finite number.")
    return checked


def direction_of(force: bpy.types.Object) -> tuple[float, float, float]:
    """Unit vector of an evaluated empty's local +Z, where wind blows and a push goes."""
    x, y, z = force.matrix_world.col[2].xyz.normalized()
    return (x, y, z)


def _finish(
    made: bpy.types.Object, direction: Vector, window: tuple[int, int], into: bpy.types.Collection
) -> None:
    made.rotation_euler = direction.to_track_quat("Z", "Y").to_euler()
    _set(made, START, window[0], "First frame it acts in", -1_000_000, 1_000_000)
    _set(made, END, window[1], "Frame it stops at", -1_000_000, 1_000_000)
    for collection in made.users_collection:
        if collection != into:
            collection.objects.unlink(made)
    if made.name not in into.objects:
        into.objects.link(made)


def _set(made: bpy.types.Object, name: str, value: float, text: str, low: float, high: float) -> None:
    made[name] = value
    made.id_properties_ui(name).update(description=text, min=low, max=high)  # type: ignore[arg-type]
