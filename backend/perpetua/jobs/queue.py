"""The queue: takes jobs in, runs one at a time in the worker, writes the journal, and hands out events.

Called from one thread (the server's). ``tick`` is where time passes: it takes in what the worker said, kills a cancelled job
that did not stop, notices rounds that became ready, and starts the next job.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from numpy.typing import NDArray

from perpetua.jobs.cachefiles import CacheFiles, CacheWatch
from perpetua.jobs.journal import JobRecord, Journal
from perpetua.jobs.overall import Overall, eta_s
from perpetua.jobs.process import WorkerProcess
from perpetua.jobs.store import Store, write_whole
from perpetua.jobs.worker_messages import (
    Advanced,
    Answer,
    Broken,
    Failed,
    Finished,
    Ready,
    Run,
    Stop,
    Stopped,
)
from perpetua_protocol import limits
from perpetua_protocol.cache import DamagedCache
from perpetua_protocol.errors import InvalidMessage, JobConflict, UnknownJob
from perpetua_protocol.messages import (
    FINISHED,
    Event,
    Events,
    Job,
    JobRequest,
    ProgressMade,
    RoundReady,
    State,
    StateChanged,
)
from perpetua_protocol.take import validate

LOG = logging.getLogger("perpetua.jobs")

INTERRUPTED = "The backend stopped while this job was running; submit it again and it goes on where it was."


@dataclass
class _Running:
    job_id: str
    started: float
    overall: Overall
    watch: CacheWatch
    meta_sha256: str
    stage: str = ""
    kill_at: float | None = None
    """Monotonic time at which a cancelled job's worker is killed."""


