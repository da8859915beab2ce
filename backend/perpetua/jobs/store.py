"""Where things lie in a store, the folder a backend owns.

store/journal.sqlite       jobs and events
store/pictures/            pictures by the SHA-256 of their bytes
store/jobs/<id>/           request.json and the job's cache/ folder
store/logs/                backend.log, worker.log
store/...                  stages the loop keeps for itself
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr"})
"""Suffixes a stored picture may keep; some readers choose their decoder by it."""


@dataclass(frozen=True)
class Store:
    """The folder a backend keeps everything in."""

    root: Path

    @property
    def journal(self) -> Path:
        return self.root / "journal.sqlite"

    @property
    def backend_log(self) -> Path:
        return self.root / "logs" / "backend.log"

    @property
    def worker_log(self) -> Path:
        return self.root / "logs" / "worker.log"

    def prepare(self) -> None:
        """Make the folders."""
        for name in ("pictures", "jobs", "logs"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def request_file(self, job_id: str) -> Path:
        return self.root / "jobs" / job_id / "request.json"

    def cache(self, job_id: str) -> Path:
        """Folder the job writes its 4D cache to."""
        return self.root / "jobs" / job_id / "cache"

    def drop_cache(self, job_id: str) -> None:
        """Remove a job's cache folder, if it is there."""
        folder = self.cache(job_id)
        if folder.is_dir():
            shutil.rmtree(folder)

    def picture(self, sha256: str, name: str) -> Path:
        """Path of a picture of that digest; ``name`` is what the artist calls it and gives the suffix."""
        suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
        return self.root / "pictures" / (sha256 + (suffix if suffix in PICTURE_SUFFIXES else ""))

    def keep_picture(self, data: bytes | memoryview, name: str) -> Path:
        """Store a picture's bytes under their digest."""
        path = self.picture(hashlib.sha256(data).hexdigest(), name)
        if not path.is_file():
            write_whole(path, data)
        return path


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file that appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
