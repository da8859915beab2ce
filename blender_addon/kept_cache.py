"""The cache of the bake before, kept until the new bake is whole, so that a bake that fails costs nothing.

A new bake exchanges the folder's ``meta.json`` as its rounds arrive; the arrays that the old one names stay where they are.
So keeping the old ``meta.json`` keeps the old bake.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from perpetua_protocol.cache import CacheMeta, DamagedCache, read_meta

META, PREVIOUS = "meta.json", "meta.previous.json"


class KeptCache:
    """What ``folder`` held when a bake into it began; on disk, so that it outlives a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if (folder / META).exists() and not (folder / PREVIOUS).exists():
            shutil.copyfile(folder / META, folder / PREVIOUS)

    def forget(self) -> None:
        """The new bake is whole."""
        (self._folder / PREVIOUS).unlink(missing_ok=True)

    def give_back(self) -> bool:
        """The new bake failed: play the one before again if it has more rounds. Returns whether it does."""
        previous = self._folder / PREVIOUS
        if not previous.exists():
            return False
        if _rounds(previous) <= _rounds(self._folder / META):
            previous.unlink()
            return False
        os.replace(previous, self._folder / META)
        return True


def _rounds(path: Path) -> int:
    """Rounds that a meta file names and whose arrays are all there; -1 if it is not readable."""
    try:
        meta: CacheMeta = read_meta(path.parent, path.name)
    except DamagedCache:
        return -1
    whole = all((path.parent / name).is_file() for name in meta.files)
    return len(meta.rounds) if whole else -1
