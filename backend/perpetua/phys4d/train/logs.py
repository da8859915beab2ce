"""Figures of a run as TensorBoard shows them: `tensorboard --logdir OUT/logs`."""

from __future__ import annotations

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
        if self._writes:
            for name, value in means.items():
                self._open().add_scalar(name, value, number)
        return means

    def flush(self) -> None:
        """Have everything on disk."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> Any:
        if self._writer is None:
            from tensorboardX import SummaryWriter

            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(str(self._folder), purge_step=self._first + 1)
        return self._writer
