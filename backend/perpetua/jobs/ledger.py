"""Every change of a job goes through here: into the journal first, then out as an event, numbered and in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from perpetua.jobs.cachefiles import CacheFiles
from perpetua.jobs.journal import JobRecord, Journal
from perpetua.jobs.store import Store
from perpetua.jobs.worker_messages import Advanced
from perpetua_protocol import limits
from perpetua_protocol.errors import UnknownJob
from perpetua_protocol.messages import (
    FINISHED,
    Event,
    Events,
    Job,
    ProgressMade,
    RoundReady,
    State,
    StateChanged,
)

LOG = logging.getLogger("perpetua.jobs")


class Ledger:
    """The journal and the events it gives rise to. ``publish`` gets each event once it is written."""

    def __init__(self, store: Store, publish: Callable[[Event], None]) -> None:
        self.journal = Journal(store.journal)
        self._store = store
        self._publish = publish
        self._left: dict[str, float | None] = {}
        """Estimated seconds that the running job still takes."""

    def record(self, job_id: str) -> JobRecord:
        """The job of that id. Raises ``UnknownJob``."""
        record = self.journal.get(job_id)
        if record is None:
            raise UnknownJob(f"This backend has no job '{job_id[:80]}'; submit it first.")
        return record

    def change(self, job_id: str, state: State, sentence: str = "", code: str = "") -> None:
        """A job enters a state."""
        now = time.time()
        event = StateChanged(job_id, self.record(job_id).last_event + 1, now, state, sentence, code)
        changes: dict[str, Any] = {"state": state, "cancelling": 0, "code": code, "error": sentence}
        if state == "queued":
            changes |= {
                "started": None,
                "ended": None,
                "stage": "",
                "fraction": 0.0,
                "text": "",
                "overall": 0.0,
            }
        if state == "running":
            changes["started"] = now
        if state == "done":
            changes |= {"fraction": 1.0, "overall": 1.0}
        if state in FINISHED:
            changes["ended"] = now
        with self.journal.transaction():
            if state in FINISHED:
                self.journal.thin_progress(job_id)
            self.journal.update(job_id, **changes)
            self.journal.add_event(event)
        LOG.info("job %s is %s %s", job_id, state, sentence)
        self._publish(event)

    def advance(self, told: Advanced, overall: float, elapsed_s: float, left_s: float | None) -> None:
        """A running job got on."""
        self._left = {told.job_id: left_s}
        event = ProgressMade(
            told.job_id,
            self.record(told.job_id).last_event + 1,
            time.time(),
            told.stage,
            told.fraction,
            told.text,
            overall,
            elapsed_s,
            left_s,
        )
        with self.journal.transaction():
            self.journal.update(
                told.job_id, stage=told.stage, fraction=told.fraction, text=told.text, overall=overall
            )
            self.journal.add_event(event)
        self._publish(event)

    def round_ready(self, job_id: str, files: CacheFiles) -> None:
        """A job's cache grew."""
        number = self.record(job_id).last_event + 1
        event = RoundReady(job_id, number, time.time(), files.rounds, files.frames, files.meta_sha256)
        with self.journal.transaction():
            self.journal.update(job_id, meta_sha256=files.meta_sha256)
            self.journal.add_event(event)
        self._publish(event)

    def events(self, job_id: str, after: int) -> Events:
        """Events of a job numbered above ``after``, as many as a reply may hold. Raises ``UnknownJob``."""
        record = self.record(job_id)
        found = self.journal.events(job_id, after, limits.EVENTS_PER_REPLY)
        more = len(found) == limits.EVENTS_PER_REPLY and found[-1].number < record.last_event
        return Events(job_id, tuple(found), more)

    def describe(self, record: JobRecord) -> Job:
        """A job as clients see it."""
        elapsed_s = 0.0
        if record.started is not None:
            elapsed_s = max((record.ended or time.time()) - record.started, 0.0)
        return Job(
            job_id=record.job_id,
            state=record.state,  # type: ignore[arg-type]
            cancelling=record.cancelling,
            take=record.take,
            through_round=record.through_round,
            submitted=record.submitted,
            started=record.started,
            ended=record.ended,
            stage=record.stage,
            fraction=record.fraction,
            text=record.text,
            overall=record.overall,
            elapsed_s=elapsed_s,
            eta_s=self._left.get(record.job_id) if record.state == "running" else None,
            code=record.code,
            error=record.error,
            last_event=record.last_event,
            ahead=self.journal.ahead_of(record) if record.state == "queued" else 0,
            cache=str(self._store.cache(record.job_id)),
            summary=record.summary,
        )
