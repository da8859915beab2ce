"""One backend a store: a lock the operating system takes back when its process dies, however it dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

from perpetua.errors import PerpetuaError


class StoreInUse(PerpetuaError):
    """Another backend owns the store or the connection file."""

    code = "store_in_use"


class FileLock:
    """Holds ``path`` locked. Raises ``StoreInUse`` with ``sentence`` when another process holds it.

    ``{owner}`` in the sentence becomes that process's number.
    """

    def __init__(self, path: Path, sentence: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._handle)
        except OSError as error:
            owner = (
                os.pread(self._handle, 20, 1).decode("ascii", "replace").strip() if os.name == "posix" else ""
            )
            os.close(self._handle)
            raise StoreInUse(
                sentence.format(owner=f"process {owner}" if owner else "another process")
            ) from error
        # byte 0 is what Windows locks, so the number that tells others who holds it begins behind it
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, f" {os.getpid()}\n".encode("ascii"))

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # the file stays: removing it would let two processes lock two files of the same name
        os.close(self._handle)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
