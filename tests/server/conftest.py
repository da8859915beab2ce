"""A backend over real sockets, in a thread for most tests and in a process where one is to be killed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perpetua.server import serve
from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.messages import BakeRequest, Job
from perpetua_protocol.take import ObjectSpec, Round, Take

FAKES = Path(__file__).parents[1] / "jobs"
PICTURE = b"a picture's bytes" * 100
WAIT_S = 30.0


@pytest.fixture(autouse=True)
def _fakes_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FAKES), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(FAKES))


class Backend:
    """A served store."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.file = folder / "connection.json"
        self.process: subprocess.Popen[bytes] | None = None
        self.thread: threading.Thread | None = None

    def client(self, **options: Any) -> Client:
        return Client.connect(self.file, **options)

    def start_thread(self, **options: Any) -> None:
        ready = threading.Event()
        options = {"job_function": "fake_jobs:by_name", "on_ready": lambda *_: ready.set()} | options
        self.thread = threading.Thread(
            target=serve, args=(self.store, "127.0.0.1", self.file), kwargs=options
        )
        self.thread.start()
        assert ready.wait(WAIT_S)

    def start_process(self, *more: str, job_function: str = "fake_jobs:by_name") -> None:
        arguments = [f"Path({str(self.store)!r})", "'127.0.0.1'", f"Path({str(self.file)!r})"]
        arguments += [
            f"job_function={job_function!r}",
            "on_ready=lambda *_: print('ready', flush=True)",
            *more,
        ]
        code = f"from pathlib import Path; from perpetua.server import serve; serve({', '.join(arguments)})"
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self) -> None:
        if self.thread is not None and self.thread.is_alive():
            with self.client() as client:
                client.shutdown()
            self.thread.join(WAIT_S)
            assert not self.thread.is_alive()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(WAIT_S)
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Backend]:
    """A backend that the test starts itself."""
    backend = Backend(tmp_path)
    yield backend
    backend.stop()


@pytest.fixture
def backend(offline: Backend) -> Backend:
    """A running backend with the jobs of ``fake_jobs``."""
    offline.start_thread()
    return offline


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    """A client that has said hello."""
    with backend.client() as client:
        client.hello()
        yield client


def request(name: str = "plain", rounds: int = 2) -> BakeRequest:
    """A bake of the fake job that ``name`` chooses."""
    take = Take(name, "picture.png", (ObjectSpec("ball", box=(0, 0, 9, 9)),), (Round(4),) * rounds)
    return BakeRequest(take, rounds, hashlib.sha256(PICTURE).hexdigest())


@pytest.fixture
def submit(client: Client) -> Callable[..., str]:
    """Submit a fake job by name; gives its id."""

    def submit(name: str = "plain", rounds: int = 2) -> str:
        return client.submit(new_job_id(), request(name, rounds), PICTURE).job_id

    return submit


def until(client: Client, job_id: str, good: Callable[[Job], bool]) -> Job:
    """Wait until a job's status is as wanted."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        job = client.status(job_id)
        if good(job):
            return job
        assert not job.finished, f"{job.state}: {job.error}"
        time.sleep(0.02)
    raise AssertionError(f"job {job_id} is still {client.status(job_id)}")


@pytest.fixture(name="until")
def _until(client: Client) -> Callable[..., Job]:
    return lambda job_id, good: until(client, job_id, good)


@pytest.fixture(name="request_for")
def _request_for() -> Callable[..., BakeRequest]:
    return request


@pytest.fixture
def picture() -> bytes:
    return PICTURE
