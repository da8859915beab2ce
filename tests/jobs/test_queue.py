"""The queue without a server: order, resumption, and what it leaves in the journal and the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from perpetua_protocol.cache import DamagedCache
from perpetua_protocol.errors import InvalidMessage, JobConflict, UnknownJob
from perpetua_protocol.messages import ProgressMade, RoundReady, StateChanged

Drive = Callable[..., Any]


def states(driven: Any, job_id: str) -> list[str]:
    return [e.state for e in driven.published if isinstance(e, StateChanged) and e.job_id == job_id]


def test_jobs_run_in_the_order_they_came(drive: Drive) -> None:
    driven = drive()
    for job_id in ("b", "a", "c"):
        driven.submit(job_id)
    assert [driven.queue.job(j).ahead for j in ("b", "a", "c")] == [0, 1, 2]
    driven.finish("c")
    ended = [e.job_id for e in driven.published if isinstance(e, StateChanged) and e.state == "done"]
    assert ended == ["b", "a", "c"]
    pids = {driven.queue.job(j).summary["pid"] for j in ("b", "a", "c")}
    assert len(pids) == 1, "one warm worker for all"


def test_published_events_are_those_in_the_journal(drive: Drive) -> None:
    driven = drive()
    driven.submit("a")
    driven.finish("a")
    kept = driven.queue.events("a", 0).events
    assert list(kept) == [e for e in driven.published if not isinstance(e, ProgressMade)]
    assert driven.queue.events("a", kept[-1].number).events == ()
    assert driven.queue.job("a").last_event == kept[-1].number
    assert [e for e in kept if isinstance(e, RoundReady)][-1].round == 2


def test_the_picture_is_stored_once_by_its_digest(drive: Drive, tmp_path: Path) -> None:
    driven = drive()
    driven.submit("a")
    driven.submit("b")
    driven.submit("c", picture=b"another")
    names = {path.name for path in (tmp_path / "inputs").iterdir()}
    assert names == {hashlib.sha256(data).hexdigest() for data in (b"the bytes of a picture", b"another")}
    assert (tmp_path / "jobs/c/input/picture.PNG").read_bytes() == b"another"
    assert driven.finish("c").summary["picture"] == hashlib.sha256(b"another").hexdigest()


def test_an_interrupted_job_goes_on_when_it_is_submitted_again(drive: Drive) -> None:
    first = drive()
    first.submit("a", "once")
    first.until(lambda: first.queue.job("a").text == "first attempt")
    first.queue.close()
    assert states(first, "a") == ["queued", "running", "interrupted"]

    second = drive()
    job = second.queue.job("a")
    assert (job.state, job.code) == ("interrupted", "")
    second.queue.tick()
    assert second.queue.job("a").state == "interrupted", "it waits to be submitted"
    assert second.submit("a", "once").state == "running"
    job = second.finish("a")
    assert (job.state, job.error) == ("done", "")
    numbers = [e.number for e in second.queue.events("a", 0).events]
    assert numbers == sorted(set(numbers))


def test_a_crash_leaves_running_jobs_interrupted_and_cancelled_ones_cancelled(drive: Drive) -> None:
    for name, cancelled, expected in (("x", False, "interrupted"), ("y", True, "cancelled")):
        before = drive()
        before.submit(name, "deaf")
        before.until(lambda: before.queue.job(name).text != "")  # noqa: B023 - called at once
        if cancelled:
            before.queue.cancel(name)
        before.queue._drop_worker()  # what is left when the process dies: nothing more is written
        before.queue._running = None
        before.queue.close()
        after = drive()
        assert after.queue.job(name).state == expected
        after.queue.close()


def test_the_same_id_is_one_job(drive: Drive) -> None:
    driven = drive()
    driven.submit("a")
    assert driven.submit("a").job_id == "a"
    with pytest.raises(JobConflict, match="under a new id"):
        driven.submit("a", rounds=1)
    assert len(driven.queue.newest(10)) == 1
    driven.finish("a")
    again = driven.submit("a")
    assert again.state == "done"
    assert states(driven, "a") == ["queued", "running", "done"]


def test_what_is_wrong_leaves_no_trace(drive: Drive, tmp_path: Path) -> None:
    driven = drive()
    with pytest.raises(InvalidMessage, match="job id"):
        driven.submit("../a")
    with pytest.raises(UnknownJob):
        driven.queue.cancel("a")
    with pytest.raises(UnknownJob):
        driven.queue.events("a", 0)
    assert list((tmp_path / "jobs").iterdir()) == []
    assert list((tmp_path / "inputs").iterdir()) == []


def test_progress_carries_time_and_an_estimate_that_never_falls(drive: Drive) -> None:
    driven = drive()
    driven.submit("a", "chatty")
    driven.finish("a")
    told = [e for e in driven.published if isinstance(e, ProgressMade)]
    assert [e.overall for e in told] == sorted(e.overall for e in told)
    assert [e.elapsed_s for e in told] == sorted(e.elapsed_s for e in told)
    assert told[0].elapsed_s > 0
    assert driven.queue.job("a").overall == 1.0


def test_closing_leaves_no_process(drive: Drive) -> None:
    driven = drive()
    driven.queue.warm()
    driven.submit("a", "deaf")
    driven.until(lambda: driven.queue.job("a").text != "")
    worker = psutil.Process(driven.queue._worker.pid)
    driven.queue.close()
    assert not worker.is_running()


def test_old_caches_make_room_and_their_jobs_say_so(drive: Drive, tmp_path: Path) -> None:
    driven = drive(keep_caches=1)
    for job_id in ("a", "b", "c"):
        driven.submit(job_id)
        driven.finish(job_id)
    kept = {job_id for job_id in ("a", "b", "c") if (tmp_path / "jobs" / job_id / "cache").is_dir()}
    assert kept == {"b", "c"}, "when c began, b was the newest that had ended"
    with pytest.raises(DamagedCache, match="removed to make room"):
        driven.queue.cache_files("a")
    assert driven.queue.cache_files("b").rounds == 2
    assert driven.queue.job("a").state == "done"


def test_a_long_history_comes_in_several_answers(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    driven = drive()
    driven.submit("a")
    driven.finish("a")
    everything = driven.queue.events("a", 0).events
    monkeypatch.setattr("perpetua_protocol.limits.EVENTS_PER_REPLY", 2)
    after, pieces = 0, []
    while True:
        reply = driven.queue.events("a", after)
        pieces += reply.events
        if not reply.more:
            break
        assert len(reply.events) == 2
        after = reply.events[-1].number
    assert tuple(pieces) == everything
