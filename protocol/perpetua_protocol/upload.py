"""Sending a take's files to the backend, a little at a time, so that a timer can do it.

Files are hashed, offered, and sent in chunks, a few of them at once (credits). The backend keeps them by their digest: what it has
is not sent again, and a file whose upload broke off is gone on with.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Sequence

from perpetua_protocol.errors import TransferFailed
from perpetua_protocol.file_mover import FileMover, feed
from perpetua_protocol.framing import bytes_array
from perpetua_protocol.inputs import InputFile
from perpetua_protocol.link import Link, Pending
from perpetua_protocol.messages import FileEntry, OfferFiles, PutChunk, Stored, Wanted


class Upload(FileMover):
    """The files of one input on their way. Call ``step`` until it returns True; then ``files`` is what a request names."""

    def __init__(self, link: Link, inputs: Sequence[InputFile]) -> None:
        super().__init__(link)
        self._inputs = tuple(inputs)
        self.files: tuple[FileEntry, ...] = ()
        """Name, size and digest of each file, in the order given."""

    def _sentence(self, error: OSError) -> str:
        return (
            f"{error.filename} cannot be read ({error.strerror}); check that it is there and yours to read."
        )

    def _run(self) -> Generator[bool, None, None]:
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

    def _send(self, file: InputFile, entry: FileEntry, there: int) -> Generator[bool, None, None]:
        """One file from the byte ``there`` on."""
        with file.path.open("rb") as source:

            def put(at: int, length: int) -> Pending:
                source.seek(at)
                data = source.read(length)
                if len(data) < length:
                    raise TransferFailed(f"{file.path} became shorter while it was sent; send it again.")
                chunk = PutChunk(entry.sha256, entry.bytes, at)
                return self._link.send(chunk, {"bytes": bytes_array(data)})

            yield from self._move(there, entry.bytes, put, _stored)


def _stored(reply: Pending) -> int:
    return reply.result(Stored).have


def _entry(file: InputFile) -> Generator[bool, None, FileEntry]:
    """The file's size and digest (the generator's value)."""
    digest = hashlib.sha256()
    size = yield from feed(file.path, digest)
    return FileEntry(file.name, size, digest.hexdigest())
