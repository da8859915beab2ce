"""Bringing a cache over the wire, a little at a time, so that a timer can do it.

A file is asked for in chunks, a few of them at once (credits), written to a ``.part`` beside its place, checked against its
SHA-256 and renamed. A ``.part`` that an earlier attempt left is gone on with. ``meta.json`` comes last: a reader of the folder never
meets a file that is not there.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perpetua_protocol import limits
from perpetua_protocol.errors import BackendUnreachable, TransferFailed
from perpetua_protocol.link import Link, Pending
from perpetua_protocol.messages import Chunk, FetchChunk, FileEntry

if TYPE_CHECKING:
    from hashlib import _Hash

META = "meta.json"
RETRIES = 2
"""How often chunks that were lost with a broken connection are asked for again before giving up."""

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


class Transfer:
    """One cache on its way into ``dest``. Call ``step`` until it returns True."""

    def __init__(self, link: Link, job_id: str, manifest: Manifest, dest: Path, verified: Verified) -> None:
        self._link = link
        self._job_id = job_id
        self._manifest = manifest
        self._dest = Path(dest)
        self._verified = verified
        self._steps = self._run()
        self._complete = False
        self.bytes_done = 0
        self.bytes_total = manifest.bytes
        self.waiting = False
        """True when the last step ended because nothing had come in."""

    def step(self, budget_s: float) -> bool:
        """Work for about ``budget_s`` without waiting. True when all is there.

        Raises ``TransferFailed`` for a damaged file, and ``BackendUnreachable``; a new transfer goes on where this one ended.
        """
        until = time.monotonic() + budget_s
        try:
            for busy in self._steps:
                self.waiting = not busy
                if not busy or time.monotonic() >= until:
                    return False
        except OSError as error:
            raise TransferFailed(
                f"The cache cannot be written to {self._dest} ({error.strerror}); make room there or choose "
                "another folder, and fetch it again."
            ) from error
        if not self._complete:
            raise TransferFailed("This transfer has ended before all was there; begin a new one.")
        return True

    def close(self) -> None:
        """Give up; what has arrived stays for the next attempt."""
        self._steps.close()

    def _run(self) -> Generator[bool, None, None]:
        """Does the work; yields True after a piece of it and False when there is nothing to do but wait."""
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
        self._complete = True

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
            yield from _feed(part, digest)
            offset = part.stat().st_size
        self.bytes_done += offset
        with part.open("ab" if offset else "wb") as file:
            for data in self._chunks(entry, offset):
                if data:
                    file.write(data)
                    digest.update(data)
                    self.bytes_done += len(data)
                yield bool(data)
        if digest.hexdigest() != entry.sha256:
            part.unlink()
            raise TransferFailed(
                f"{entry.path} arrived damaged; fetch it again, and if that fails too, bake its round again."
            )
        os.replace(part, target)
        self._remember(target, entry)

    def _chunks(self, entry: FileEntry, offset: int) -> Generator[memoryview, None, None]:
        """The file's bytes from ``offset``, in order; an empty piece means that nothing has come in yet."""
        asked, lost = offset, 0
        under_way: deque[Pending] = deque()
        try:
            while offset < entry.bytes:
                while len(under_way) < limits.CREDITS and asked < entry.bytes:
                    length = min(limits.CHUNK_BYTES, entry.bytes - asked)
                    ask = FetchChunk(self._job_id, entry.path, entry.sha256, asked, length)
                    under_way.append(self._link.send(ask))
                    asked += length
                try:
                    self._link.drain(time.monotonic())
                except BackendUnreachable:
                    lost += 1
                    if lost > RETRIES or self._link.nobody_there():
                        raise
                    under_way.clear()
                    asked = offset
                    continue
                if not under_way[0].ready:
                    yield memoryview(b"")
                    continue
                data = _piece(under_way.popleft(), offset)
                offset += len(data)
                for pending in under_way:
                    self._link.renew(pending)
                yield data
        finally:
            for pending in under_way:
                self._link.forget(pending)

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
        yield from _feed(target, digest)
        if digest.hexdigest() != entry.sha256:
            return False
        self._remember(target, entry)
        return True

    def _remember(self, target: Path, entry: FileEntry) -> None:
        status = target.stat()
        self._verified[target] = (entry.sha256, status.st_size, status.st_mtime_ns)


def _piece(pending: Pending, offset: int) -> memoryview:
    ask = pending.request
    chunk = pending.result(Chunk)
    data = pending.arrays.get("bytes")
    if (
        not isinstance(ask, FetchChunk)
        or data is None
        or data.dtype.str != "|u1"
        or chunk.offset != offset
        or data.shape != (ask.length,)
    ):
        raise TransferFailed(
            f"The backend sent other bytes of {chunk.path} than were asked for; fetch it again."
        )
    return data.data


def _feed(path: Path, digest: _Hash) -> Generator[bool, None, None]:
    with path.open("rb") as file:
        while data := file.read(limits.CHUNK_BYTES):
            digest.update(data)
            yield True
