"""Figures of a run as TensorBoard shows them: `tensorboard --logdir OUT/logs`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch


class Logs:
    """Gathers a step's figures and writes their means. step: where the run goes on; what was logged after it is taken back."""

    def __init__(self, folder: Path, step: int, writes: bool) -> None:
        self._folder, self._writes, self._first = folder, writes, step
        self._writer: Any = None
        self._sums: dict[str, tuple[float, int]] = {}

    def note(self, name: str, value: float) -> None:
        """Add a figure of this step."""
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = (total + value, count + 1)

    def step(self, number: int, accelerator: Any) -> dict[str, float]:
        """Write the means of the figures since the last call, over all processes, under ``number``; returns them."""
        means = {name: total / count for name, (total, count) in sorted(self._sums.items())}
        self._sums = {}
        if accelerator.num_processes > 1 and means:
            values = torch.tensor(list(means.values()), device=accelerator.device)
            means = dict(zip(means, accelerator.reduce(values, "mean").tolist()))
        if self._writes and means:
            from tensorboardX.summary import scalar

            for name, value in means.items():
                self._write(number, summary=scalar(name, value))
        return means

    def flush(self) -> None:
        """Have everything on disk."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, step: int, **content: Any) -> None:
        """Directly, not by the library's SummaryWriter: that writes when its thread finds the time, which a killed run has not."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # files are named by the second, and a run may go on within the one in which it was killed
            self._writer = EventsWriter(str(self._folder / "events"), f".{time.time_ns()}")
            if self._first:
                taken_back = SessionLog(status=SessionLog.START)
                self._writer.write_event(
                    Event(wall_time=time.time(), step=self._first + 1, session_log=taken_back)
                )
        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
