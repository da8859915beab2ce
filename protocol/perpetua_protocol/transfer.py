"""Bringing a cache over the wire, a little at a time, so that a timer can do it.

A file is asked for in chunks, a few of them at once (credits), written to a ``.part`` beside its place, checked against its
SHA-256 and renamed. A ``.part`` that an earlier attempt left is gone on with. ``meta.json`` comes last: a reader of the folder never
meets a file that is not there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from pathlib import Path

import msgspec

from perpetua_protocol import limits
from perpetua_protocol.errors import TransferFailed
from perpetua_protocol.file_mover import FileMover, feed
from perpetua_protocol.link import Link, Pending
from perpetua_protocol.messages import Chunk, FetchChunk, FileEntry

META = "meta.json"
Verified = dict[Path, tuple[str, int, int]]
"""Files checked before in this process: digest, size, modification time in ns."""


class Manifest(msgspec.Struct, frozen=True):
    """What of a job's cache is complete: its files, and the bytes of ``meta.json`` (empty while there is none)."""

    files: tuple[FileEntry, ...]
    meta: bytes
    meta_sha256: str

    @property
    def bytes(self) -> int:
        """Size of all files but ``meta.json``."""
        return sum(entry.bytes for entry in self.files)


class Transfer(FileMover):
    """One cache on its way into ``dest``. Call ``step`` until it returns True."""

    def __init__(self, link: Link, job_id: str, manifest: Manifest, dest: Path, verified: Verified) -> None:
        super().__init__(link)
        self._job_id = job_id
        self._manifest = manifest
        self._dest = Path(dest)
        self._verified = verified
        self.bytes_total = manifest.bytes

    def _sentence(self, error: OSError) -> str:
        return (
            f"The cache cannot be written to {self._dest} ({error.strerror}); make room there or choose "
            "another folder, and fetch it again."
        )

    def _run(self) -> Generator[bool, None, None]:
        if not self._manifest.meta_sha256:
            raise TransferFailed("The job has nothing to fetch yet; wait until its first round is ready.")
        if hashlib.sha256(self._manifest.meta).hexdigest() != self._manifest.meta_sha256:
            raise TransferFailed("The cache's meta.json arrived damaged; list the job's files again.")
        for entry in self._manifest.files:
            if not limits.is_cache_path(entry.path) or entry.bytes < 0 or not limits.is_digest(entry.sha256):
                raise TransferFailed(f"The backend lists a file that cannot be stored: '{entry.path[:200]}'.")
            yield from self._file(entry)
        self._dest.mkdir(parents=True, exist_ok=True)
        work = self._dest / f".{META}.part"
        work.write_bytes(self._manifest.meta)
        os.replace(work, self._dest / META)

    def _file(self, entry: FileEntry) -> Generator[bool, None, None]:
        target = self._dest / entry.path
        if (yield from self._is_there(target, entry)):
            self.bytes_done += entry.bytes
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # the digest in its name keeps a part of another version of the file from being gone on with
        part = target.with_name(f".{target.name}.{entry.sha256[:16]}.part")
        digest = hashlib.sha256()
        offset = 0
        if part.exists() and part.stat().st_size <= entry.bytes:
            yield from feed(part, digest)
            offset = part.stat().st_size
        self.bytes_done += offset
        with part.open("ab" if offset else "wb") as file:

            def ask(at: int, length: int) -> Pending:
                return self._link.send(FetchChunk(self._job_id, entry.path, entry.sha256, at, length))

            def keep(reply: Pending) -> int:
                at, data = _piece(reply)
                file.write(data)
                digest.update(data)
                return at + len(data)

            yield from self._move(offset, entry.bytes, ask, keep)
        if digest.hexdigest() != entry.sha256:
            part.unlink()
            raise TransferFailed(
                f"{entry.path} arrived damaged; fetch it again, and if that fails too, bake its round again."
            )
        os.replace(part, target)
        self._remember(target, entry)

    def _is_there(self, target: Path, entry: FileEntry) -> Generator[bool, None, bool]:
        """Whether the file stands whole in its place already (the generator's value)."""
        try:
            status = target.stat()
        except FileNotFoundError:
            return False
        if status.st_size != entry.bytes:
            return False
        if self._verified.get(target) == (entry.sha256, status.st_size, status.st_mtime_ns):
            return True
        digest = hashlib.sha256()
        yield from feed(target, digest)
        if digest.hexdigest() != entry.sha256:
            return False
        self._remember(target, entry)
        return True

    def _remember(self, target: Path, entry: FileEntry) -> None:
        status = target.stat()
        self._verified[target] = (entry.sha256, status.st_size, status.st_mtime_ns)


def _piece(pending: Pending) -> tuple[int, memoryview]:
    """A chunk's offset and bytes, if they are those that were asked for."""
    ask = pending.request
    chunk = pending.result(Chunk)
    data = pending.arrays.get("bytes")
    if (
        not isinstance(ask, FetchChunk)
        or data is None
        or data.dtype.str != "|u1"
        or chunk.offset != ask.offset
        or data.shape != (ask.length,)
    ):
        raise TransferFailed(
            f"The backend sent other bytes of {chunk.path} than were asked for; fetch it again."
        )
    return ask.offset, data.data
