"""Where things lie in a store, the folder a backend owns.

store/journal.sqlite       jobs and events
store/inputs/              pictures and other files of takes by the SHA-256 of their bytes
store/jobs/<id>/           request.json, the take's files under their names in input/, and the job's cache/ folder
store/logs/                backend.log, worker.log
store/...                  stages the loop keeps for itself
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from perpetua_protocol.limits import is_cache_path


@dataclass(frozen=True)
class Store:
    """The folder a backend keeps everything in."""

    root: Path

    @property
    def journal(self) -> Path:
        return self.root / "journal.sqlite"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def backend_log(self) -> Path:
        return self.root / "logs" / "backend.log"

    @property
    def worker_log(self) -> Path:
        return self.root / "logs" / "worker.log"

    def prepare(self) -> None:
        """Make the folders."""
        for name in ("inputs", "jobs", "logs"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def request_file(self, job_id: str) -> Path:
        return self.root / "jobs" / job_id / "request.json"

    def cache(self, job_id: str) -> Path:
        """Folder the job writes its 4D cache to."""
        return self.root / "jobs" / job_id / "cache"

    def input(self, job_id: str) -> Path:
        """Folder of the take's files."""
        return self.root / "jobs" / job_id / "input"

    def drop_cache(self, job_id: str) -> None:
        """Remove a job's cache and its take's files, if they are there."""
        for folder in (self.cache(job_id), self.input(job_id)):
            if folder.is_dir():
                shutil.rmtree(folder)


def main_file(picture: str) -> str:
    """Name under which a take's main file lies in its folder: the artist's own, or one with its suffix if that is none here."""
    name = PurePosixPath(picture.replace("\\", "/"))
    if is_cache_path(name.name):
        return name.name
    return "picture" + (name.suffix if is_cache_path(f"a{name.suffix}") else "")


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
