"""How a backend begins and ends, and what is left when it does not end well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from perpetua.server import serve
from perpetua.server.lock import StoreInUse
from perpetua.server.sockets import AddressUnavailable
from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.errors import BackendUnreachable
from perpetua_protocol.messages import BakeRequest, StateChanged

WAIT_S = 30.0


def _children(pid: int) -> list[psutil.Process]:
    """The worker of a backend that has just started."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if found := psutil.Process(pid).children(recursive=True):
            return found
        time.sleep(0.02)
    raise AssertionError("the backend started no worker")


def _gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=WAIT_S)[1]


def test_a_shutdown_message_ends_everything(backend) -> None:
    with backend.client() as client:
        client.hello()
        client.shutdown()
    backend.thread.join(WAIT_S)
    assert not backend.thread.is_alive()
    assert not backend.file.exists()
    with pytest.raises(BackendUnreachable, match="start one with `perpetua serve`"):
        backend.client()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything(offline, number: signal.Signals) -> None:
    offline.start_process()
    workers = _children(offline.process.pid)
    offline.process.send_signal(number)
    assert offline.process.wait(WAIT_S) == 0
    assert not offline.file.exists()
    assert _gone(workers)


def test_a_second_backend_on_the_store_is_refused(backend, tmp_path: Path) -> None:
    with pytest.raises(StoreInUse, match=rf"process {os.getpid()}.*already serves the store"):
        serve(backend.store, connection_file=tmp_path / "other.json")
    with pytest.raises(StoreInUse, match="already announces itself"):
        serve(tmp_path / "a {strange} name", connection_file=backend.file)
    with backend.client() as client:
        client.hello()


def test_an_address_that_is_not_ours_is_refused(offline) -> None:
    with pytest.raises(AddressUnavailable, match="choose another address"):
        serve(offline.store, "203.0.113.7", offline.file)
    assert not offline.file.exists()


def test_the_backend_ends_with_its_parent(offline) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        offline.start_process(f"parent_pid={parent.pid}")
        workers = _children(offline.process.pid)
        parent.kill()
        parent.wait(WAIT_S)
        assert offline.process.wait(WAIT_S) == 0
    assert _gone(workers)


def test_a_killed_backend_is_noticed_its_worker_ends_and_the_journal_lives(
    offline, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    offline.start_process()
    done, cut = new_job_id(), new_job_id()
    with offline.client() as client:
        client.submit(done, request_for(), picture)
        list(client.follow(done))
        client.submit(cut, request_for("once"), picture)
        following = client.follow(cut)
        # only then has the fake left the mark by which its second run knows that it is the second
        while getattr(next(following), "text", "") != "first attempt":
            pass
        workers = _children(offline.process.pid)
        offline.process.kill()
        offline.process.wait(WAIT_S)
        began = time.monotonic()
        with pytest.raises(BackendUnreachable, match="does not answer"):
            list(following)
        assert time.monotonic() - began < 20
    assert _gone(workers), "the worker must not outlive its backend"
    with pytest.raises(BackendUnreachable, match=r"is gone; start one with `perpetua serve`"):
        offline.client()

    offline.start_process()
    with offline.client() as client:
        assert client.status(done).state == "done"
        job = client.status(cut)
        assert job.state == "interrupted"
        assert "submit it again" in job.error
        client.submit(cut, request_for("once"), picture)
        states = [e.state for e in client.follow(cut) if isinstance(e, StateChanged)]
        assert states == ["queued", "running", "interrupted", "queued", "running", "done"]
        assert client.outcome(cut).error == ""


def test_a_backend_that_hangs_is_noticed_and_forgiven(
    offline, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    offline.start_process()
    with offline.client(timeout_s=1.0) as client:
        client.submit(job_id := new_job_id(), request_for("deaf"), picture)
        while not any(event.job_id == job_id for event in client.poll()):
            time.sleep(0.02)
        offline.process.send_signal(signal.SIGSTOP)
        with pytest.raises(BackendUnreachable, match="does not answer"):
            _poll_for(client, WAIT_S)
        offline.process.send_signal(signal.SIGCONT)
        assert client.status(job_id).state == "running"
        _poll_for(client, 2.5)


def _poll_for(client: Client, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client.poll()
        time.sleep(0.05)


def test_polling_never_waits(offline, request_for: Callable[..., BakeRequest], picture: bytes) -> None:
    offline.start_process()
    with offline.client() as client:
        client.submit(new_job_id(), request_for("deaf"), picture)
        offline.process.send_signal(signal.SIGSTOP)
        began = time.process_time(), time.monotonic()
        for _ in range(20):
            client.poll()
        # a single wait for an answer would take five seconds
        assert time.monotonic() - began[1] < 4
        offline.process.send_signal(signal.SIGCONT)


def test_a_queued_job_survives_a_restart(
    offline, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    offline.start_thread()
    running, queued = new_job_id(), new_job_id()
    with offline.client() as client:
        client.submit(running, request_for("patient"), picture)
        client.submit(queued, request_for(), picture)
    offline.stop()
    offline.start_thread()
    with offline.client() as client:
        assert client.status(running).state == "interrupted"
        assert list(client.follow(queued))[-1].state == "done"


def test_the_connection_file_is_for_its_owner_only(backend) -> None:
    assert backend.file.stat().st_mode & 0o777 == 0o600