class JobQueue:
    """Jobs of one store. ``publish`` gets every event once it is in the journal."""

    def __init__(
        self,
        store: Store,
        job_function: str,
        publish: Callable[[Event], None],
        wake: Callable[[], None],
        cancel_grace_s: float = limits.CANCEL_GRACE_S,
    ) -> None:
        store.prepare()
        self.store = store
        self._function = job_function
        self._publish = publish
        self._wake = wake
        self._cancel_grace_s = cancel_grace_s
        self._journal = Journal(store.journal)
        self._worker: WorkerProcess | None = None
        self._running: _Running | None = None
        self._watches: dict[str, CacheWatch] = {}
        for record in self._journal.in_state("running"):
            if record.cancelling:
                self._change(record.job_id, "cancelled")
            else:
                self._change(record.job_id, "interrupted", INTERRUPTED)

    # -- what a client asks ----------------------------------------------------------------------------------------

    def submit(self, job_id: str, request: JobRequest, arrays: Mapping[str, NDArray[Any]]) -> Job:
        """Queue a job, or return the one of that id. Raises ``InvalidMessage``, ``InvalidTake`` or ``JobConflict``."""
        if not limits.is_job_id(job_id):
            raise InvalidMessage(
                f"The job id '{job_id[:80]}' is not 1 to 64 of a-z, 0-9, _ and -; mint another."
            )
        validate(request.take)
        rounds = len(request.take.rounds)
        if not 0 <= request.through_round <= rounds:
            raise InvalidMessage(
                f"The take has {rounds} rounds and round {request.through_round} was asked for; ask for 0 to {rounds}."
            )
        picture = _picture(request, arrays)
        digest = hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
        record = self._journal.get(job_id)
        if record is not None and record.digest != digest:
            raise JobConflict(
                f"Job {job_id} was submitted before with other parameters; submit the changed take under a new id."
            )
        if record is None or record.state == "interrupted":
            self.store.keep_picture(picture, request.take.picture)
            write_whole(self.store.request_file(job_id), msgspec.json.encode(request))
            if record is None:
                self._journal.add(job_id, digest, request)
            self._change(job_id, "queued")
            self._start_next()
        return self.job(job_id)

    def cancel(self, job_id: str) -> Job:
        """Ask a job to stop; one that has ended stays as it is."""
        record = self._record(job_id)
        if record.state == "queued":
            self._change(job_id, "cancelled")
        elif record.state == "running" and not record.cancelling:
            assert self._running is not None
            assert self._worker is not None
            self._journal.update(job_id, cancelling=1)
            self._running.kill_at = time.monotonic() + self._cancel_grace_s
            self._worker.send(Stop(job_id))
        return self.job(job_id)

    def job(self, job_id: str) -> Job:
        """How a job is doing. Raises ``UnknownJob``."""
        return self._describe(self._record(job_id))

    def newest(self, limit: int) -> list[Job]:
        """The newest jobs, newest first."""
        return [self._describe(record) for record in self._journal.newest(limit)]

    def events(self, job_id: str, after: int) -> Events:
        """Events of a job numbered above ``after``."""
        record = self._record(job_id)
        found = self._journal.events(job_id, after, limits.EVENTS_PER_REPLY)
        more = bool(found) and len(found) == limits.EVENTS_PER_REPLY and found[-1].number < record.last_event
        return Events(job_id, tuple(found), more)

    def cache_files(self, job_id: str) -> CacheFiles | None:
        """What of a job's cache is complete. Raises ``UnknownJob`` or ``DamagedCache``."""
        if job_id not in self._watches:
            self._record(job_id)
            self._watches[job_id] = CacheWatch(self.store.cache(job_id))
        return self._watches[job_id].read()

    # -- as time passes ----------------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Start the worker before the first job, so that its imports are done, and whatever waits from before."""
        self._ensure_worker()
        self._start_next()

    def tick(self) -> None:
        """Take in what happened since the last call."""
        worker = self._worker
        while worker is not None and worker is self._worker and not worker.answers.empty():
            self._hear(worker, worker.answers.get())
        running = self._running
        if running is not None:
            self._notice_rounds(running)
            if running.kill_at is not None and time.monotonic() >= running.kill_at:
                LOG.warning(
                    "job %s did not stop within %g s; killing its worker",
                    running.job_id,
                    self._cancel_grace_s,
                )
                self._drop_worker()
                self._end("cancelled")
        self._start_next()

    def close(self) -> None:
        """Kill the worker; a running job is marked interrupted."""
        self._drop_worker()
        if self._running is not None:
            cancelling = self._running.kill_at is not None
            self._end("cancelled") if cancelling else self._end("interrupted", INTERRUPTED)
        self._journal.close()

    # -- the worker --------------------------------------------------------------------------------------------------

    def _ensure_worker(self) -> WorkerProcess:
        if self._worker is None:
            self._worker = WorkerProcess(self._function, self.store.worker_log, self._wake)
            LOG.info("worker %d started for %s", self._worker.pid, self._function)
        return self._worker

    def _drop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _start_next(self) -> None:
        if self._running is not None:
            return
        record = self._journal.next_queued()
        if record is None:
            return
        job_id, request = record.job_id, self._journal.request(record.job_id)
        output = self.store.cache(job_id)
        self._running = _Running(
            job_id,
            time.monotonic(),
            Overall(request.take, request.through_round),
            CacheWatch(output),
            record.meta_sha256,
        )
        self._change(job_id, "running")
        picture = self.store.picture(request.picture_sha256, request.take.picture)
        self._ensure_worker().send(
            Run(job_id, str(self.store.request_file(job_id)), str(picture), str(self.store.root), str(output))
        )

    def _hear(self, worker: WorkerProcess, answer: Answer | None) -> None:
        match answer:
            case None:
                self._worker_is_gone(worker)
            case Ready():
                LOG.info("worker %d is ready", worker.pid)
            case Broken():
                LOG.error("%s\n%s", answer.sentence, answer.traceback)
                self._drop_worker()
                if self._running is not None:
                    self._end(
                        "failed", f"{answer.sentence}. The log is at {self.store.backend_log}.", "unexpected"
                    )
            case Advanced():
                if self._running is not None and self._running.job_id == answer.job_id:
                    self._advance(self._running, answer)
            case Finished() | Stopped() | Failed():
                if self._running is not None and self._running.job_id == answer.job_id:
                    self._notice_rounds(self._running)
                    self._outcome(answer)

    def _outcome(self, answer: Finished | Stopped | Failed) -> None:
        match answer:
            case Finished():
                self._journal.update(answer.job_id, summary=answer.summary, fraction=1.0, overall=1.0)
                self._end("done")
            case Stopped():
                self._end("cancelled")
            case Failed(expected=True):
                LOG.info("job %s failed: %s\n%s", answer.job_id, answer.sentence, answer.traceback)
                self._end("failed", answer.sentence, answer.code)
            case Failed():
                LOG.error("job %s hit an unexpected error\n%s", answer.job_id, answer.traceback)
                sentence = f"The backend hit an unexpected error: {answer.sentence} The log is at {self.store.backend_log}."
                self._end("failed", sentence, answer.code)

    def _worker_is_gone(self, worker: WorkerProcess) -> None:
        how = worker.how_it_ended()
        LOG.error("worker %d is gone: %s", worker.pid, how)
        self._drop_worker()
        if self._running is None:
            return
        if self._running.kill_at is not None:
            self._end("cancelled")
            return
        stage = f" in the stage '{self._running.stage}'" if self._running.stage else ""
        self._end(
            "failed",
            f"The process that baked this job died{stage} ({how}). Bake again: finished stages are kept, and the "
            f"log is at {self.store.worker_log}.",
            "worker_died",
        )

    # -- the journal -------------------------------------------------------------------------------------------------

    def _record(self, job_id: str) -> JobRecord:
        record = self._journal.get(job_id)
        if record is None:
            raise UnknownJob(f"This backend has no job '{job_id[:80]}'; submit it first.")
        return record

    def _end(self, state: State, sentence: str = "", code: str = "") -> None:
        running, self._running = self._running, None
        assert running is not None
        self._change(running.job_id, state, sentence, code)

    def _change(self, job_id: str, state: State, sentence: str = "", code: str = "") -> None:
        now = time.time()
        event = StateChanged(job_id, self._record(job_id).last_event + 1, now, state, sentence, code)
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
        if state in FINISHED:
            changes["ended"] = now
        with self._journal.transaction():
            if state in FINISHED:
                self._journal.thin_progress(job_id)
            self._journal.update(job_id, **changes)
            self._journal.add_event(event)
        LOG.info("job %s is %s %s", job_id, state, sentence)
        self._publish(event)

    def _advance(self, running: _Running, told: Advanced) -> None:
        running.stage = told.stage
        overall = running.overall.update(told.stage, told.fraction)
        elapsed_s = time.monotonic() - running.started
        number = self._record(running.job_id).last_event + 1
        event = ProgressMade(
            running.job_id,
            number,
            time.time(),
            told.stage,
            told.fraction,
            told.text,
            overall,
            elapsed_s,
            eta_s(overall, elapsed_s),
        )
        with self._journal.transaction():
            self._journal.update(
                running.job_id, stage=told.stage, fraction=told.fraction, text=told.text, overall=overall
            )
            self._journal.add_event(event)
        self._publish(event)

    def _notice_rounds(self, running: _Running) -> None:
        try:
            files = running.watch.read()
        except DamagedCache:
            LOG.exception("job %s wrote a cache that cannot be read", running.job_id)
            return
        if files is None or files.meta_sha256 == running.meta_sha256:
            return
        running.meta_sha256 = files.meta_sha256
        number = self._record(running.job_id).last_event + 1
        event = RoundReady(running.job_id, number, time.time(), files.rounds, files.frames, files.meta_sha256)
        with self._journal.transaction():
            self._journal.update(running.job_id, meta_sha256=files.meta_sha256)
            self._journal.add_event(event)
        self._publish(event)

    def _describe(self, record: JobRecord) -> Job:
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
            eta_s=eta_s(record.overall, elapsed_s) if record.state == "running" else None,
            code=record.code,
            error=record.error,
            last_event=record.last_event,
            ahead=self._journal.ahead_of(record) if record.state == "queued" else 0,
            cache=str(self.store.cache(record.job_id)),
            summary=record.summary,
        )


def _picture(request: JobRequest, arrays: Mapping[str, NDArray[Any]]) -> memoryview:
    picture = arrays.get("picture")
    if picture is None or picture.ndim != 1 or picture.dtype.str != "|u1" or set(arrays) != {"picture"}:
        raise InvalidMessage("A bake needs its picture's bytes as one array frame 'picture' (u1, 1-D).")
    if hashlib.sha256(picture.data).hexdigest() != request.picture_sha256:
        raise InvalidMessage(
            "The picture's bytes do not have the digest the request names; read the file again."
        )
    return picture.data
