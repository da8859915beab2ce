"""Writes the 4D cache round by round.

A folder's name carries the digest of what it came from, so it is written once, appears whole, and is never touched again;
``meta.json`` is exchanged atomically for one that names it. The ``meta.json`` of the bake before is kept as
``meta.previous.json`` until the new bake is finished, and put back if it fails with less to show.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from perpetua.cache.arrays import Arrays
from perpetua_protocol.cache import CacheMeta, DamagedCache, FileRecord, RoundRecord, read_meta

META = "meta.json"
PREVIOUS = "meta.previous.json"


class CacheWriter:
    """Builds the cache at ``folder`` towards ``meta``, which names no rounds and no files yet."""

    def __init__(self, folder: Path, meta: CacheMeta) -> None:
        self.folder = folder
        self.meta = meta
        folder.mkdir(parents=True, exist_ok=True)
        for debris in folder.glob(".part-*"):
            shutil.rmtree(debris)
        self._known = {**_old_files(folder / PREVIOUS), **_old_files(folder / META)}
        if (folder / META).exists() and not (folder / PREVIOUS).exists():
            os.replace(_copy(folder / META), folder / PREVIOUS)

    def add_background(self, digest: str, arrays: Callable[[], Arrays]) -> None:
        """Write the splats that never move, unless they are there."""
        folder = f"background-{digest[:16]}"
        files = self._write(folder, arrays)
        self.meta = msgspec.structs.replace(
            self.meta, background_folder=folder, files={**self.meta.files, **files}
        )

    def add_round(
        self,
        record: RoundRecord,
        arrays: Callable[[], Arrays],
        beside: Callable[[Path], None] | None = None,
    ) -> None:
        """Write a round's arrays, unless they are there, and publish it. ``record.folder`` is given by its digest.

        beside: writes what else belongs to the round into the folder it is given.
        """
        record = msgspec.structs.replace(record, folder=f"round_{record.index:03d}-{record.digest[:16]}")
        files = self._write(record.folder, arrays, beside)
        self.meta = msgspec.structs.replace(
            self.meta, rounds=[*self.meta.rounds, record], files={**self.meta.files, **files}
        )
        self._publish()

    def finish(self) -> None:
        """The bake is whole: forget the one before, and remove folders that nothing names any more.

        A bake of fewer rounds than the one before, which it has in common with it, leaves the later ones in place.
        """
        old = _read(self.folder / PREVIOUS)
        if old is not None and len(old.rounds) > len(self.meta.rounds):
            common = len(self.meta.rounds)
            if [r.digest for r in old.rounds[:common]] == [r.digest for r in self.meta.rounds]:
                self.meta = msgspec.structs.replace(
                    self.meta,
                    rounds=old.rounds,
                    files={**old.files, **self.meta.files},
                    foreground=old.foreground,
                    particles=old.particles,
                )
                self._publish()
        (self.folder / PREVIOUS).unlink(missing_ok=True)
        keep = {r.folder for r in self.meta.rounds} | {self.meta.background_folder}
        for entry in self.folder.iterdir():
            if entry.is_dir() and entry.name not in keep:
                shutil.rmtree(entry)

    def abandon(self) -> None:
        """The bake failed or was cancelled: the bake before comes back if it had more rounds than this one."""
        previous = self.folder / PREVIOUS
        if not previous.exists():
            return
        old = _read(previous)
        if old is not None and len(old.rounds) > len(self.meta.rounds):
            os.replace(previous, self.folder / META)
        else:
            previous.unlink()

    def _write(
        self, name: str, arrays: Callable[[], Arrays], beside: Callable[[Path], None] | None = None
    ) -> dict[str, FileRecord]:
        target = self.folder / name
        there = {path: record for path, record in self._known.items() if path.startswith(f"{name}/")}
        if there and all(_is_as_recorded(self.folder / path, record) for path, record in there.items()):
            return there
        work = self.folder / f".part-{uuid.uuid4().hex[:8]}"
        work.mkdir()
        try:
            for attribute, array in arrays().items():
                np.save(work / f"{attribute}.npy", array)
            if beside is not None:
                beside(work)
            files = {f"{name}/{path.name}": file_record(path) for path in sorted(work.iterdir())}
            if target.exists():  # damaged, or left by a killed bake before any meta.json named it
                shutil.rmtree(target)
            os.replace(work, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return files

    def _publish(self) -> None:
        work = self.folder / f".meta-{uuid.uuid4().hex[:8]}.json"
        work.write_bytes(msgspec.json.format(msgspec.json.encode(self.meta), indent=1))
        os.replace(work, self.folder / META)


def file_record(path: Path) -> FileRecord:
    """Size and sha256 of a file."""
    with path.open("rb") as file:
        return FileRecord(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def verify(folder: Path) -> CacheMeta:
    """Check every file's size and digest. Raises ``DamagedCache`` naming the first that is wrong."""
    meta = read_meta(folder)
    for name, record in meta.files.items():
        if not _is_as_recorded(folder / name, record):
            raise DamagedCache(
                f"The cache at {folder} has a damaged or missing {name}; bake that round again."
            )
    return meta


def _is_as_recorded(path: Path, record: FileRecord) -> bool:
    return path.is_file() and path.stat().st_size == record.bytes and file_record(path) == record


def _read(path: Path) -> CacheMeta | None:
    """A meta file that this program can play, or None: an earlier program's, a damaged one, or none at all."""
    try:
        return read_meta(path.parent, path.name)
    except DamagedCache:
        return None


def _old_files(path: Path) -> dict[str, FileRecord]:
    old = _read(path)
    return {} if old is None else old.files


def _copy(path: Path) -> Path:
    copy = path.with_name(f".meta-{uuid.uuid4().hex[:8]}.json")
    shutil.copyfile(path, copy)
    return copy
