"""A bake from submit to the cache on the client's disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.errors import (
    InvalidMessage,
    InvalidTake,
    JobConflict,
    JobFailed,
    TransferFailed,
    UnknownJob,
)
from perpetua_protocol.messages import BakeRequest, Job, ProgressMade, RoundReady, StateChanged
from perpetua_protocol.take import Take


def test_the_cache_arrives_as_it_was_baked(
    client: Client, submit: Callable[..., str], tmp_path: Path, picture: bytes
) -> None:
    job_id = submit()
    events = list(client.follow(job_id))

    assert [e.state for e in events if isinstance(e, StateChanged)] == ["queued", "running", "done"]
    assert all(0 <= e.overall <= 1 for e in events if isinstance(e, ProgressMade))
    last = [e for e in events if isinstance(e, RoundReady)][-1]
    assert (last.round, last.frames) == (2, 9)
    assert [e.number for e in events] == sorted({e.number for e in events})

    job = client.outcome(job_id)
    assert (job.state, job.overall, job.summary["frames"]) == ("done", 1.0, 9)
    assert job.summary["picture"] == hashlib.sha256(picture).hexdigest()

    manifest = client.files(job_id)
    assert manifest.meta_sha256 == last.meta_sha256
    client.fetch_files(job_id, manifest, tmp_path / "copy")
    for entry in manifest.files:
        ours, theirs = tmp_path / "copy" / entry.path, Path(job.cache) / entry.path
        assert ours.read_bytes() == theirs.read_bytes()
    assert (tmp_path / "copy/meta.json").read_bytes() == (Path(job.cache) / "meta.json").read_bytes()
    assert np.load(tmp_path / "copy/round_002/position.npy").shape == (4, 1000, 3)


def test_finished_rounds_are_fetched_while_later_ones_bake(
    client: Client, submit: Callable[..., str], tmp_path: Path
) -> None:
    job_id = submit("patient")
    client.watch(job_id)
    ready: list[RoundReady] = []
    while not ready:
        ready = [e for e in client.wait() if isinstance(e, RoundReady)]
    assert (ready[0].round, ready[0].frames) == (0, 1)
    client.fetch_files(job_id, client.files(job_id), tmp_path / "copy")
    assert (tmp_path / "copy/round_000/position.npy").is_file()
    assert client.status(job_id).state == "running"
    client.cancel(job_id)


def test_a_job_without_files_yet_lists_none(
    client: Client, submit: Callable[..., str], tmp_path: Path
) -> None:
    job_id = submit("deaf")
    manifest = client.files(job_id)
    assert manifest.files == ()
    assert manifest.meta_sha256 == ""
    with pytest.raises(TransferFailed, match="nothing to fetch"):
        client.fetch_files(job_id, manifest, tmp_path / "copy")


def test_two_clients_see_the_same_events(backend, client: Client, submit: Callable[..., str]) -> None:
    job_id = submit()
    with backend.client() as other:
        states = [e.state for e in other.follow(job_id) if isinstance(e, StateChanged)]
    assert states == [e.state for e in client.follow(job_id) if isinstance(e, StateChanged)]


def test_submitting_again_returns_the_same_job(
    client: Client, submit: Callable[..., str], request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    job_id = submit()
    done = list(client.follow(job_id))[-1]
    again = client.submit(job_id, request_for(), picture)
    assert (again.state, again.last_event) == ("done", done.number)
    assert [job.job_id for job in client.jobs()] == [job_id]


def test_the_same_id_with_another_take_is_a_conflict(
    client: Client, submit: Callable[..., str], request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    job_id = submit()
    with pytest.raises(JobConflict, match="other parameters"):
        client.submit(job_id, request_for("another"), picture)


def test_jobs_run_one_after_another(
    client: Client, submit: Callable[..., str], until: Callable[..., Job]
) -> None:
    first = submit("patient")
    until(first, lambda job: job.state == "running")
    second = submit()
    waiting = client.status(second)
    assert (waiting.state, waiting.ahead) == ("queued", 1)
    client.cancel(first)
    until(second, lambda job: job.state == "done")
    assert [job.job_id for job in client.jobs()] == [second, first]
    assert client.status(first).state == "cancelled"


def test_what_is_wrong_with_a_request_is_said(
    client: Client, request_for: Callable[..., BakeRequest], picture: bytes
) -> None:
    good = request_for()
    with pytest.raises(UnknownJob, match="has no job"):
        client.status("nobody")
    with pytest.raises(InvalidMessage, match="job id"):
        client.submit("../../etc", good, picture)
    with pytest.raises(InvalidMessage, match="digest"):
        client.submit(new_job_id(), good, picture + b"more")
    with pytest.raises(InvalidMessage, match="ask for 0 to 2"):
        client.submit(new_job_id(), BakeRequest(good.take, 3, good.picture_sha256), picture)
    with pytest.raises(InvalidTake, match="no object"):
        client.submit(new_job_id(), BakeRequest(Take("t", "p.png", ()), 0, good.picture_sha256), picture)
    assert client.jobs() == ()


def test_an_error_with_a_sentence_reaches_the_artist(client: Client, submit: Callable[..., str]) -> None:
    job_id = submit("sentence")
    last = list(client.follow(job_id))[-1]
    assert isinstance(last, StateChanged)
    assert (last.state, last.code) == ("failed", "simulation")
    with pytest.raises(JobFailed, match=r"^The clay left the box in frame 7; lower the wind\.$"):
        client.outcome(job_id)


def test_an_unexpected_error_names_the_log_that_has_it(
    backend, client: Client, submit: Callable[..., str]
) -> None:
    job_id = submit("bug")
    list(client.follow(job_id))
    job = client.status(job_id)
    assert job.error.startswith("The backend hit an unexpected error: ZeroDivisionError")
    log = backend.store / "logs" / "backend.log"
    assert str(log) in job.error
    assert "Traceback" in log.read_text()
