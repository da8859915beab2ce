"""Files that clients upload: kept by the SHA-256 of their bytes, taken in piece by piece, and checked when they are whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from perpetua_protocol import limits
from perpetua_protocol.errors import InvalidMessage, MissingFiles, TransferFailed
from perpetua_protocol.messages import FileEntry

if TYPE_CHECKING:
    from hashlib import _Hash

KEEP_UNUSED_S = 7 * 24 * 3600.0
"""Time for which a file that no job uses, or the part of one, stays."""
SPARE_BYTES = 256 * limits.MIB
"""Of the disk, left free."""


class Intake:
    """The folder of uploaded files: ``<sha256>`` when whole, ``<sha256>.part`` before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[str, tuple[_Hash, int]] = {}
        """Of parts, and how many bytes they cover."""

    def path(self, sha256: str) -> Path:
        """Where a whole file of that digest lies, or would."""
        return self._folder / sha256

    def have(self, entry: FileEntry) -> int:
        """Bytes of a file that are here. Raises ``InvalidMessage`` for what cannot be taken in."""
        _check(entry)
        if entry.bytes == 0:
            self.keep(b"")
        if self.path(entry.sha256).is_file():
            return entry.bytes
        part = self._part(entry.sha256)
        size = part.stat().st_size if part.is_file() else 0
        if size < entry.bytes:
            return size
        part.unlink(missing_ok=True)  # left by a backend that died before it was checked
        return 0

    def put(self, sha256: str, size: int, offset: int, data: memoryview) -> int:
        """Take in bytes of a file of ``size`` bytes; returns how many are here now. Bytes that do not go on where the file ends are
        not taken.

        Raises ``InvalidMessage``, or ``TransferFailed`` when the disk is full or the whole file is damaged.
        """
        entry = FileEntry(sha256, size, sha256)
        here = self.have(entry)
        if offset != here or here == size:
            return here
        if not 0 < len(data) <= min(limits.CHUNK_BYTES, size - offset):
            raise InvalidMessage(
                f"A chunk of a file is 1 to {limits.CHUNK_BYTES} bytes and ends where the file does."
            )
        if shutil.disk_usage(self._folder).free < len(data) + SPARE_BYTES:
            raise TransferFailed(
                f"The backend's disk at {self._folder} is full; make room there and send the files again."
            )
        part = self._part(sha256)
        digest = self._digest(sha256, part, here)
        with part.open("ab") as file:
            file.write(data)
        digest.update(data)
        here += len(data)
        self._digests[sha256] = digest, here
        if here == size:
            self._finish(sha256, part)
        return here

    def keep(self, data: memoryview | bytes) -> str:
        """Store a file that came whole; returns its digest."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        if not path.is_file():
            part = path.with_suffix(f".{os.getpid()}.whole")
            part.write_bytes(data)
            os.replace(part, path)
        return sha256

    def lay_out(self, files: tuple[FileEntry, ...], folder: Path) -> None:
        """Put whole files under their names into ``folder``, which is made. Raises ``MissingFiles``, ``InvalidMessage``."""
        for entry in files:
            _check(entry)
            if not limits.is_cache_path(entry.path):
                raise InvalidMessage(
                    f"An input's file cannot be called '{entry.path[:200]}'; use a plain name."
                )
        missing = [entry for entry in files if not self.path(entry.sha256).is_file()]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise MissingFiles(
                f"The backend has no file {missing[0].path[:200]}{more} yet; upload the take's files and submit it again."
            )
        for entry in files:
            place = folder / entry.path
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                _link(self.path(entry.sha256), place)

    def sweep(self) -> None:
        """Remove files that no job's folder shares, and parts, once they are old."""
        for path in self._folder.iterdir():
            status = path.stat()
            if status.st_nlink == 1 and time.time() - status.st_mtime > KEEP_UNUSED_S:
                path.unlink()

    def _part(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.part"

    def _digest(self, sha256: str, part: Path, here: int) -> _Hash:
        """Of the ``here`` bytes of a part; those that an earlier backend left are read again."""
        known = self._digests.get(sha256)
        if known is not None and known[1] == here:
            return known[0]
        digest = hashlib.sha256()
        if here:
            with part.open("rb") as file:
                while data := file.read(limits.CHUNK_BYTES):
                    digest.update(data)
        return digest

    def _finish(self, sha256: str, part: Path) -> None:
        digest, _ = self._digests.pop(sha256)
        if digest.hexdigest() != sha256:
            part.unlink()
            raise TransferFailed("A file arrived damaged, or was changed while it was sent; send it again.")
        os.replace(part, self.path(sha256))


def _check(entry: FileEntry) -> None:
    if not limits.is_digest(entry.sha256):
        raise InvalidMessage(f"'{entry.sha256[:80]}' is no SHA-256 in 64 lower-case hexadecimal digits.")
    if not 0 <= entry.bytes <= limits.FILE_BYTES:
        raise InvalidMessage(
            f"{entry.path[:200]} is {entry.bytes / limits.MIB:.0f} MiB; at most {limits.FILE_BYTES // limits.MIB} MiB can be sent. "
            "Make it smaller."
        )


def _link(source: Path, place: Path) -> None:
    """The same file under another name, without a copy where the disk can."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)
