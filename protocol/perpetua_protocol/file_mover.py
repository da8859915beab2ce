"""What sending files and fetching them share: chunks over a link, a few under way at once, a little at a time from a timer."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from perpetua_protocol import limits
from perpetua_protocol.errors import BackendUnreachable, TransferFailed
from perpetua_protocol.link import Link, Pending

if TYPE_CHECKING:
    from hashlib import _Hash

RETRIES = 2
"""How often a file is gone on with after its connection broke, before giving up."""


class FileMover(ABC):
    """Files on their way over a link. Call ``step`` until it returns True."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._steps = self._to_the_end()
        self._complete = False
        self.bytes_done = 0
        self.bytes_total = 0
        """Of all files; 0 until that is known."""
        self.waiting = False
        """True when the last step ended because nothing had come in."""

    def step(self, budget_s: float) -> bool:
        """Work for about ``budget_s`` without waiting. True when all is done.

        Raises ``TransferFailed`` for a file that cannot be read, written or trusted, and ``BackendUnreachable``; a new attempt goes on
        where this one ended.
        """
        until = time.monotonic() + budget_s
        try:
            for busy in self._steps:
                self.waiting = not busy
                if not busy or time.monotonic() >= until:
                    return False
        except OSError as error:
            raise TransferFailed(self._sentence(error)) from error
        if not self._complete:
            raise TransferFailed("This attempt has ended before all files were through; begin a new one.")
        return True

    def close(self) -> None:
        """Give up; what has arrived stays for the next attempt."""
        self._steps.close()

    @abstractmethod
    def _run(self) -> Generator[bool, None, None]:
        """Does the work; yields True after a piece of it and False when there is nothing to do but wait."""

    @abstractmethod
    def _sentence(self, error: OSError) -> str:
        """What a file that cannot be read or written means, and what to do."""

    def _to_the_end(self) -> Generator[bool, None, None]:
        yield from self._run()
        self._complete = True

    def _move(
        self, start: int, end: int, send: Callable[[int, int], Pending], arrived: Callable[[Pending], int]
    ) -> Generator[bool, None, None]:
        """The bytes ``start`` to ``end`` of a file. Yields as ``_run`` does.

        ``send`` takes a chunk's offset and length and asks for it or hands it over; ``arrived`` takes its reply and returns how many
        bytes of the file the receiver has now.
        """
        have = asked = start
        lost = 0
        under_way: deque[tuple[Pending, int]] = deque()
        try:
            while have < end:
                while len(under_way) < limits.CREDITS and asked < end:
                    length = min(limits.CHUNK_BYTES, end - asked)
                    under_way.append((send(asked, length), asked + length))
                    asked += length
                try:
                    self._link.drain(time.monotonic())
                except BackendUnreachable:
                    lost += 1
                    if lost > RETRIES or self._link.nobody_there():
                        raise
                    under_way.clear()
                    asked = have
                    continue
                if not under_way[0][0].ready:
                    yield False
                    continue
                reply, chunk_end = under_way.popleft()
                before, have = have, arrived(reply)
                self.bytes_done += have - before
                if have != chunk_end:  # a chunk or a reply was lost; those after it are not taken
                    self._forget(under_way)
                    under_way.clear()
                    asked = have
                for pending, _ in under_way:
                    self._link.renew(pending)
                yield True
        finally:
            self._forget(under_way)

    def _forget(self, under_way: Iterable[tuple[Pending, int]]) -> None:
        for pending, _ in under_way:
            self._link.forget(pending)


def feed(path: Path, digest: _Hash) -> Generator[bool, None, int]:
    """Puts a file into a digest, piece by piece; the generator's value is how many bytes it has."""
    size = 0
    with path.open("rb") as file:
        while data := file.read(limits.CHUNK_BYTES):
            digest.update(data)
            size += len(data)
            yield True
    return size
