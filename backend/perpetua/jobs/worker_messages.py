"""What the queue and its worker process say to each other: one JSON object a line over stdin and stdout."""

from __future__ import annotations

from typing import Any

import msgspec


class Line(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """Base of every line."""


class Run(Line, frozen=True, tag="run"):
    """Queue to worker: run this job. The request lies in a file so that the pipe never fills."""

    job_id: str
    request_file: str
    picture: str
    store: str
    output: str


class Stop(Line, frozen=True, tag="stop"):
    """Queue to worker: this job was cancelled."""

    job_id: str


class Ready(Line, frozen=True, tag="ready"):
    """Worker to queue: the job function is imported."""


class Advanced(Line, frozen=True, tag="advanced"):
    """Worker to queue: how far the job is."""

    job_id: str
    stage: str
    fraction: float
    text: str


class Finished(Line, frozen=True, tag="finished"):
    """Worker to queue: the job returned."""

    job_id: str
    summary: dict[str, Any]


class Stopped(Line, frozen=True, tag="stopped"):
    """Worker to queue: the job noticed its cancel and ended."""

    job_id: str


class Failed(Line, frozen=True, tag="failed"):
    """Worker to queue: the job raised. ``expected`` errors have a sentence made for the artist."""

    job_id: str
    expected: bool
    code: str
    sentence: str
    traceback: str


class Broken(Line, frozen=True, tag="broken"):
    """Worker to queue: the job function cannot be imported; the worker ends."""

    sentence: str
    traceback: str


Command = Run | Stop
Answer = Ready | Advanced | Finished | Stopped | Failed | Broken
