"""Opened caches, and the writing of their frames into clouds."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import bpy
import numpy as np

from perpetua_protocol.cache import SHEEN, TURN, Cache

from . import cache_locks, display, splat_viewport
from .point_cloud import Floats, write_attributes, write_radius, write_sheen, write_turns
from .sheen import turned

NOT_TURNED = np.float32([1.0, 0.0, 0.0, 0.0])

_caches: dict[Path, Cache] = {}
_open: dict[Path, ExitStack] = {}
"""By folder: what is to be closed when its cache is let go of."""
_coloured: dict[int, Floats] = {}
"""By the ``session_uid`` of a point cloud: the array its colours were written from."""


def open_cache(folder: Path, again: bool = False) -> Cache:
    """The cache in ``folder``, mapped once. again: read what it says of itself anew. Raises ``DamagedCache``."""
    folder = folder.resolve()
    if again and folder in _caches:
        del _caches[folder]
        _open.pop(folder).close()
        _coloured.clear()
    if folder not in _caches:
        _caches[folder] = cache = Cache(folder)
        _open[folder] = ExitStack()
        _open[folder].callback(cache.close)
        if (lock := cache_locks.hold(folder)) is not None:
            _open[folder].enter_context(lock)
    return _caches[folder]


def write(cloud: bpy.types.Object, frame: dict[str, Floats], shown_as: str) -> None:
    """Write a frame into a cloud: all that moves, and what only Blender's own points show while they are shown."""
    radiance = frame["radiance_base"]
    values = {name: frame[name] for name in ("position", "rotation", "scale")}
    # a round's colours are one mapped array, so most frames need not write them
    recoloured = _coloured.get(cloud.data.session_uid) is not radiance
    if recoloured:
        values["radiance:base"] = radiance
        write_sheen(cloud, frame.get(SHEEN))
    if TURN in frame:
        _write_turned(cloud, frame, shown_as)
    write_attributes(cloud, values)
    if recoloured or shown_as in display.TREES:
        write_radius(cloud, frame["scale"])
    if recoloured and shown_as in display.TREES:
        display.write_colour(cloud)
    _coloured[cloud.data.session_uid] = radiance
    splat_viewport.mark_changed(cloud, recoloured)


def _write_turned(cloud: bpy.types.Object, frame: dict[str, Floats], shown_as: str) -> None:
    """What depends on the view, where matter has turned: as turns, or for Blender's own splats in the coefficients themselves."""
    if shown_as == display.NATIVE:
        write_sheen(cloud, turned(frame[SHEEN], frame[TURN]))
        write_turns(cloud, NOT_TURNED + np.zeros_like(frame[TURN]))
    else:
        write_turns(cloud, frame[TURN])


def clear(cloud: bpy.types.Object) -> None:
    """Let nothing be seen of a cloud whose frame cannot be read: another frame's splats would be taken for it."""
    nothing = np.zeros((len(cloud.data.points), 3), np.float32)
    write_attributes(cloud, {"scale": nothing})
    write_radius(cloud, nothing)
    _coloured.pop(cloud.data.session_uid, None)
    splat_viewport.mark_changed(cloud, False)


def is_written(cloud: bpy.types.Object, frame: dict[str, Floats]) -> bool:
    """Whether a cloud that stands still has been written from this frame's own arrays."""
    return _coloured.get(cloud.data.session_uid) is frame["radiance_base"]


def forget_colours() -> None:
    """Write all colours anew: the clouds are no longer as they were left."""
    _coloured.clear()


def release() -> None:
    """Let go of every mapped file."""
    for opened in _open.values():
        opened.close()
    _caches.clear()
    _open.clear()
    _coloured.clear()
