"""The client: how the Blender add-on and the command line talk to a backend.

    client = Client.connect()                        # the connection file in its default place
    client.hello()
    client.submit(job_id, request, picture_bytes)
    while not client.status(job_id).finished:        # or, from a timer, client.poll(0.004)
        for event in client.wait(job_id): ...
    client.fetch_files(job_id, client.files(job_id), folder)

Calls such as ``status`` wait for their answer; ``poll`` never waits, asks for what was missed, and notices when the backend stops
answering. A client belongs to one thread and needs no thread of its own. Everything it can raise is a ``ProtocolError``
with a sentence to show.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import zmq
from numpy.typing import NDArray

from perpetua_protocol import __version__, limits
from perpetua_protocol.errors import BackendUnreachable, JobFailed
from perpetua_protocol.file_mover import FileMover
from perpetua_protocol.framing import bytes_array
from perpetua_protocol.inputs import InputFile
from perpetua_protocol.keys import HOW_TO_START, Connection, default_connection_file, read_connection
from perpetua_protocol.link import Link, Pending, is_loopback, nobody_listens
from perpetua_protocol.messages import (
    FINISHED,
    SUPPORTED_VERSIONS,
    Cancel,
    Closing,
    Event,
    Events,
    FileEntry,
    Files,
    GetJob,
    Hello,
    Job,
    JobRequest,
    Jobs,
    ListEvents,
    ListFiles,
    ListJobs,
    Reply,
    Request,
    Shutdown,
    StateChanged,
    Submit,
    Welcome,
)
from perpetua_protocol.subscription import Subscription
from perpetua_protocol.transfer import Manifest, Transfer, Verified
from perpetua_protocol.upload import Upload

Answer = TypeVar("Answer", bound=Reply)

_SLICE_S = 0.05
"""Longest a waiting call sleeps before it looks at everything again."""


def new_job_id() -> str:
    """A fresh id to submit a job under."""
    return uuid.uuid4().hex


class Client:
    """A connection to one backend."""

    def __init__(self, connection: Connection, timeout_s: float = limits.REPLY_TIMEOUT_S) -> None:
        """``timeout_s`` is how long an answer may take before the backend counts as gone."""
        self.connection = connection
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._control = Link(self._context, connection, connection.control, timeout_s)
        self._data = Link(self._context, connection, connection.data, timeout_s)
        self._subscription = Subscription(self._context, connection)
        self._asked: dict[str, Pending] = {}
        self._verified: Verified = {}

    @classmethod
    def connect(
        cls, connection: Path | Connection | None = None, timeout_s: float = limits.REPLY_TIMEOUT_S
    ) -> Client:
        """Connect through a connection file (default: where a backend of this user writes it).

        Raises ``BackendUnreachable`` when there is none or its backend has died, ``ConnectionFileInvalid`` when it is damaged.
        Nothing is sent yet; ``hello`` finds out whether the backend answers.
        """
        if isinstance(connection, Connection):
            return cls(connection, timeout_s)
        path = Path(connection) if connection is not None else default_connection_file()
        found = read_connection(path)
        if is_loopback(found.control) and nobody_listens(found.control):
            raise BackendUnreachable(
                f"The backend that wrote {path} (process {found.pid}) is gone; {HOW_TO_START}."
            )
        return cls(found, timeout_s)

    def close(self) -> None:
        """Let go of the sockets; nothing is waited for."""
        self._control.close()
        self._data.close()
        self._subscription.close()
        self._context.term()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- calls that wait for their answer ------------------------------------------------------------------------

    def hello(self, client: str = f"perpetua-protocol {__version__}") -> Welcome:
        """Agree on a version. Raises ``VersionMismatch``, ``AccessRefused`` or ``BackendUnreachable``."""
        return self._call(Hello(SUPPORTED_VERSIONS, client), Welcome)

    def submit(self, job_id: str, request: JobRequest, picture: bytes | memoryview | None = None) -> Job:
        """Queue a job under an id from ``new_job_id`` and watch it; safe to repeat.

        ``picture`` is the picture file's bytes; None if the take's files were uploaded (``upload``). Raises ``JobConflict``,
        ``InvalidTake``, ``MissingFiles`` or ``InvalidMessage``.
        """
        arrays = None if picture is None else {"picture": bytes_array(picture)}
        job = self._call(Submit(job_id, request), Job, arrays)
        if not self._subscription.watches(job_id):
            self.watch(job_id)
        return job

    def status(self, job_id: str) -> Job:
        """How a job is doing. Raises ``UnknownJob``."""
        return self._call(GetJob(job_id), Job)

    def jobs(self, limit: int = 100) -> tuple[Job, ...]:
        """The newest jobs, newest first."""
        return self._call(ListJobs(limit), Jobs).jobs

    def cancel(self, job_id: str) -> Job:
        """Ask a job to stop; it has when its state says so, within about a second (``CANCEL_GRACE_S``)."""
        return self._call(Cancel(job_id), Job)

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        """Every event of a job numbered above ``after``, oldest first."""
        found: list[Event] = []
        while True:
            reply = self._call(ListEvents(job_id, after), Events)
            found.extend(reply.events)
            if not reply.more:
                return found
            after = reply.events[-1].number

    def files(self, job_id: str) -> Manifest:
        """What of a job's cache is complete now; grows round by round while it bakes."""
        pending = self.request(ListFiles(job_id))
        reply = self._control.result(pending, Files)
        meta = pending.arrays.get("meta")
        return Manifest(reply.files, b"" if meta is None else meta.tobytes(), reply.meta_sha256)

    def fetch_files(
        self,
        job_id: str,
        manifest: Manifest,
        dest: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Bring a cache into the folder ``dest``, going on where an earlier attempt broke off. Raises ``TransferFailed``.

        Files are checked against their digest and appear whole; ``meta.json`` comes last. ``progress`` gets bytes done and in all.
        """
        self._finish(self.transfer(job_id, manifest, dest), progress)

    def upload_files(
        self, inputs: Sequence[InputFile], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> tuple[FileEntry, ...]:
        """Send a take's files (``inputs.input_files``), those that the backend lacks. Returns what a request names: the first entry's
        digest and the others. Raises ``TransferFailed`` or ``InvalidMessage``."""
        upload = self.upload(inputs)
        self._finish(upload, progress)
        return upload.files

    def shutdown(self) -> None:
        """End the backend."""
        self._call(Shutdown(), Closing)

    def wait(self, timeout_s: float = limits.HEARTBEAT_S) -> list[Event]:
        """As ``poll``, but waits up to ``timeout_s`` for the first event."""
        until = time.monotonic() + timeout_s
        poller = zmq.Poller()
        poller.register(self._control.socket, zmq.POLLIN)
        poller.register(self._subscription.socket, zmq.POLLIN)
        while True:
            events = self.poll(_SLICE_S)
            left = until - time.monotonic()
            if events or left <= 0:
                return events
            poller.poll(int(min(left, _SLICE_S) * 1000))

    def follow(self, job_id: str) -> Iterator[Event]:
        """Every event of a job from its first until it has finished; then ask ``outcome``."""
        self.watch(job_id)
        while True:
            for event in self.wait():
                if event.job_id != job_id:
                    continue
                yield event
                # an interrupted job that was submitted again has such a state in its past
                ended = isinstance(event, StateChanged) and event.state in FINISHED
                if ended and self.status(job_id).last_event == event.number:
                    return

    def outcome(self, job_id: str) -> Job:
        """The job as it now is. Raises ``JobFailed`` with the backend's sentence if it failed."""
        job = self.status(job_id)
        if job.state == "failed":
            raise JobFailed(job.error)
        return job

    # -- from a timer: nothing here waits ------------------------------------------------------------------------

    def watch(self, job_id: str, after: int = 0) -> None:
        """Have ``poll`` return this job's events numbered above ``after``."""
        self._asked.pop(job_id, None)
        self._subscription.watch(job_id, after)

    def unwatch(self, job_id: str) -> None:
        """Stop following a job."""
        self._asked.pop(job_id, None)
        self._subscription.unwatch(job_id)

    def poll(self, budget_s: float = 0.004) -> list[Event]:
        """New events of the watched jobs, in order, each at least once. Never waits; works for about ``budget_s``.

        Raises ``BackendUnreachable`` seconds after the backend stopped answering while a watched job is unfinished.
        """
        until = time.monotonic() + budget_s
        events = self._subscription.drain(until)
        self._control.drain(until)
        for job_id, pending in list(self._asked.items()):
            if pending.ready or pending.lost:
                del self._asked[job_id]
            if pending.ready:
                reply = pending.result(Events)
                events += self._subscription.from_journal(job_id, reply.events, reply.more)
        for job_id, seen in self._subscription.to_ask():
            if job_id not in self._asked:
                self._asked[job_id] = self._control.send(ListEvents(job_id, seen))
        return events

    def request(self, request: Request, arrays: Mapping[str, NDArray[Any]] | None = None) -> Pending:
        """Send any control request without waiting; ``poll`` brings its answer into the returned ``Pending``."""
        return self._control.send(request, arrays)

    def transfer(self, job_id: str, manifest: Manifest, dest: Path) -> Transfer:
        """As ``fetch_files``, to be moved on with ``Transfer.step``."""
        return Transfer(self._data, job_id, manifest, dest, self._verified)

    def upload(self, inputs: Sequence[InputFile]) -> Upload:
        """As ``upload_files``, to be moved on with ``Upload.step``."""
        return Upload(self._data, inputs)

    def _finish(self, mover: FileMover, progress: Callable[[int, int], None]) -> None:
        try:
            while not mover.step(_SLICE_S):
                progress(mover.bytes_done, mover.bytes_total)
                if mover.waiting:
                    self._data.wait(_SLICE_S)
        finally:
            mover.close()
        progress(mover.bytes_done, mover.bytes_total)

    def _call(
        self, request: Request, kind: type[Answer], arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> Answer:
        return self._control.result(self._control.send(request, arrays), kind)
