"""Which folder a take is baked into: one that no other scene's take lies in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import bpy

from perpetua_protocol.transfer import META

from . import cache_folders, playback
from .errors import AddonError


def bake_folder(scene: bpy.types.Scene) -> Path:
    """The chosen folder, or ``//cache/<file>/<take>``; the user's folder while the file is unsaved.

    Where another scene's take of the same name lies there, it is numbered. Raises ``AddonError`` for a chosen folder that holds the
    take of another scene.
    """
    settings = scene.perpetua
    if settings.bake_folder:
        chosen = playback.resolve(settings.bake_folder)
        for other in _others(scene):
            if _own(other) == chosen:
                raise AddonError(
                    f"The take of scene '{other.name}' is baked to {chosen} too; choose another folder, or none, for one of them."
                )
        return chosen
    if bpy.data.filepath:
        names = _numbered(beside(Path(bpy.data.filepath)), _name(scene))
        return next(folder for folder in names if not _anothers(scene, folder))
    names = _numbered(cache_folders.root(), _name(scene))
    return next(folder for folder in names if _free(scene, folder))


def beside(blend: Path) -> Path:
    """Where the takes of a saved file lie: with the file's name, so that two shots in a folder may have takes of the same name."""
    return playback.resolve(str(blend.parent / "cache" / blend.stem))


def place_beside(blend: Path, scene: bpy.types.Scene, folder: Path) -> Path:
    """Where a folder that a scene plays goes when its file is saved as ``blend``: beside it, and over no other scene's."""
    others = {place for other in _others(scene) for place in cache_folders.played(other)}
    return next(place for place in _numbered(beside(blend), folder.name) if place not in others)


def look_folder(folder: Path) -> Path:
    """Where a look at the input of a take goes that is baked into ``folder``."""
    return folder.with_name(f"{folder.name} look")


def _name(scene: bpy.types.Scene) -> str:
    return bpy.path.clean_name(scene.perpetua.take_name) or "take"


def _numbered(root: Path, name: str) -> Iterator[Path]:
    yield root / name
    for number in count(2):
        yield root / f"{name} {number}"


def _others(scene: bpy.types.Scene) -> Iterator[bpy.types.Scene]:
    for other in bpy.data.scenes:
        if other != scene and other.library is None:
            yield other


def _own(scene: bpy.types.Scene) -> Path | None:
    """The folder that a scene plays, if it was chosen for it."""
    settings = scene.perpetua
    if not settings.cache_folder or not settings.bake_folder:
        return None
    folder = playback.resolve(settings.cache_folder)
    return folder if folder == playback.resolve(settings.bake_folder) else None


def _anothers(scene: bpy.types.Scene, folder: Path) -> bool:
    """Whether another scene's take lies there. A branch has another name, and shows the take it came from only until it is baked."""
    return any(
        _own(other) == folder
        or (
            other.perpetua.take_name == scene.perpetua.take_name
            and other.perpetua.cache_folder
            and playback.resolve(other.perpetua.cache_folder) == folder
        )
        for other in _others(scene)
    )


def _free(scene: bpy.types.Scene, folder: Path) -> bool:
    """Whether nothing is kept there but what this scene plays itself: other files' takes lie side by side with it."""
    mine = cache_folders.played(scene)
    return all(place in mine or not (place / META).is_file() for place in (folder, look_folder(folder)))
