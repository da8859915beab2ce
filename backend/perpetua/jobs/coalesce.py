"""Progress on its way out of a job: however often it is reported, a few lines a second leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Coalescer(Generic[Item]):
    """Passes on the newest of what it is given, at most once an ``interval_s``; the last one is never lost.

    A thread sends, so that the newest report goes out even when the job then computes in silence for minutes.
    """

    def __init__(self, send: Callable[[Item], None], interval_s: float) -> None:
        self._send = send
        self._interval_s = interval_s
        self._latest: Item | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Offer a newer item."""
        with self._changed:
            self._latest = item
            self._changed.notify()

    def close(self) -> None:
        """Send what is pending and stop. Nothing is sent after this returns."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._latest is not None or self._closed)
                item, self._latest = self._latest, None
                closed = self._closed
            if item is not None:
                self._send(item)
            if closed:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._closed, timeout=self._interval_s)
