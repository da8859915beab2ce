"""The worker process: ``python -m perpetua.jobs.worker module:function``. Runs one job at a time and stays warm.

Reads commands from stdin and writes answers to stdout, one JSON object a line (``worker_messages.py``). Everything
else that prints (simulators, drivers, C libraries) is sent to stderr, which is the worker's log. When stdin closes the
backend is gone, and the process ends at once: stages are written whole or not at all, so nothing is lost but time.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from perpetua import own_process
from perpetua.errors import Cancelled, PerpetuaError
from perpetua.jobs.coalesce import Coalescer
from perpetua.jobs.worker_messages import (
    Advanced,
    Answer,
    Broken,
    Command,
    Failed,
    Finished,
    Ready,
    Run,
    Stop,
    Stopped,
)
from perpetua.progress import Progress
from perpetua_protocol import limits
from perpetua_protocol.errors import ProtocolError
from perpetua_protocol.framing import require_finite
from perpetua_protocol.messages import JobRequest

JobFunction = Callable[..., Any]
"""``bake(take, picture, store, output, through_round, progress)`` returning something JSON can hold."""


class Worker:
    """One job after another, as commands come in."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands = commands
        self._answers = answers
        self._writing = threading.Lock()
        self._jobs: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._stopped: set[str] = set()

    def serve(self, function_name: str) -> int:
        """Run jobs with the function of that dotted name until stdin closes. Returns an exit status."""
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        try:
            function = load_function(function_name)
        except Exception as error:  # noqa: BLE001 - importing runs any code; the queue is told and the process ends
            sentence = (
                f"The backend cannot load its job function {function_name}: {type(error).__name__}: {error}"
            )
            self._say(Broken(sentence, traceback.format_exc()))
            return 1
        self._say(Ready())
        while True:
            self._run(function, self._jobs.get())

    def _listen(self) -> None:
        decoder = msgspec.json.Decoder(Command)
        for line in self._commands:
            command = decoder.decode(line)
            if isinstance(command, Stop):
                self._stopped.add(command.job_id)
            else:
                self._jobs.put(command)
        if os.name == "posix" and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)  # with everything the job has started
        os._exit(0)

    def _run(self, function: JobFunction, run: Run) -> None:
        coalescer: Coalescer[Advanced] = Coalescer(self._say, limits.PROGRESS_INTERVAL_S)
        progress = Progress(
            report=lambda stage, fraction, text: coalescer.put(Advanced(run.job_id, stage, fraction, text)),
            cancelled=lambda: run.job_id in self._stopped,
        )
        try:
            outcome: Answer = _outcome(function, run, progress)
        finally:
            coalescer.close()
        self._say(outcome)

    def _say(self, answer: Answer) -> None:
        with self._writing:
            self._answers.write(msgspec.json.encode(answer) + b"\n")
            self._answers.flush()


def _outcome(function: JobFunction, run: Run, progress: Progress) -> Answer:
    try:
        request = msgspec.json.decode(Path(run.request_file).read_bytes(), type=JobRequest)
        result = function(
            take=request.take,
            picture=Path(run.picture),
            store=Path(run.store),
            output=Path(run.output),
            through_round=None if request.look else request.through_round,
            progress=progress,
        )
        finished = Finished(run.job_id, msgspec.to_builtins(result, str_keys=True) or {})
        require_finite(finished)
        return finished
    except Cancelled:
        return Stopped(run.job_id)
    except (PerpetuaError, ProtocolError) as error:
        return Failed(run.job_id, True, error.code, str(error), traceback.format_exc())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any other error is the job's: the queue logs it whole
        sentence = f"{type(error).__name__}: {_first_line(error)}"  # all of it is in the log
        return Failed(run.job_id, False, "unexpected", sentence, traceback.format_exc())


def _first_line(error: BaseException) -> str:
    """The start of an error's text that is not ornament; compilers' errors run over pages."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if any(c.isalnum() for c in line)), "no message")[:300]


def load_function(dotted: str) -> JobFunction:
    """Import ``module:function``."""
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def _private_stdout() -> BinaryIO:
    """The real stdout for answers alone; file descriptor 1, and so all printing, becomes stderr."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    own_process.begin()
    status = Worker(sys.stdin.buffer, _private_stdout()).serve(sys.argv[1])
    sys.stderr.flush()
    os._exit(status)  # an orderly end would abort on the thread that still reads stdin
