"""Stages that are written whole or not at all, and found again by what went into them.

A stage's folder is named by the digest of its inputs: the settings that matter to it and the digests of the stages it
builds on. If the folder is there, the stage is done. A run that was killed, or that asks for the same thing again, therefore goes
on at the first stage that is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from perpetua import __version__

MANIFEST = "stage.json"
DEBRIS_SECONDS = 24 * 3600
"""A stage takes minutes; what is older was left by a process that is gone."""


class StageManifest(msgspec.Struct, frozen=True):
    """What a finished stage left: its inputs, and every file's size and digest."""

    name: str
    inputs: dict[str, Any]
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Stage:
    """A finished stage: its key (digest of its inputs), the folder of its output, and whether it was found rather than made."""

    key: str
    folder: Path
    found: bool

    def path(self, name: str) -> Path:
        """A file of the output."""
        return self.folder / name

    def content_digest(self) -> str:
        """sha256 over the digests of all its files: equal bytes, equal digest."""
        manifest = _read_manifest(self.folder)
        lines = "".join(f"{name} {digest}\n" for name, (_, digest) in sorted(manifest.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class StageStore:
    """Finished stages under ``root``."""

    root: Path

    def sweep(self) -> None:
        """Remove what killed runs left half written a day ago or earlier."""
        for debris in self.root.glob(".*-*"):
            if time.time() - debris.stat().st_mtime > DEBRIS_SECONDS:
                shutil.rmtree(debris, ignore_errors=True)

    def run(self, name: str, inputs: dict[str, Any], make: Callable[[Path], None]) -> Stage:
        """The stage ``name`` for these inputs: found, or made by ``make(folder)`` in a folder that appears when it is whole.

        Inputs may hold anything msgspec can encode, and other stages (by their key). A finished stage that is damaged
        is made again.
        """
        record = {k: v.key if isinstance(v, Stage) else v for k, v in inputs.items()}
        key = digest_of({"stage": name, "version": __version__, "inputs": record})
        folder = self.root / f"{name}-{key[:20]}"
        if _is_whole(folder):
            return Stage(key, folder, found=True)
        work = self.root / f".{name}-{key[:20]}-{uuid.uuid4().hex[:8]}"
        work.mkdir(parents=True)
        try:
            make(work)
            files = {
                path.relative_to(work).as_posix(): (path.stat().st_size, file_digest(path))
                for path in sorted(work.rglob("*"))
                if path.is_file()
            }
            manifest = StageManifest(name, msgspec.to_builtins(record), files)
            (work / MANIFEST).write_bytes(msgspec.json.encode(manifest))
            _put(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return Stage(key, folder, found=False)


def _put(work: Path, folder: Path) -> None:
    """Give a finished stage its name. What has that name is left if it is whole, for another process made the same meanwhile and may be
    reading it; else it is damaged, and goes."""
    if _is_whole(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        os.replace(work, folder)
    except OSError:
        if not _is_whole(folder):
            raise


def digest_of(value: Any) -> str:
    """sha256 of a value's canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> StageManifest:
    return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=StageManifest)


def _is_whole(folder: Path) -> bool:
    """Whether a stage's manifest is readable and every file it names is as it was written."""
    try:
        files = _read_manifest(folder).files
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return all(
        (folder / name).is_file()
        and (folder / name).stat().st_size == size
        and file_digest(folder / name) == digest
        for name, (size, digest) in files.items()
    )
