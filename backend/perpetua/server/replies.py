"""What the backend answers to each request. Every exception ends as an ``error`` reply with a sentence."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from perpetua import __version__, registry
from perpetua.errors import PerpetuaError
from perpetua.jobs import JobQueue
from perpetua_protocol import limits
from perpetua_protocol.errors import InvalidMessage, ProtocolError, TransferFailed, VersionMismatch
from perpetua_protocol.framing import bytes_array
from perpetua_protocol.messages import (
    SUPPORTED_VERSIONS,
    Cancel,
    Chunk,
    Closing,
    Error,
    FetchChunk,
    Files,
    GetJob,
    Hello,
    Jobs,
    ListEvents,
    ListFiles,
    ListJobs,
    OfferFiles,
    PutChunk,
    Reply,
    Request,
    Shutdown,
    Stored,
    Submit,
    Wanted,
    Welcome,
)

LOG = logging.getLogger("perpetua.server")

Arrays = dict[str, NDArray[Any]]
Answer = tuple[Reply, Arrays]


class Replies:
    """Answers requests from the job queue. ``stop`` is called when a client asks the backend to end."""

    def __init__(self, jobs: JobQueue, stop: Callable[[], None]) -> None:
        self._jobs = jobs
        self._stop = stop

    def control(self, request: Request, arrays: Arrays) -> Answer:
        """Answer on the control socket."""
        jobs = self._jobs
        match request:
            case Hello():
                LOG.info("hello from %s", request.client[:200])
                return _welcome(request), {}
            case Submit():
                return jobs.submit(request.job_id, request.request, arrays), {}
            case GetJob():
                return jobs.job(request.job_id), {}
            case ListJobs():
                return Jobs(tuple(jobs.newest(min(max(request.limit, 0), 1000)))), {}
            case Cancel():
                return jobs.cancel(request.job_id), {}
            case ListEvents():
                return jobs.events(request.job_id, request.after), {}
            case ListFiles():
                return self._files(request.job_id)
            case Shutdown():
                self._stop()
                return Closing(), {}
        raise InvalidMessage(f"A {type(request).__name__} is no request for the control socket.")

    def data(self, request: Request, arrays: Arrays) -> Answer:
        """Answer on the data socket."""
        match request:
            case FetchChunk():
                return self._chunk(request)
            case OfferFiles():
                return self._wanted(request), {}
            case PutChunk():
                return self._put(request, arrays), {}
        raise InvalidMessage(f"A {type(request).__name__} is no request for the data socket.")

    def refusal(self, error: Exception) -> Error:
        """The ``error`` reply for an exception, which is logged if nobody meant it."""
        if isinstance(error, ProtocolError | PerpetuaError):
            return Error(error.code, str(error))
        LOG.error("a request failed", exc_info=error)
        log = self._jobs.store.backend_log
        return Error(
            "unexpected",
            f"The backend hit an unexpected error: {type(error).__name__}: {error} The log is at {log}.",
        )

    def _files(self, job_id: str) -> Answer:
        files = self._jobs.cache_files(job_id)
        if files is None:
            return Files(job_id, (), ""), {}
        return Files(job_id, tuple(files.entries.values()), files.meta_sha256), {
            "meta": bytes_array(files.meta)
        }

    def _wanted(self, offer: OfferFiles) -> Wanted:
        total = sum(entry.bytes for entry in offer.files)
        if len(offer.files) > limits.INPUT_FILES or total > limits.INPUT_BYTES:
            raise InvalidMessage(
                f"{len(offer.files)} files of {total / limits.MIB:.0f} MiB were offered; at most {limits.INPUT_FILES} files of "
                f"{limits.INPUT_BYTES // limits.MIB} MiB in all can be sent. Leave some out."
            )
        return Wanted(tuple(self._jobs.intake.have(entry) for entry in offer.files))

    def _put(self, put: PutChunk, arrays: Arrays) -> Stored:
        data = arrays.get("bytes")
        if data is None or data.ndim != 1 or data.dtype.str != "|u1" or len(arrays) > 1:
            raise InvalidMessage("A chunk of a file comes as one array frame 'bytes' (u1, 1-D).")
        return Stored(put.sha256, self._jobs.intake.put(put.sha256, put.bytes, put.offset, data.data))

    def _chunk(self, ask: FetchChunk) -> Answer:
        if not 0 < ask.length <= limits.CHUNK_BYTES or ask.offset < 0:
            raise InvalidMessage(f"A chunk is 1 to {limits.CHUNK_BYTES} bytes from an offset of 0 or more.")
        files = self._jobs.cache_files(ask.job_id)
        entry = files.entries.get(ask.path) if files is not None else None
        if entry is None or entry.sha256 != ask.sha256:
            # only what meta.json names is ever opened, so no path leads out of the cache
            raise TransferFailed(
                f"The cache of job {ask.job_id} has no file {ask.path[:200]} of that digest; list its files again."
            )
        path = self._jobs.store.cache(ask.job_id) / entry.path
        try:
            data, size = _read(path, ask.offset, min(ask.length, max(entry.bytes - ask.offset, 0)))
        except OSError as error:
            raise TransferFailed(
                f"The backend cannot read {path} ({error.strerror}); bake that round again."
            ) from error
        if size != entry.bytes:
            raise TransferFailed(
                f"The backend's {path} is {size} bytes, not the {entry.bytes} it was written with; bake that round again."
            )
        return Chunk(ask.path, ask.offset, entry.bytes), {"bytes": bytes_array(data)}


def _welcome(hello: Hello) -> Welcome:
    common = [version for version in SUPPORTED_VERSIONS if version in hello.versions]
    if not common:
        raise VersionMismatch(
            f"The client speaks protocol version {', '.join(map(str, hello.versions)) or 'none'}, this backend "
            f"{', '.join(map(str, SUPPORTED_VERSIONS))}; install matching versions of the add-on and the backend."
        )
    return Welcome(max(common), __version__, os.getpid(), tuple(registry.names("refiner")))


def _read(path: Path, offset: int, length: int) -> tuple[bytes, int]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(offset)
        return file.read(length), size
