"""Every message that crosses the wire, as a typed struct. PROTOCOL.md explains them; a test holds the two together.

    Request  client -> backend, control socket:  hello submit job_status list_jobs cancel list_events list_files shutdown
             client -> backend, data socket:     fetch_chunk offer_files put_chunk
    Reply    backend -> client, same socket:     welcome job jobs events files closing chunk wanted stored error
    Event    backend -> clients, event socket:   state_changed progress round_ready

A header is an ``Envelope`` around one of them. Times are seconds; moments are Unix time; fractions lie in [0, 1].
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from perpetua_protocol.take import Take

PROTOCOL_VERSION = 1
"""The version this package speaks, also the version of PROTOCOL.md."""
SUPPORTED_VERSIONS: tuple[int, ...] = (1,)
"""Versions this package can speak, best first."""

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
FINISHED: frozenset[str] = frozenset({"done", "failed", "cancelled", "interrupted"})
"""States in which a job no longer changes by itself (an interrupted one resumes when it is submitted again)."""


class Message(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """Base of every message."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One complete file of a cache folder, or of a take's input."""

    path: str
    """Relative to the cache folder, or to the folder of the take's main file; ``/`` between parts."""
    bytes: int
    sha256: str


# -- what a job is asked to do -----------------------------------------------------------------------------------


class BakeRequest(Message, frozen=True, tag="bake"):
    """Bake a take up to and including a round. Its files were uploaded before; a lone picture may travel along as the array frame
    ``picture`` (u1, 1-D) instead."""

    take: Take
    through_round: int
    """Number of rounds to bake; 0 only reconstructs frame 0."""
    picture_sha256: str
    """SHA-256 of the bytes of the take's main file, its ``picture``."""
    files: tuple[FileEntry, ...] = ()
    """The other files of the take's input, by their names beside the main file (``inputs.input_files``)."""
    look: bool = False
    """Only make the picture that objects are clicked in, as ``front.png`` in a cache without rounds; the take needs no object then."""


JobRequest = BakeRequest
"""What ``submit`` may carry. A further kind of job becomes a union here."""


# -- requests ----------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """The first message on a connection: who asks, and which versions it speaks."""

    versions: tuple[int, ...]
    client: str = ""
    """Name and version of the program, for the log."""


class Submit(Message, frozen=True, tag="submit"):
    """Queue a job under an id the client minted. The same id and request again returns the job there is."""

    job_id: str
    request: JobRequest


class GetJob(Message, frozen=True, tag="job_status"):
    """How a job is doing."""

    job_id: str


class ListJobs(Message, frozen=True, tag="list_jobs"):
    """The newest jobs of the store, newest first."""

    limit: int = 100


class Cancel(Message, frozen=True, tag="cancel"):
    """Stop a job. Answered at once; the job's state changes when it has stopped."""

    job_id: str


class ListEvents(Message, frozen=True, tag="list_events"):
    """The events of a job numbered above ``after``, oldest first."""

    job_id: str
    after: int = 0


class ListFiles(Message, frozen=True, tag="list_files"):
    """The files that now stand complete in a job's cache folder."""

    job_id: str


class Shutdown(Message, frozen=True, tag="shutdown"):
    """End the backend. A running job is marked interrupted and resumes when it is submitted again."""


class FetchChunk(Message, frozen=True, tag="fetch_chunk"):
    """Bytes of one file from an offset on; each outstanding request is one credit."""

    job_id: str
    path: str
    sha256: str
    """Digest of the whole file, from ``files``: a file that has changed since is refused."""
    offset: int
    length: int


class OfferFiles(Message, frozen=True, tag="offer_files"):
    """Ask how much of some files the backend has already, before they are uploaded."""

    files: tuple[FileEntry, ...]


class PutChunk(Message, frozen=True, tag="put_chunk"):
    """Bytes of one file, as the array frame ``bytes`` (u1, 1-D), that go on where the backend's end."""

    sha256: str
    """Digest of the whole file."""
    bytes: int
    """Size of the whole file."""
    offset: int


Request = (
    Hello
    | Submit
    | GetJob
    | ListJobs
    | Cancel
    | ListEvents
    | ListFiles
    | Shutdown
    | FetchChunk
    | OfferFiles
    | PutChunk
)


# -- events ------------------------------------------------------------------------------------------------------


class StateChanged(Message, frozen=True, tag="state_changed"):
    """A job entered a state. Never dropped or merged."""

    job_id: str
    number: int
    """Place among the job's events, from 1, growing; thinned progress leaves gaps."""
    time: float
    state: State
    text: str = ""
    """For ``failed`` and ``interrupted`` the sentence to show."""
    code: str = ""
    """For ``failed`` the class of the error."""


