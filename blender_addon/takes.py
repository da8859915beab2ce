"""Takes of one picture: each is a scene of its own, so that forces, cameras, rounds and playback are its own.

A branch shares its first rounds with the take it came from. The backend finds these baked already, because stages are named by
what went into them.
"""

from __future__ import annotations

import bpy

from . import force_sampling, forces, mesh_scene, playback, take_builder
from .errors import AddonError
from .force_kinds import START


def takes_of(scene: bpy.types.Scene) -> list[bpy.types.Scene]:
    """The scenes of the file that play the same picture, this one among them."""
    picture = bpy.path.abspath(scene.perpetua.picture)
    return [s for s in bpy.data.scenes if picture and bpy.path.abspath(s.perpetua.picture) == picture]


def branch(scene: bpy.types.Scene, name: str, through_round: int) -> bpy.types.Scene:
    """A second take: a scene with the first ``through_round`` rounds and copies of the forces that act in them.

    What else is in the scene is shared. Raises ``AddonError`` when there is no such round or the name is taken.
    """
    rounds = len(scene.perpetua.rounds)
    if not 0 <= through_round <= rounds:
        raise AddonError(f"The take has {rounds} rounds; branch after one of them.")
    name = name.strip()
    if not name or any(s.perpetua.take_name == name for s in takes_of(scene)):
        raise AddonError(f"There is a take '{name}' already; give the new one another name.")
    made = scene.copy()
    made.name = name
    settings = made.perpetua
    settings.take_name = name
    settings.bake_folder = settings.cache_folder = ""
    settings.job, settings.job_rounds = "", 0
    settings.compared = settings.compared_splats = None
    while len(settings.rounds) > through_round:
        settings.rounds.remove(len(settings.rounds) - 1)
    settings.round_index = max(0, through_round - 1)
    mesh_scene.leave(made, scene)
    acting = {entry.object for entry in force_sampling.acting(made)}
    for entry in settings.forces:  # its copies lie in no collection but the branch's own
        entry.enabled = entry.object in acting
    settings.effectors = None
    _own_collection(scene, made)
    _drop_later_forces(made)
    if scene.perpetua.cache_folder:  # what is baked so far is shown until its own bake begins
        playback.attach(made, playback.resolve(scene.perpetua.cache_folder))
    return made


def _own_collection(scene: bpy.types.Scene, made: bpy.types.Scene) -> None:
    """Give the branch a Perpetua collection with copies of what the take keeps there; clouds are made anew."""
    shared = playback.collection(scene)
    for parent in (made.collection, *made.collection.children_recursive):
        if shared.name in parent.children:
            parent.children.unlink(shared)
    own = playback.new_collection(made)
    settings = made.perpetua
    settings.splats = settings.background = None
    for entry in (*settings.forces, *settings.cameras):
        if entry.object is None or entry.object.name not in shared.objects:
            continue
        copied = entry.object.copy()
        if copied.data is not None:
            copied.data = copied.data.copy()
        if copied.animation_data is not None and copied.animation_data.action is not None:
            copied.animation_data.action = copied.animation_data.action.copy()
        own.objects.link(copied)
        if made.camera == entry.object:
            made.camera = copied
        entry.object = copied


def _drop_later_forces(made: bpy.types.Scene) -> None:
    """Take the forces out that begin after the branch's last round."""
    settings = made.perpetua
    end = made.frame_start + take_builder.round_starts(settings)[-1]
    for index in reversed(range(len(settings.forces))):
        carrier = settings.forces[index].object
        if carrier is not None and forces.number(carrier, START, made.frame_start) >= end:
            settings.forces.remove(index)
            if carrier.name in playback.collection(made).objects:
                bpy.data.objects.remove(carrier)
