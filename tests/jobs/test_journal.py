"""The journal: what is written comes back, together or not at all, and from the next process too."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from perpetua.jobs import Journal, JournalError
from perpetua_protocol.messages import BakeRequest, ProgressMade, RoundReady, StateChanged
from perpetua_protocol.take import ObjectSpec, Take

REQUEST = BakeRequest(Take("clay", "clay.png", (ObjectSpec("ball", box=(0, 0, 1, 1)),)), 0, "0" * 64)


def progress(number: int) -> ProgressMade:
    return ProgressMade("a", number, 1.0, "simulate", 0.5, "half", 0.25, 3.0, None)


def test_a_job_comes_back_from_another_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    journal.add("a", "digest", REQUEST)
    journal.update("a", state="done", summary={"frames": 9})
    journal.close()
    journal = Journal(tmp_path / "j.sqlite")
    record = journal.get("a")
    assert record is not None
    assert (record.take, record.digest, record.state, record.summary) == (
        "clay",
        "digest",
        "done",
        {"frames": 9},
    )
    assert journal.request("a") == REQUEST
    assert journal.get("b") is None
    journal.close()


def test_events_come_in_order_from_a_number_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    journal.add("a", "digest", REQUEST)
    all_events = [
        StateChanged("a", 1, 0.0, "queued"),
        progress(2),
        RoundReady("a", 3, 1.0, 0, 1, "f" * 64),
        progress(4),
        StateChanged("a", 5, 2.0, "failed", "It broke.", "simulation"),
    ]
    for event in all_events:
        journal.add_event(event)
    assert journal.events("a", 0, 100) == all_events
    assert journal.events("a", 2, 2) == all_events[2:4]
    journal.thin_progress("a")
    assert [e.number for e in journal.events("a", 0, 100)] == [1, 3, 5]
    record = journal.get("a")
    assert record is not None
    assert record.last_event == 5
    with pytest.raises(sqlite3.IntegrityError):
        journal.add_event(progress(5))
    journal.close()


def test_a_transaction_is_whole_or_not_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    journal.add("a", "digest", REQUEST)

    def half_wrong() -> None:
        with journal.transaction():
            journal.update("a", state="running")
            journal.update("a", no_such_column=1)

    with pytest.raises(ValueError, match="no columns"):
        half_wrong()
    record = journal.get("a")
    assert record is not None
    assert record.state == "queued"
    journal.close()


def test_the_queue_is_first_come_first_served(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    for name in ("c", "a", "b"):
        journal.add(name, "digest", REQUEST)
    first = journal.next_queued()
    assert first is not None
    assert first.job_id == "c"
    last = journal.get("b")
    assert last is not None
    assert journal.ahead_of(last) == 2
    assert [r.job_id for r in journal.newest(2)] == ["b", "a"]
    assert [r.job_id for r in journal.in_state("queued")] == ["c", "a", "b"]
    journal.close()


def test_what_is_no_journal_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(JournalError, match="move it away"):
        Journal(path)
    other = tmp_path / "k.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(JournalError, match="version 99"):
        Journal(other)
