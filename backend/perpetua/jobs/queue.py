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
from perpetua.jobs.intake import Intake
from perpetua.jobs.ledger import Ledger
from perpetua.jobs.overall import Overall
from perpetua.jobs.process import WorkerProcess
from perpetua.jobs.store import Store, main_file, write_whole
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
from perpetua_protocol.errors import InvalidMessage, JobConflict
from perpetua_protocol.messages import (
    Event,
    Events,
    FileEntry,
    Job,
    JobRequest,
    State,
)
from perpetua_protocol.take import validate

LOG = logging.getLogger("perpetua.jobs")

KEEP_CACHES = 20
"""Caches of ended jobs that stay in the store; a client has its own copy."""
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
        keep_caches: int = KEEP_CACHES,
    ) -> None:
        store.prepare()
        self.store = store
        self.intake = Intake(store.inputs)
        self.intake.sweep()
        self._function = job_function
        self._wake = wake
        self._cancel_grace_s = cancel_grace_s
        self._ledger = Ledger(store, publish)
        self._keep_caches = keep_caches
        self._worker: WorkerProcess | None = None
        self._running: _Running | None = None
        self._watches: dict[str, CacheWatch] = {}
        for record in self._ledger.journal.in_state("running"):
            if record.cancelling:
                self._ledger.change(record.job_id, "cancelled")
            else:
                self._ledger.change(record.job_id, "interrupted", INTERRUPTED)

    # -- what a client asks ----------------------------------------------------------------------------------------

    def submit(self, job_id: str, request: JobRequest, arrays: Mapping[str, NDArray[Any]]) -> Job:
        """Queue a job, or return the one of that id. Raises ``InvalidMessage``, ``InvalidTake``,
        ``JobConflict``, or ``MissingFiles`` where the request names files that are neither here nor come along."""
        if not limits.is_job_id(job_id):
            raise InvalidMessage(
                f"The job id '{job_id[:80]}' is not 1 to 64 of a-z, 0-9, _ and -; mint another."
            )
        validate(request.take, request.look)
        rounds = len(request.take.rounds)
        if not 0 <= request.through_round <= rounds:
            raise InvalidMessage(
                f"The take has {rounds} rounds and round {request.through_round} was asked for; ask for 0 to {rounds}."
            )
        files = self._files(request, arrays)
        digest = hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
        record = self._ledger.journal.get(job_id)
        if record is not None and record.digest != digest:
            raise JobConflict(
                f"Job {job_id} was submitted before with other parameters; submit the changed take under a new id."
            )
        if record is None or record.state == "interrupted":
            self.intake.lay_out(files, self.store.input(job_id))
            write_whole(self.store.request_file(job_id), msgspec.json.encode(request))
            if record is None:
                self._ledger.journal.add(job_id, digest, request)
            self._ledger.change(job_id, "queued")
            self._start_next()
        return self.job(job_id)

    def cancel(self, job_id: str) -> Job:
        """Ask a job to stop; one that has ended stays as it is."""
        record = self._ledger.record(job_id)
        if record.state == "queued":
            self._ledger.change(job_id, "cancelled")
        elif record.state == "running" and not record.cancelling:
            assert self._running is not None
            assert self._worker is not None
            self._ledger.journal.update(job_id, cancelling=1)
            self._running.kill_at = time.monotonic() + self._cancel_grace_s
            self._worker.send(Stop(job_id))
        return self.job(job_id)

    def job(self, job_id: str) -> Job:
        """How a job is doing. Raises ``UnknownJob``."""
        return self._ledger.describe(self._ledger.record(job_id))

    def newest(self, limit: int) -> list[Job]:
        """The newest jobs, newest first."""
        return [self._ledger.describe(record) for record in self._ledger.journal.newest(limit)]

    def events(self, job_id: str, after: int) -> Events:
        """Events of a job numbered above ``after``. Raises ``UnknownJob``."""
        return self._ledger.events(job_id, after)

    def cache_files(self, job_id: str) -> CacheFiles | None:
        """What of a job's cache is complete. Raises ``UnknownJob`` or ``DamagedCache``."""
        if job_id not in self._watches:
            self._ledger.record(job_id)
            self._watches[job_id] = CacheWatch(self.store.cache(job_id))
        files = self._watches[job_id].read()
        if files is None and self._ledger.record(job_id).meta_sha256:
            raise DamagedCache(
                f"The cache of job {job_id} was removed to make room (the newest {self._keep_caches} are kept); "
                "bake the take again: its finished stages are kept."
            )
        return files

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
        self._ledger.journal.close()

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
        record = self._ledger.journal.next_queued()
        if record is None:
            return
        job_id, request = record.job_id, self._ledger.journal.request(record.job_id)
        output = self.store.cache(job_id)
        self._running = _Running(
            job_id,
            time.monotonic(),
            Overall(request.take, request.through_round),
            CacheWatch(output),
            record.meta_sha256,
        )
        self._drop_old_caches()
        self._ledger.change(job_id, "running")
        picture = self.store.input(job_id) / main_file(request.take.picture)
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
                self._ledger.journal.update(answer.job_id, summary=answer.summary)
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

    def _advance(self, running: _Running, told: Advanced) -> None:
        running.stage = told.stage
        now = time.monotonic()
        overall = running.overall.update(told.stage, told.fraction, now)
        self._ledger.advance(told, overall, now - running.started, running.overall.left_s)

    def _notice_rounds(self, running: _Running) -> None:
        try:
            files = running.watch.read()
        except DamagedCache:
            LOG.exception("job %s wrote a cache that cannot be read", running.job_id)
            return
        if files is not None and files.meta_sha256 != running.meta_sha256:
            running.meta_sha256 = files.meta_sha256
            self._ledger.round_ready(running.job_id, files)

    def _end(self, state: State, sentence: str = "", code: str = "") -> None:
        running, self._running = self._running, None
        assert running is not None
        self._ledger.change(running.job_id, state, sentence, code)

    def _files(self, request: JobRequest, arrays: Mapping[str, NDArray[Any]]) -> tuple[FileEntry, ...]:
        """The take's files, the main one first; a picture that came along is kept."""
        main, size = main_file(request.take.picture), 0
        if arrays:
            picture = arrays.get("picture")
            if picture is None or picture.ndim != 1 or picture.dtype.str != "|u1" or len(arrays) > 1:
                raise InvalidMessage(
                    "With a bake comes at most its picture's bytes as one array frame 'picture' (u1, 1-D)."
                )
            if hashlib.sha256(picture.data).hexdigest() != request.picture_sha256:
                raise InvalidMessage(
                    "The picture's bytes do not have the digest the request names; read the file again."
                )
            self.intake.keep(picture.data)
            size = len(picture)
        names = [main, *(entry.path for entry in request.files)]
        if len(names) > limits.INPUT_FILES or len(set(names)) < len(names):
            raise InvalidMessage(
                f"A take has at most {limits.INPUT_FILES} files, each under its own name; {len(names)} were named."
            )
        return (FileEntry(main, size, request.picture_sha256), *request.files)

    def _drop_old_caches(self) -> None:
        """Make room: stages are kept, so a bake whose cache is gone is quickly made again."""
        for job_id in self._ledger.journal.ended_before_newest(self._keep_caches):
            self._watches.pop(job_id, None)
            try:
                self.store.drop_cache(job_id)
            except (
                OSError
            ) as error:  # on Windows while a client on this machine plays it; the next job tries again
                LOG.warning("the old cache of job %s cannot be removed: %s", job_id, error)
