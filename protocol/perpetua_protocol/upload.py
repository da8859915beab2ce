"""Sending a take's files to the backend, a little at a time, so that a timer can do it.

Files are hashed, offered, and sent in chunks, a few of them at once (credits). The backend keeps them by their digest: what it has
is not sent again, and a file whose upload broke off is gone on with.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Generator, Sequence

from perpetua_protocol import limits
from perpetua_protocol.errors import BackendUnreachable, TransferFailed
from perpetua_protocol.framing import bytes_array
from perpetua_protocol.inputs import InputFile
from perpetua_protocol.link import Link, Pending
from perpetua_protocol.messages import FileEntry, OfferFiles, PutChunk, Stored, Wanted

RETRIES = 2
"""How often a file is gone on with after its connection broke, before giving up."""


class Upload:
    """The files of one input on their way. Call ``step`` until it returns True; then ``files`` is what a request names."""

    def __init__(self, link: Link, inputs: Sequence[InputFile]) -> None:
        self._link = link
        self._inputs = tuple(inputs)
        self._steps = self._run()
        self._complete = False
        self.files: tuple[FileEntry, ...] = ()
        """Name, size and digest of each file, in the order given."""
        self.bytes_done = 0
        self.bytes_total = 0
        """Of all files; 0 until they are hashed."""
        self.waiting = False
        """True when the last step ended because nothing had come in."""

    def step(self, budget_s: float) -> bool:
        """Work for about ``budget_s`` without waiting. True when the backend has everything.

        Raises ``TransferFailed`` for a file that cannot be read or stored, and ``BackendUnreachable``; a new upload goes on where this
        one ended.
        """
        until = time.monotonic() + budget_s
        try:
            for busy in self._steps:
                self.waiting = not busy
                if not busy or time.monotonic() >= until:
                    return False
        except OSError as error:
            raise TransferFailed(
                f"{error.filename} cannot be read ({error.strerror}); check that it is there and yours to read."
            ) from error
        if not self._complete:
            raise TransferFailed("This upload has ended before all was sent; begin a new one.")
        return True

    def close(self) -> None:
        """Give up; what has arrived stays for the next attempt."""
        self._steps.close()

    def _run(self) -> Generator[bool, None, None]:
        """Does the work; yields True after a piece of it and False when there is nothing to do but wait."""
        entries = []
        for file in self._inputs:
            entries.append((yield from _entry(file)))
        self.bytes_total = sum(entry.bytes for entry in entries)
        offer = self._link.send(OfferFiles(tuple(entries)))
        while not offer.ready:
            self._link.drain(time.monotonic())
            yield offer.ready
        have = offer.result(Wanted).have
        if len(have) != len(entries):
            raise TransferFailed(
                f"The backend spoke of {len(have)} files and {len(entries)} were offered; begin again."
            )
        sent: set[str] = set()
        for file, entry, there in zip(self._inputs, entries, have, strict=True):
            self.bytes_done += entry.bytes if entry.sha256 in sent else there
            if entry.sha256 not in sent:
                yield from self._send(file, entry, there)
            sent.add(entry.sha256)
        self.files = tuple(entries)
        self._complete = True

    def _send(self, file: InputFile, entry: FileEntry, there: int) -> Generator[bool, None, None]:
        """One file from the byte ``there`` on."""
        asked, lost = there, 0
        under_way: deque[Pending] = deque()
        try:
            with file.path.open("rb") as source:
                while there < entry.bytes:
                    while len(under_way) < limits.CREDITS and asked < entry.bytes:
                        source.seek(asked)
                        wanted = min(limits.CHUNK_BYTES, entry.bytes - asked)
                        data = source.read(wanted)
                        if len(data) < wanted:
                            raise TransferFailed(
                                f"{file.path} became shorter while it was sent; send it again."
                            )
                        put = PutChunk(entry.sha256, entry.bytes, asked)
                        under_way.append(self._link.send(put, {"bytes": bytes_array(data)}))
                        asked += len(data)
                    try:
                        self._link.drain(time.monotonic())
                    except BackendUnreachable:
                        lost += 1
                        if lost > RETRIES or self._link.nobody_there():
                            raise
                        under_way.clear()
                        asked = there
                        continue
                    if not under_way[0].ready:
                        yield False
                        continue
                    first = under_way.popleft()
                    have = first.result(Stored).have
                    self.bytes_done += have - there
                    there = have
                    if have != _end(first):  # a chunk or a reply was lost; those after it are not taken
                        for pending in under_way:
                            self._link.forget(pending)
                        under_way.clear()
                        asked = there
                    for pending in under_way:
                        self._link.renew(pending)
                    yield True
        finally:
            for pending in under_way:
                self._link.forget(pending)


def _end(put: Pending) -> int:
    assert isinstance(put.request, PutChunk)
    return min(put.request.offset + limits.CHUNK_BYTES, put.request.bytes)


def _entry(file: InputFile) -> Generator[bool, None, FileEntry]:
    """The file's size and digest (the generator's value)."""
    digest, size = hashlib.sha256(), 0
    with file.path.open("rb") as source:
        while data := source.read(limits.CHUNK_BYTES):
            digest.update(data)
            size += len(data)
            yield True
    return FileEntry(file.name, size, digest.hexdigest())
