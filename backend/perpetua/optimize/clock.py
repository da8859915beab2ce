"""Seconds that parts of the backward pass take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Clock:
    """Adds up the time spent under each name, where it is ``running``; on CUDA until all kernels are done."""

    def __init__(self, running: bool = False) -> None:
        self.running = running
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """The time of a ``with`` block, under ``name``."""
        if not self.running:
            yield
            return
        begin = _now()
        try:
            yield
        finally:
            self.seconds[name] += _now() - begin


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
