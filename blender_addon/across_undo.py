"""What a bake made is no step of the artist's, so undo and redo leave it: the take that plays, and the bake to resume.

A bake brings its files between the artist's steps, and Blender's undo brings back the scene as it stood after one of them: without
the splats that came since, and with a job that has long ended. Both are kept here by scene and put back after every undo.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from perpetua_protocol.errors import ProtocolError

from . import handlers, playback, session
from .reconstruction import import_reconstruction

LOOK = ("front", "look_matrix", "look_fov", "look_size")
"""What a look at the input leaves in ``scene.perpetua.input``."""


@dataclass
class Kept:
    """Of one scene. folder: of the take that was baked, with the ``picture`` it was baked from. job, rounds: as in the settings.
    looked_at: the input that the backend drew, and ``look``, what was found with it."""

    folder: Path | None = None
    picture: str = ""
    job: str = ""
    rounds: int = 0
    looked_at: str = ""
    look: dict[str, Any] = field(default_factory=dict)


_kept: dict[int, Kept] = {}


def note_job(scene: bpy.types.Scene, job: str, rounds: int) -> None:
    """Write down in the scene which bake can be resumed; an empty ``job`` is none."""
    kept = _of(scene)
    kept.job, kept.rounds = job, rounds
    scene.perpetua.job, scene.perpetua.job_rounds = job, rounds


def note_take(scene: bpy.types.Scene, folder: Path) -> None:
    """The bake in ``folder`` plays in the scene."""
    kept = _of(scene)
    kept.folder, kept.picture = folder, _picture(scene)


def note_moved(scene: bpy.types.Scene, folder: Path) -> None:
    """What was baked in the scene lies in another folder now."""
    kept = _of(scene)
    if kept.folder is not None:
        kept.folder = folder


def note_look(scene: bpy.types.Scene) -> None:
    """The backend drew the picture that the scene's objects are clicked in."""
    kept, known = _of(scene), scene.perpetua.input
    kept.looked_at = _picture(scene)
    kept.look = {name: getattr(known, name) for name in LOOK}
    for name in ("look_matrix", "look_size"):
        kept.look[name] = tuple(kept.look[name])


def folders() -> set[Path]:
    """The takes that undo and redo can bring back."""
    return {kept.folder for kept in _kept.values() if kept.folder is not None}


def put_back(scene: bpy.types.Scene) -> None:
    """Give a scene that was undone what was baked in it, unless its picture was undone too."""
    kept, settings = _kept.get(scene.session_uid), scene.perpetua
    if kept is None:
        return
    settings.job, settings.job_rounds = kept.job, kept.rounds
    if kept.looked_at and _picture(scene) == kept.looked_at and not settings.input.front:
        for name, value in kept.look.items():
            setattr(settings.input, name, value)
    if kept.folder is not None and not settings.cache_folder and _picture(scene) == kept.picture:
        try:
            playback.attach(scene, kept.folder)
            import_reconstruction(scene)
        except (
            ProtocolError
        ) as error:  # an undo has no caller to raise to: the panel says that the cache is gone
            session.current().sentence = str(error)


@persistent
def on_undo(*_: object) -> None:
    for scene in bpy.data.scenes:
        put_back(scene)


@persistent
def on_load_pre(*_: object) -> None:
    _kept.clear()  # the scenes of another file are other scenes


HANDLERS = {"undo_post": on_undo, "redo_post": on_undo, "load_pre": on_load_pre}


def start() -> None:
    """Follow undo and redo from now on."""
    handlers.add(HANDLERS)


def stop() -> None:
    """Follow no more."""
    handlers.remove(HANDLERS)
    _kept.clear()


def _picture(scene: bpy.types.Scene) -> str:
    """Where the scene's picture lies: saving changes how its path is stored, and undo changes that back."""
    stored = scene.perpetua.picture
    return str(playback.resolve(stored)) if stored else ""


def _of(scene: bpy.types.Scene) -> Kept:
    return _kept.setdefault(scene.session_uid, Kept())
