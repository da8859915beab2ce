"""Stopping jobs, and workers that die under them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.messages import BakeRequest, Job, ProgressMade, StateChanged


def test_a_listening_job_stops_at_its_next_report(
    client: Client, submit: Callable[..., str], until: Callable[..., Job]
) -> None:
    first = list(client.follow(submit()))[-1]
    pid = client.status(first.job_id).summary["pid"]
    job_id = submit("patient")
    until(job_id, lambda job: job.stage == "round 1: simulate")
    job = client.cancel(job_id)
    assert job.cancelling
    job = until(job_id, lambda job: job.finished)
    assert (job.state, job.cancelling) == ("cancelled", False)
    list(client.follow(after := submit()))
    assert client.status(after).summary["pid"] == pid, "the worker should have stayed warm"


def test_a_deaf_job_is_killed_and_the_queue_goes_on(
    offline, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    offline.start_thread(cancel_grace_s=0.3)
    with offline.client() as client:
        deaf, following = new_job_id(), new_job_id()
        client.submit(deaf, request_for("deaf"), picture)
        client.submit(following, request_for(), picture)
        for event in client.follow(deaf):
            if isinstance(event, ProgressMade):
                client.cancel(deaf)
        assert client.status(deaf).state == "cancelled"
        assert list(client.follow(following))[-1].state == "done"


def test_a_waiting_job_is_cancelled_at_once(
    client: Client, submit: Callable[..., str], until: Callable[..., Job]
) -> None:
    first, second = submit("patient"), submit()
    assert client.cancel(second).state == "cancelled"
    client.cancel(first)
    until(first, lambda job: job.finished)
    assert client.status(second).started is None


def test_cancelling_what_has_ended_changes_nothing(client: Client, submit: Callable[..., str]) -> None:
    job_id = submit()
    list(client.follow(job_id))
    assert client.cancel(job_id).state == "done"


@pytest.mark.parametrize(("name", "how"), [("segfault", "SIGSEGV"), ("exit", "exit status 3")])
def test_a_worker_that_dies_fails_its_job_and_the_queue_goes_on(
    client: Client, submit: Callable[..., str], name: str, how: str
) -> None:
    dying, following = submit(name), submit()
    last = list(client.follow(dying))[-1]
    assert isinstance(last, StateChanged)
    assert (last.state, last.code) == ("failed", "worker_died")
    assert how in last.text
    assert "Bake again" in last.text
    assert list(client.follow(following))[-1].state == "done"


def test_a_killed_worker_is_replaced(
    client: Client, submit: Callable[..., str], until: Callable[..., Job]
) -> None:
    list(client.follow(first := submit()))
    pid = client.status(first).summary["pid"]
    killed = submit("patient")
    until(killed, lambda job: job.stage != "")
    os.kill(pid, signal.SIGKILL)
    job = list(client.follow(killed))[-1]
    assert isinstance(job, StateChanged)
    assert (job.state, job.code) == ("failed", "worker_died")
    assert "in the stage 'round 1: simulate' (SIGKILL" in job.text
    list(client.follow(after := submit()))
    assert client.status(after).summary["pid"] != pid


def test_a_worker_that_dies_idle_is_replaced_by_the_next_job(
    client: Client, submit: Callable[..., str]
) -> None:
    list(client.follow(first := submit()))
    pid = client.status(first).summary["pid"]
    os.kill(pid, signal.SIGKILL)
    list(client.follow(second := submit()))
    job = client.status(second)
    assert job.state == "done" or job.code == "worker_died"
    list(client.follow(third := submit()))
    assert client.status(third).summary["pid"] != pid


def test_a_summary_with_nan_fails_by_name(client: Client, submit: Callable[..., str]) -> None:
    list(client.follow(job_id := submit("nan")))
    job = client.status(job_id)
    assert job.state == "failed"
    assert ".summary.seconds is nan" in job.error


def test_progress_is_merged_and_states_are_not(client: Client, submit: Callable[..., str]) -> None:
    events = list(client.follow(submit("chatty")))
    said = [e for e in events if isinstance(e, ProgressMade) and e.text == "again"]
    assert 2 <= len(said) <= 12, "a second of constant reports at ten a second"
    assert [e.state for e in events if isinstance(e, StateChanged)] == ["queued", "running", "done"]


def test_a_finished_job_keeps_its_states_and_forgets_its_progress(
    client: Client, submit: Callable[..., str]
) -> None:
    job_id = submit()
    list(client.follow(job_id))
    kept = client.events(job_id)
    assert not [e for e in kept if isinstance(e, ProgressMade)]
    assert [e.state for e in kept if isinstance(e, StateChanged)] == ["queued", "running", "done"]


def test_a_job_function_that_cannot_be_loaded_fails_each_job(
    offline, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    offline.start_thread(job_function="no_such_module:bake")
    with offline.client() as client:
        for _ in range(2):
            client.submit(job_id := new_job_id(), request_for(), picture)
            last = list(client.follow(job_id))[-1]
            assert isinstance(last, StateChanged)
            assert last.state == "failed"
            assert "no_such_module" in last.text


def test_a_job_that_calls_exit_fails_alone(client: Client, submit: Callable[..., str]) -> None:
    list(client.follow(job_id := submit("sys.exit")))
    assert "SystemExit: 3" in client.status(job_id).error
