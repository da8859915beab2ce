"""What of a job's cache folder is complete and can be sent.

The cache writes its arrays first and names them, with size and SHA-256, under ``files`` of its ``meta.json``, which it replaces
atomically as each round's chunk is done. So what ``meta.json`` names is complete, and nothing else is offered.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from perpetua_protocol.cache import DamagedCache, FileRecord
from perpetua_protocol.limits import FRAME_BYTES, is_cache_path
from perpetua_protocol.messages import FileEntry

META = "meta.json"


class _Round(msgspec.Struct, frozen=True):
    index: int
    frames: int


class _Meta(msgspec.Struct, frozen=True):
    """The keys of ``meta.json`` that matter to sending it; ``perpetua_protocol.cache`` describes the rest."""

    files: dict[str, FileRecord]
    rounds: list[_Round]


@dataclass(frozen=True)
class CacheFiles:
    """A cache folder at one moment."""

    meta: bytes
    """The bytes of ``meta.json``."""
    meta_sha256: str
    entries: dict[str, FileEntry]
    """By path."""
    rounds: int
    """Rounds complete, 0 for the reconstruction alone."""
    frames: int
    """Frames complete, frame 0 included."""


def read_cache_files(folder: Path) -> CacheFiles | None:
    """What stands complete in a cache folder; None before the first chunk. Raises ``DamagedCache`` if it is damaged."""
    path = folder / META
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        meta = msgspec.json.decode(data, type=_Meta)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedCache(
            f"The cache's {path} is damaged ({error}); delete that folder and bake again."
        ) from error
    wrong = [name for name in meta.files if not is_cache_path(name)]
    if wrong or len(data) > FRAME_BYTES:
        raise DamagedCache(
            f"The cache's {path} cannot be sent: {wrong[0] if wrong else 'it is too large'}; bake again."
        )
    entries = {name: FileEntry(name, file.bytes, file.sha256) for name, file in sorted(meta.files.items())}
    rounds = max((r.index for r in meta.rounds), default=0)
    digest = hashlib.sha256(data).hexdigest()
    return CacheFiles(data, digest, entries, rounds, sum(r.frames for r in meta.rounds))


class CacheWatch:
    """Reads a cache folder again only when its ``meta.json`` was replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: tuple[int, int, int] | None = None
        self._files: CacheFiles | None = None

    def read(self) -> CacheFiles | None:
        """As ``read_cache_files``, remembered."""
        try:
            status = (self._folder / META).stat()
        except FileNotFoundError:
            self._stamp = self._files = None
            return None
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._files = read_cache_files(self._folder)
            self._stamp = stamp
        return self._files
