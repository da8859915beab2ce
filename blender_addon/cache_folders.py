"""The caches of unsaved files: where they are, how large, and which nobody plays."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import bpy

from perpetua_protocol.transfer import META

from . import across_undo, cache_locks, playback, visitors

DELETED = ".deleted "
"""Before the name of a folder that is being deleted."""


@dataclass(frozen=True)
class CacheFolder:
    """A baked take on disk."""

    path: Path
    bytes: int


def root() -> Path:
    """The folder for takes of unsaved files."""
    chosen = bpy.context.preferences.addons[__package__].preferences.cache_folder
    if chosen:
        return Path(bpy.path.abspath(chosen)).resolve()
    return Path(bpy.utils.extension_path_user(__package__, path="cache", create=True)).resolve()


def played(scene: bpy.types.Scene) -> set[Path]:
    """The folders that a scene plays or shows."""
    settings = scene.perpetua
    found = {playback.resolve(settings.cache_folder)} if settings.cache_folder else set()
    if settings.input.front:
        found.add(playback.resolve(settings.input.front).parent)
    return found


def unused(folder: Path) -> list[CacheFolder]:
    """The caches directly under ``folder`` that neither the open file nor another Blender plays, by name.

    A folder without ``meta.json`` is no cache and is left alone.
    """
    mine = _in_use()
    found = [
        path for path in (sorted(folder.iterdir()) if folder.is_dir() else []) if (path / META).is_file()
    ]
    return [
        CacheFolder(path, size(path))
        for path in found
        if path.resolve() not in mine and not cache_locks.is_held(path)
    ]


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def remove(folders: list[CacheFolder]) -> None:
    """Delete caches, each whole or not at all. Raises ``OSError`` when one cannot be."""
    for folder in folders:
        gone = folder.path.with_name(DELETED + folder.path.name)
        folder.path.rename(gone)  # fails on Windows while another Blender has its files open
        shutil.rmtree(gone)


def in_words(size_bytes: int) -> str:
    """A size as people read it: ``1.5 GB``."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _in_use() -> set[Path]:
    """What the scenes of the open file play, what undo and redo can bring back, and what came from other files."""
    found = across_undo.folders()
    for scene in bpy.data.scenes:
        if scene.library is None:
            found |= played(scene)
    clouds = (thing for thing in bpy.data.objects if thing.type == "POINTCLOUD" and thing.get(visitors.CACHE))
    return found | {visitors.folder_of(cloud) for cloud in clouds}
