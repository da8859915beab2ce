"""The journal: every job and every event of a store, in SQLite with a write-ahead log. It is the truth.

A published event is only a hint that the journal has grown; whoever missed it asks for the events after the last one
they saw. Progress is thinned when a job ends (numbers then have gaps); changes of state are kept for ever.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from perpetua.errors import PerpetuaError
from perpetua_protocol.messages import Event, JobRequest, ProgressMade

JOURNAL_VERSION = 1
"""``user_version`` of the database."""

_TABLES = """
CREATE TABLE jobs (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    take TEXT NOT NULL,
    through_round INTEGER NOT NULL,
    request BLOB NOT NULL,
    state TEXT NOT NULL,
    cancelling INTEGER NOT NULL DEFAULT 0,
    submitted REAL NOT NULL,
    started REAL,
    ended REAL,
    stage TEXT NOT NULL DEFAULT '',
    fraction REAL NOT NULL DEFAULT 0,
    text TEXT NOT NULL DEFAULT '',
    overall REAL NOT NULL DEFAULT 0,
    code TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    last_event INTEGER NOT NULL DEFAULT 0,
    meta_sha256 TEXT NOT NULL DEFAULT '',
    summary BLOB NOT NULL DEFAULT '{}'
);
CREATE INDEX jobs_by_state ON jobs (state, place);
CREATE TABLE events (
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    number INTEGER NOT NULL,
    progress INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID;
"""

_EVENT = msgspec.json.Decoder(Event)
_REQUEST = msgspec.json.Decoder(JobRequest)


class JournalError(PerpetuaError):
    """The journal cannot be opened."""

    code = "journal"


@dataclass(frozen=True)
class JobRecord:
    """A row of the journal; see ``perpetua_protocol.messages.Job`` for what the fields mean."""

    place: int
    job_id: str
    digest: str
    """SHA-256 of the request: what "the same parameters" means."""
    take: str
    through_round: int
    state: str
    cancelling: bool
    submitted: float
    started: float | None
    ended: float | None
    stage: str
    fraction: float
    text: str
    overall: float
    code: str
    error: str
    last_event: int
    meta_sha256: str
    summary: dict[str, Any]


_NAMES = tuple(f.name for f in fields(JobRecord))
_COLUMNS = ", ".join(_NAMES)


class Journal:
    """The database. Used from one thread. Raises ``JournalError`` when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={JOURNAL_VERSION}; COMMIT;")
                version = JOURNAL_VERSION
        except sqlite3.Error as error:
            raise JournalError(
                f"The journal {path} cannot be opened ({error}); move it away to begin a new one."
            ) from error
        if version != JOURNAL_VERSION:
            self._db.close()
            raise JournalError(
                f"The journal {path} has version {version}, this program reads version {JOURNAL_VERSION}; "
                "use another store or the matching program."
            )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written inside is written together or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def add(self, job_id: str, digest: str, request: JobRequest) -> None:
        """A new queued job."""
        self._db.execute(
            "INSERT INTO jobs (job_id, digest, take, through_round, request, state, submitted) "
            "VALUES (?, ?, ?, ?, ?, 'queued', ?)",
            (
                job_id,
                digest,
                request.take.name,
                request.through_round,
                msgspec.json.encode(request),
                time.time(),
            ),
        )

    def get(self, job_id: str) -> JobRecord | None:
        """The job of that id."""
        return self._one(f"SELECT {_COLUMNS} FROM jobs WHERE job_id = ?", job_id)

    def request(self, job_id: str) -> JobRequest:
        """What a job was asked to do; kept out of ``JobRecord`` because a keyed take can be megabytes."""
        row = self._db.execute("SELECT request FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        return _REQUEST.decode(row["request"])

    def next_queued(self) -> JobRecord | None:
        """The job that has waited longest."""
        return self._one(f"SELECT {_COLUMNS} FROM jobs WHERE state = 'queued' ORDER BY place LIMIT 1")

    def in_state(self, state: str) -> list[JobRecord]:
        """All jobs in a state, oldest first."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE state = ? ORDER BY place", (state,))
        return [_record(row) for row in rows]

    def ended_before_newest(self, count: int) -> list[str]:
        """Jobs with a cache that ended, except the ``count`` that ended last."""
        rows = self._db.execute(
            "SELECT job_id FROM jobs WHERE ended IS NOT NULL AND state != 'interrupted' AND meta_sha256 != '' "
            "ORDER BY ended DESC, place DESC LIMIT -1 OFFSET ?",
            (count,),
        )
        return [row["job_id"] for row in rows]

    def newest(self, limit: int) -> list[JobRecord]:
        """The newest jobs, newest first."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY place DESC LIMIT ?", (limit,))
        return [_record(row) for row in rows]

    def ahead_of(self, record: JobRecord) -> int:
        """Unfinished jobs that run before a queued one."""
        query = "SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running') AND place < ?"
        return int(self._db.execute(query, (record.place,)).fetchone()[0])

    def update(self, job_id: str, **changes: Any) -> None:
        """Set columns of a job."""
        unknown = changes.keys() - set(_NAMES)
        if unknown:
            raise ValueError(f"The journal has no columns {sorted(unknown)}.")
        if "summary" in changes:
            changes["summary"] = msgspec.json.encode(changes["summary"])
        assignments = ", ".join(f"{name} = ?" for name in changes)
        self._db.execute(f"UPDATE jobs SET {assignments} WHERE job_id = ?", (*changes.values(), job_id))

    def add_event(self, event: Event) -> None:
        """Append an event; its number is the job's ``last_event`` afterwards."""
        self._db.execute(
            "INSERT INTO events (job_id, number, progress, body) VALUES (?, ?, ?, ?)",
            (event.job_id, event.number, isinstance(event, ProgressMade), msgspec.json.encode(event)),
        )
        self.update(event.job_id, last_event=event.number)

    def events(self, job_id: str, after: int, limit: int) -> list[Event]:
        """Events of a job numbered above ``after``, oldest first."""
        rows = self._db.execute(
            "SELECT body FROM events WHERE job_id = ? AND number > ? ORDER BY number LIMIT ?",
            (job_id, after, limit),
        )
        return [_EVENT.decode(row["body"]) for row in rows]

    def thin_progress(self, job_id: str) -> None:
        """Forget a job's progress events; its changes of state and rounds stay."""
        self._db.execute("DELETE FROM events WHERE job_id = ? AND progress = 1", (job_id,))

    def _one(self, query: str, *values: Any) -> JobRecord | None:
        row = self._db.execute(query, values).fetchone()
        return None if row is None else _record(row)


def _record(row: sqlite3.Row) -> JobRecord:
    values = {name: row[name] for name in _NAMES}
    values["cancelling"] = bool(values["cancelling"])
    values["summary"] = msgspec.json.decode(values["summary"])
    return JobRecord(**values)
