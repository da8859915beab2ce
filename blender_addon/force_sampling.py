"""The forces of a scene as the actions of its rounds: every force read in every frame from the evaluated scene."""

from __future__ import annotations

from typing import Any

import bpy

from perpetua_protocol.take import Action, MaterialSpec

from . import force_actions, forces
from .errors import AddonError
from .force_kinds import END, KIND, START


def acting(scene: bpy.types.Scene) -> list[bpy.types.PropertyGroup]:
    """The entries of the list that are switched on, whose object is still in the scene, and in the effector collection if there is one."""
    effectors = scene.perpetua.effectors
    return [
        entry
        for entry in scene.perpetua.forces
        if entry.enabled
        and entry.there
        and (effectors is None or effectors.all_objects.get(entry.object.name) == entry.object)
    ]


def window(carrier: bpy.types.Object, scene: bpy.types.Scene, first: int, last: int) -> tuple[float, float]:
    """Frames of the take from and to which a force acts; ``first`` and ``last`` where it does not say.

    Raises ``AddonError`` when it ends before it starts.
    """
    start = forces.number(carrier, START, scene.frame_start + first) - scene.frame_start
    end = forces.number(carrier, END, scene.frame_start + last) - scene.frame_start
    if end <= start:
        raise AddonError(f"'{carrier.name}' ends at its start or before; move its end frame later.")
    return start, end


def targets(entry: bpy.types.PropertyGroup) -> tuple[str, ...]:
    """Names of the objects a force acts on; none means all."""
    return tuple(name.strip() for name in entry.targets.split(",") if name.strip())


def chosen(entry: bpy.types.PropertyGroup) -> dict[str, Any]:
    """What the list says of a force, by the names of the take: the objects it acts on, or what an emitter lets out."""
    if forces.kind_of(entry.object).name != "emitter":
        return {"targets": targets(entry)}
    red, green, blue = entry.colour
    colour = (red, green, blue) if entry.use_colour else None
    return {"material": MaterialSpec(entry.material), "colour": colour}


def emitters(scene: bpy.types.Scene) -> list[str]:
    """Names of the emitters that are switched on: other forces may act on what they let out."""
    return [e.object.name for e in acting(scene) if e.object.get(KIND) == "emitter"]


def round_actions(scene: bpy.types.Scene, first: int, last: int) -> tuple[Action, ...]:
    """The actions of the round from frame ``first`` to ``last`` of the take. Leaves the scene at another frame.

    Raises ``AddonError`` naming the force that cannot be described.
    """
    entries = []
    for entry in acting(scene):
        entry.object.update_tag()  # a script that sets a property leaves the evaluated copy as it was
        start, end = window(entry.object, scene, first, last)
        # a blow belongs to the round it begins in, whatever it lasts
        begins = forces.kind_of(entry.object).name != "poke" or start >= first
        if start < last and end > first and begins:
            entries.append((entry, (max(start, float(first)), min(end, float(last)))))
    readings: list[list[force_actions.Reading]] = [[] for _ in entries]
    for frame in range(first, last + 1) if entries else ():
        scene.frame_set(scene.frame_start + frame)
        graph = bpy.context.evaluated_depsgraph_get()
        for (entry, _), series in zip(entries, readings, strict=True):
            series.append(force_actions.read(entry.object.evaluated_get(graph)))
    frames = [float(frame) for frame in range(first, last + 1)]
    actions = [
        force_actions.action(entry.object, frames, series, its_window, chosen(entry))
        for (entry, its_window), series in zip(entries, readings, strict=True)
    ]
    return tuple(action for action in actions if action is not None)