class ProgressMade(Message, frozen=True, tag="progress"):
    """How far a running job is. Merged to ten a second at most."""

    job_id: str
    number: int
    time: float
    stage: str
    fraction: float
    """Done of this stage."""
    text: str
    overall: float
    """Done of the whole job, an estimate that never falls."""
    elapsed_s: float
    eta_s: float | None = None
    """Time left, an estimate; None while there is nothing to go by."""


class RoundReady(Message, frozen=True, tag="round_ready"):
    """The cache grew: rounds up to ``round`` are complete on disk and can be fetched while later ones bake."""

    job_id: str
    number: int
    time: float
    round: int
    """Rounds complete; 0 is the reconstruction."""
    frames: int
    """Frames complete, frame 0 included."""
    meta_sha256: str
    """Digest of the cache's ``meta.json`` at that moment."""


Event = StateChanged | ProgressMade | RoundReady


# -- replies -----------------------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """Answer to ``hello``: the version both will speak and what this backend offers."""

    version: int
    backend: str
    """Version of the backend program."""
    pid: int
    refiners: tuple[str, ...]
    """Names a take's refiner may have."""


class Job(Message, frozen=True, tag="job"):
    """Everything known of a job; answers ``submit``, ``job_status`` and ``cancel``."""

    job_id: str
    state: State
    cancelling: bool
    """True from a cancel until the job has stopped."""
    take: str
    """Name of the take."""
    through_round: int
    submitted: float
    started: float | None
    ended: float | None
    stage: str
    fraction: float
    text: str
    overall: float
    elapsed_s: float
    eta_s: float | None
    code: str
    """Class of the error when ``failed``."""
    error: str
    """Sentence to show when ``failed`` or ``interrupted``."""
    last_event: int
    """Number of the newest event."""
    ahead: int
    """Jobs that run before this queued one."""
    cache: str
    """Path of the cache folder on the backend's machine; a client on the same machine may read it in place."""
    summary: dict[str, Any]
    """What the finished bake says of itself (frames, gaussians, timings, digests)."""

    @property
    def finished(self) -> bool:
        """Whether the job no longer changes by itself."""
        return self.state in FINISHED


class Jobs(Message, frozen=True, tag="jobs"):
    """Answer to ``list_jobs``."""

    jobs: tuple[Job, ...]


class Events(Message, frozen=True, tag="events"):
    """Answer to ``list_events``."""

    job_id: str
    events: tuple[Event, ...]
    more: bool
    """Ask again after the last of these."""


class Files(Message, frozen=True, tag="files"):
    """Answer to ``list_files``. The cache's ``meta.json`` itself comes as the array frame ``meta`` (u1, 1-D).

    A client writes the files first and ``meta.json`` last, so a reader of its copy never meets a missing file.
    """

    job_id: str
    files: tuple[FileEntry, ...]
    meta_sha256: str
    """Digest of ``meta.json``; empty while the job has written none (then there is no frame)."""


class Chunk(Message, frozen=True, tag="chunk"):
    """Answer to ``fetch_chunk``: the bytes as the array frame ``bytes`` (u1, 1-D)."""

    path: str
    offset: int
    file_bytes: int
    """Size of the whole file."""


class Wanted(Message, frozen=True, tag="wanted"):
    """Answer to ``offer_files``."""

    have: tuple[int, ...]
    """Bytes of each file that are there; its upload goes on from here."""


class Stored(Message, frozen=True, tag="stored"):
    """Answer to ``put_chunk``."""

    sha256: str
    have: int
    """Bytes of the file that are there now. Another number than was sent so far: go on from here."""


class Closing(Message, frozen=True, tag="closing"):
    """Answer to ``shutdown``: the backend ends now."""


class Error(Message, frozen=True, tag="error"):
    """A request was refused. ``sentence`` says what is wrong and what to do; ``code`` is its class."""

    code: str
    sentence: str


Reply = Welcome | Job | Jobs | Events | Files | Closing | Chunk | Wanted | Stored | Error

AnyMessage = Request | Reply | Event


# -- the header ----------------------------------------------------------------------------------------------------


class FrameSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a raw frame after the header holds: a little-endian array in C order."""

    name: str
    dtype: Literal["u1", "u2", "i4", "i8", "f2", "f4", "f8"]
    shape: tuple[int, ...]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON header frame."""

    message: AnyMessage
    id: str = ""
    """Chosen by the client for a request and repeated in its reply; empty in events."""
    frames: tuple[FrameSpec, ...] = ()
