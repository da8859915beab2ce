"""A backend in a process of its own, for as long as a block of code runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perpetua.errors import PerpetuaError

START_S = 60.0
"""Longest a backend may take to write its connection file."""
STOP_S = 30.0
_POLL_S = 0.1


class BackendNotStarted(PerpetuaError):
    """A backend that ended, or did not listen, before it was of use."""

    code = "backend_not_started"


@contextmanager
def own_backend(store: Path, connection: Path, log: Path) -> Iterator[None]:
    """Within it a backend serves ``store`` and has written ``connection``; what it prints goes to ``log``.

    It ends with the block, or with this process. Raises ``BackendNotStarted`` with its messages.
    """
    connection.unlink(missing_ok=True)
    with log.open("wb") as messages:
        backend = subprocess.Popen(
            [
                *(sys.executable, "-m", "perpetua", "serve", "--store", str(store)),
                *("--connection-file", str(connection), "--parent-pid", str(os.getpid())),
            ],
            stdout=messages,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(connection, backend, log)
            yield
        finally:
            backend.terminate()
            try:
                backend.wait(STOP_S)
            except subprocess.TimeoutExpired:
                backend.kill()
                backend.wait()


def _wait_for(connection: Path, backend: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not connection.exists():
        if backend.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:].strip()
            raise BackendNotStarted(f"The backend did not start; its messages are in {log}:\n{said}")
        time.sleep(_POLL_S)
