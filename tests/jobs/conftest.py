"""A queue with fake jobs, driven by hand."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perpetua.jobs import JobQueue, Store
from perpetua_protocol.messages import BakeRequest, Event, Job
from perpetua_protocol.take import ObjectSpec, Round, Take

PICTURE = b"the bytes of a picture"
WAIT_S = 30.0


class Driven:
    """A ``JobQueue`` whose time a test moves on."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.published: list[Event] = []
        self._rung = threading.Event()
        self.queue = JobQueue(
            Store(root), "fake_jobs:by_name", self.published.append, self._rung.set, **options
        )

    def submit(self, job_id: str, name: str = "plain", rounds: int = 2, picture: bytes = PICTURE) -> Job:
        take = Take(name, "picture.PNG", (ObjectSpec("ball", box=(0, 0, 9, 9)),), (Round(4),) * rounds)
        request = BakeRequest(take, rounds, hashlib.sha256(picture).hexdigest())
        return self.queue.submit(job_id, request, {"picture": np.frombuffer(picture, np.uint8)})

    def until(self, good: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not good():
            assert time.monotonic() < end, self.published
            self._rung.wait(0.05)
            self._rung.clear()
            self.queue.tick()

    def finish(self, job_id: str) -> Job:
        self.until(lambda: self.queue.job(job_id).finished)
        return self.queue.job(job_id)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Driven]]:
    """Open a queue on ``tmp_path``; all are closed at the end."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    opened: list[Driven] = []

    def open_queue(**options: Any) -> Driven:
        opened.append(Driven(tmp_path, **options))
        return opened[-1]

    yield open_queue
    for driven in opened:
        driven.queue.close()
