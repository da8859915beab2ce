"""Following jobs: published events in order, and knowing when some were missed.

The backend numbers the events of a job. One that continues the row is passed on; a gap means that something was missed,
and then, as after every second of silence, the client asks the journal for the events after the last it has.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import zmq

from perpetua_protocol import limits
from perpetua_protocol.framing import decode
from perpetua_protocol.keys import Connection
from perpetua_protocol.link import Socket, secured
from perpetua_protocol.messages import FINISHED, Event, StateChanged


@dataclass
class _Watched:
    seen: int
    ask_at: float
    """Monotonic time at which to ask the journal."""
    finished: bool = False


class Subscription:
    """The events of the jobs that are watched."""

    def __init__(self, context: zmq.Context[Socket], connection: Connection) -> None:
        self.socket = secured(context.socket(zmq.SUB), connection)
        self.socket.maxmsgsize = limits.FRAME_BYTES
        self.socket.connect(connection.events)
        self._watched: dict[str, _Watched] = {}

    def close(self) -> None:
        """Drop the connection."""
        self.socket.close()

    def watch(self, job_id: str, after: int) -> None:
        """Follow a job from the event after number ``after``; its history is asked for first."""
        if job_id not in self._watched:
            self.socket.subscribe(_topic(job_id))
        self._watched[job_id] = _Watched(after, time.monotonic())

    def unwatch(self, job_id: str) -> None:
        """Stop following."""
        if self._watched.pop(job_id, None) is not None:
            self.socket.unsubscribe(_topic(job_id))

    def watches(self, job_id: str) -> bool:
        """Whether a job is followed."""
        return job_id in self._watched

    def drain(self, until: float) -> list[Event]:
        """Published events that continue their job's row, no longer than the monotonic time ``until``."""
        found: list[Event] = []
        while True:
            try:
                _, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return found
            event = decode(frames)[0].message
            if isinstance(event, Event):
                found += self._published(event)
            if time.monotonic() >= until:
                return found

    def from_journal(self, job_id: str, events: Iterable[Event], more: bool) -> list[Event]:
        """Events the journal gave in answer; those already seen are left out."""
        watched = self._watched.get(job_id)
        if watched is None:
            return []
        fresh = [event for event in events if event.number > watched.seen]
        for event in fresh:
            self._saw(watched, event)
        watched.ask_at = time.monotonic() + (0.0 if more else limits.HEARTBEAT_S)
        return fresh

    def to_ask(self) -> list[tuple[str, int]]:
        """Jobs whose journal should be asked now, each with the last number seen."""
        now = time.monotonic()
        return [(job_id, w.seen) for job_id, w in self._watched.items() if not w.finished and now >= w.ask_at]

    def _published(self, event: Event) -> list[Event]:
        watched = self._watched.get(event.job_id)
        if watched is None or event.number <= watched.seen:
            return []
        if event.number > watched.seen + 1:
            watched.finished = False
            watched.ask_at = time.monotonic()
            return []
        self._saw(watched, event)
        watched.ask_at = time.monotonic() + limits.HEARTBEAT_S
        return [event]

    def _saw(self, watched: _Watched, event: Event) -> None:
        watched.seen = event.number
        if isinstance(event, StateChanged):
            watched.finished = event.state in FINISHED


def _topic(job_id: str) -> bytes:
    return job_id.encode("ascii", "replace") + b"."
