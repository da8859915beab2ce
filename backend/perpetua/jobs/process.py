"""The queue's side of the worker process: start it, talk to it, notice its death, kill it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from perpetua.jobs.worker_messages import Answer, Command

LOG_LIMIT_BYTES = 16 * 1024 * 1024
"""A log above this is set aside: the backend's as it grows, the worker's when one starts."""
_EXIT_WAIT_S = 5.0


class WorkerProcess:
    """A running worker. ``answers`` fills from a thread; ``wake`` is called for each, and when the process is gone."""

    def __init__(self, function: str, log: Path, wake: Callable[[], None]) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            os.replace(log, log.with_suffix(".old.log"))
        environment = {"PYTHONUNBUFFERED": "1"} | os.environ
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "perpetua.jobs.worker", function],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=os.name == "posix",  # so that what a job starts can be killed with it
            )
        self.answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        """What the worker said; None once it is gone."""
        self._wake = wake
        self._thread = threading.Thread(target=self._listen, name="worker-answers", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, command: Command) -> None:
        """Write a command; a worker that is gone is noticed through ``answers``."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(command) + b"\n")
            self._process.stdin.flush()
        except OSError:
            self.kill()

    def kill(self) -> None:
        """End the process and what it started, at once."""
        if self._process.returncode is not None:
            return  # collected already: its number may belong to another process by now
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """Kill and collect."""
        self.kill()
        self._process.wait(_EXIT_WAIT_S)
        self._thread.join(_EXIT_WAIT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def how_it_ended(self) -> str:
        """Why the process is gone, in a few words."""
        self.kill()  # what the dead worker had started
        status = self._process.wait(_EXIT_WAIT_S)
        if status >= 0:
            return f"exit status {status}"
        name = signal.Signals(-status).name
        return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name

    def _listen(self) -> None:
        assert self._process.stdout is not None
        decoder = msgspec.json.Decoder(Answer)
        try:
            for line in self._process.stdout:
                if line.endswith(b"\n"):  # the last line of a killed process may be cut
                    self.answers.put(decoder.decode(line))
                    self._wake()
        finally:
            self.answers.put(None)
            self._wake()
