"""The caches of unsaved files: which there are, how large, and which nobody plays. No Blender in here but the open scenes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import bpy

MARK = "meta.json"
"""A folder without it is no cache and is left alone."""


@dataclass(frozen=True)
class CacheFolder:
    """A baked take on disk."""

    path: Path
    bytes: int


def unused(root: Path) -> list[CacheFolder]:
    """The caches directly under ``root`` that no scene of the open file plays, by name."""
    played = {
        Path(bpy.path.abspath(scene.perpetua.cache_folder)).resolve()
        for scene in bpy.data.scenes
        if scene.perpetua.cache_folder
    }
    folders = sorted(root.iterdir()) if root.is_dir() else []
    return [
        CacheFolder(folder, size(folder))
        for folder in folders
        if (folder / MARK).is_file() and folder.resolve() not in played
    ]


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def remove(folders: list[CacheFolder]) -> None:
    """Delete caches. Raises ``OSError`` when one cannot be."""
    for folder in folders:
        shutil.rmtree(folder.path)


def in_words(size_bytes: int) -> str:
    """A size as people read it: ``1.5 GB``."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
