"""Actions as objects in the scene: made, recognised, and their numbers read.

A force acts from frame ``perpetua_start`` to ``perpetua_end`` of the scene's timeline. Its strength can be keyed, and its
object can be moved, turned, parented and animated like anything else; a direction is the object's local +Z.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import bpy
from mathutils import Vector

from .errors import AddonError
from .force_kinds import BY_FIELD, FORCE, KIND, KINDS, REACH, WINDOW, Kind, Number

FIELD_SIZE_M = 0.05
"""Size of a field's empty in the viewport."""
UP = Vector((0.0, 0.0, 1.0))
"""An unturned empty's direction."""
FADE_POWER = 0.0
"""A new field reaches everywhere alike; its reach is limited with a maximum distance."""


def new_force(
    kind: Kind,
    name: str,
    location: Vector,
    direction: Vector,
    window: tuple[int, int],
    into: bpy.types.Collection,
) -> bpy.types.Object:
    """An empty that carries ``kind`` with its usual numbers. ``window``: frames of the timeline it acts in.

    Raises ``AddonError`` for a field outside Object Mode, the only mode in which Blender can make one.
    """
    made = _field_empty(kind, location) if kind.field else _plain_empty(kind, name, location, into)
    made.name = name
    made.rotation_euler = UP.rotation_difference(direction).to_euler()
    for collection in made.users_collection:
        if collection != into:
            collection.objects.unlink(made)
    if made.name not in into.objects:
        into.objects.link(made)
    mark(made, kind, window)
    return made


def mark(carrier: bpy.types.Object, kind: Kind, window: tuple[int, int]) -> None:
    """Give an object the numbers of ``kind`` that it lacks, and the frames it acts in."""
    if not kind.field:
        carrier[KIND] = kind.name
    for entry in kind.own:
        if entry.name not in carrier:
            set_number(carrier, entry, entry.default)
    for entry, frame in zip(WINDOW, window, strict=True):
        set_number(carrier, entry, frame)


def unmark(carrier: bpy.types.Object) -> None:
    """Take away from an artist's own object what ``mark`` gave it."""
    for name in [name for name, _ in carrier.items() if name.startswith("perpetua_")]:
        del carrier[name]


def kind_of(carrier: bpy.types.Object) -> Kind:
    """The kind an object carries. Raises ``AddonError`` when it carries none."""
    field = carrier.field
    if field is not None and field.type in BY_FIELD:
        return BY_FIELD[field.type]
    if carrier.get(KIND) in KINDS:
        return KINDS[carrier[KIND]]
    if FORCE in carrier:  # files from before kinds were named
        return KINDS["push"]
    raise AddonError(
        f"'{carrier.name}' carries no force any more; remove it from the list, or add a force with the buttons above it."
    )


def carries_force(thing: bpy.types.Object) -> bool:
    """Whether an object carries a force of any kind."""
    try:
        kind_of(thing)
    except AddonError:
        return False
    return True


def set_strength(carrier: bpy.types.Object, kind: Kind, value: float) -> None:
    """Set the number that says how strong it is."""
    if kind.strength is None:
        return
    if kind.field:
        setattr(carrier.field, kind.strength.name, value)
    else:
        carrier[kind.strength.name] = value


def set_reach(carrier: bpy.types.Object, kind: Kind, metres: float) -> None:
    """Limit where it acts to ``metres`` around it. A field that has no limit keeps none with 0; so does a pin."""
    if kind.field:
        carrier.field.use_max_distance = metres > 0
        carrier.field.distance_max = metres
    elif REACH in carrier:
        carrier[REACH] = metres
        carrier.empty_display_size = metres or FIELD_SIZE_M


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


def set_number(carrier: bpy.types.Object, entry: Number, value: float) -> None:
    """Set a custom property, with its tooltip and its limits."""
    carrier[entry.name] = value
    low, high = (int(entry.low), int(entry.high)) if isinstance(value, int) else (entry.low, entry.high)
    carrier.id_properties_ui(entry.name).update(description=entry.text, min=low, max=high)  # type: ignore[arg-type]


def _field_empty(kind: Kind, location: Vector) -> bpy.types.Object:
    if bpy.context.mode != "OBJECT":
        raise AddonError(f"A {kind.name} can only be added in Object Mode; leave this mode first (Tab).")
    if bpy.app.background and bpy.context.scene.rigidbody_world is None:
        # without one, Blender 4.5 fills the console with complaints once a field is keyed; an empty one does nothing
        bpy.ops.rigidbody.world_add()
    # only the operator gives an empty a field
    bpy.ops.object.effector_add(type=kind.field, radius=FIELD_SIZE_M, location=location)
    made = bpy.context.view_layer.objects.active
    made.field.falloff_power = FADE_POWER
    for entry in kind.fields:
        value = entry.default
        setattr(made.field, entry.name, int(value) if entry.name == "seed" else value)
    return made


def _plain_empty(kind: Kind, name: str, location: Vector, into: bpy.types.Collection) -> bpy.types.Object:
    made = bpy.data.objects.new(name, None)
    into.objects.link(made)
    made.location = location
    made.empty_display_type = kind.display
    made.empty_display_size = FIELD_SIZE_M
    return made
