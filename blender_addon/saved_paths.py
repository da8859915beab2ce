"""Paths that scenes keep, while their .blend is saved: relative to where the file goes, so that a project moves as a whole.

A take that was baked before the file had a place lies in the user's folder. The first save brings it beside the file.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from perpetua_protocol.transfer import META

from . import across_undo, bake_folders, cache_folders, handlers, log, playback, session, visitors

NAMES = ("picture", "front", "depth", "cache_folder")

_before: dict[int, dict[str, str]] = {}
"""By the ``session_uid`` of a scene: what its paths were before the save under way."""
_appended_before: dict[int, str] = {}
"""By the ``session_uid`` of a cloud that came from another file: what its cache's path was."""


@persistent
def on_save_pre(target: str, *_: object) -> None:
    """The paths as they are seen from ``target``, the file that is written."""
    _before.clear()
    _appended_before.clear()
    if not target:
        return
    blend = Path(target)
    for cloud in visitors.appended():
        _appended_before[cloud.session_uid] = cloud[visitors.CACHE]
        visitors.note(cloud, _seen_from(blend.parent, cloud[visitors.CACHE], True))
    for scene in bpy.data.scenes:
        if scene.library is not None:
            continue
        _before[scene.session_uid] = {name: getattr(_owner(scene, name), name) for name in NAMES}
        _bring(scene, blend)
        for name in NAMES:
            owner = _owner(scene, name)
            setattr(owner, name, _seen_from(blend.parent, getattr(owner, name), name == "cache_folder"))
        playback.note_caches(scene)


@persistent
def on_save_post(target: str, *_: object) -> None:
    """A copy was saved elsewhere: the open file has stayed where it was."""
    if not _same(bpy.data.filepath, target):
        on_save_failed()


@persistent
def on_save_failed(*_: object) -> None:
    for scene in bpy.data.scenes:
        for name, path in _before.get(scene.session_uid, {}).items():
            setattr(_owner(scene, name), name, path)
        if scene.session_uid in _before:
            playback.note_caches(scene)
    for cloud in visitors.appended():
        if cloud.session_uid in _appended_before:
            visitors.note(cloud, _appended_before[cloud.session_uid])
    _before.clear()
    _appended_before.clear()


def _owner(scene: bpy.types.Scene, name: str) -> bpy.types.PropertyGroup:
    return scene.perpetua.input if name in ("front", "depth") else scene.perpetua


def _seen_from(home: Path, stored: str, always: bool) -> str:
    """A stored path, relative to ``home`` where it was relative before, lies below it, or is ``always`` so."""
    if not stored:
        return ""
    path = bpy.path.abspath(stored)
    if not (always or stored.startswith("//") or bpy.path.is_subdir(path, str(home))):
        return stored
    try:
        return str(bpy.path.relpath(path, start=str(home)))
    except ValueError:  # another drive on Windows
        return path


def _bring(scene: bpy.types.Scene, blend: Path) -> None:
    """Let what the scene plays from the folder of unsaved files lie beside the file as well, and play it from there."""
    settings = scene.perpetua
    for folder in cache_folders.played(scene):
        if folder.parent != cache_folders.root() or not (folder / META).is_file():
            continue
        place = bake_folders.place_beside(blend, scene, folder)
        try:
            _copy(folder, place)
        except OSError as error:  # the file can be saved all the same, and plays the take from where it is
            session.current().sentence = (
                f"The take cannot be kept beside the file ({error.strerror}); it stays in {folder}."
            )
            log.LOG.warning("%s", session.current().sentence)
            continue
        if settings.cache_folder and playback.resolve(settings.cache_folder) == folder:
            settings.cache_folder = str(place)
            across_undo.note_moved(scene, place)
        else:
            settings.input.front = str(place / Path(settings.input.front).name)


def _copy(folder: Path, place: Path) -> None:
    """All whole files of a cache, ``meta.json`` last. They are exchanged and never written into, so links will do where there can be any."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".part")]
    for path in sorted(files, key=lambda path: path.name == META):
        copied = place / path.relative_to(folder)
        part = copied.with_name(f".{copied.name}.part")
        copied.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        try:
            os.link(path, part)
        except OSError:  # another disk, or one without links
            shutil.copyfile(path, part)
        os.replace(part, copied)


def _same(one: str, other: str) -> bool:
    return os.path.normcase(os.path.abspath(one)) == os.path.normcase(os.path.abspath(other))


HANDLERS = {
    "save_pre": on_save_pre,
    "save_post": on_save_post,
    "save_post_fail": on_save_failed,
}


def start() -> None:
    """Follow saves from now on."""
    handlers.add(HANDLERS)


def stop() -> None:
    """Follow no more."""
    handlers.remove(HANDLERS)
    _before.clear()
    _appended_before.clear()
