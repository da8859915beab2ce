"""Running a kernel over ranges of tiles or Gaussians on a few threads.

What is computed for a tile or a Gaussian never depends on its neighbours in a range, nor on which thread takes the
range, and sums are made in one place in a fixed order: no byte of a result depends on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perpetua.errors import RenderError

GAUSSIANS_A_RANGE = 4096
"""Where sums are made a range at a time: the ranges, and with them the rounding, are the same for any number of threads."""

WAKING_PAYS = 2048
"""Gaussians whose work costs about as much as waking a thread (60 us), for kernels with tens of operations for each."""
WAKING_PAYS_FOR_COPIES = 65536
"""The same for kernels that do little but move a row."""

# Helpers and what waits for them: a function, and where its result or its error goes. Executors of the standard library do
# the same at twice the time for each call, and a pass makes a dozen.
_Job = tuple[Callable[[], Any], "SimpleQueue[tuple[Any, BaseException | None]]"]
_lock = Lock()
_jobs: SimpleQueue[_Job] = SimpleQueue()
_helpers = 0
_threads: int | None = None


def _start_anew_after_fork() -> None:
    """A forked child has the parent's helpers by number but none of their threads, and would wait for them forever."""
    global _lock, _jobs, _helpers
    _lock, _jobs, _helpers = Lock(), SimpleQueue(), 0


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_start_anew_after_fork)


def thread_count() -> int:
    """Threads in use: what `set_threads` chose, else as many as torch uses (which OMP_NUM_THREADS sets)."""
    return torch.get_num_threads() if _threads is None else _threads


def set_threads(count: int | None) -> None:
    """Use `count` threads from now on (None: as many as torch uses). Helpers that are no longer needed sleep."""
    global _threads
    if count is not None and count < 1:
        raise RenderError(f"the renderer needs at least one thread, not {count}")
    _threads = count


def _help(jobs: SimpleQueue[_Job]) -> None:
    while True:
        work, outcome = jobs.get()
        try:
            outcome.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is waited for
            outcome.put((None, error))
        del work, outcome  # or the arrays of a pass would live until the next


def _aside(work: Callable[[], Any]) -> Callable[[], Any]:
    """Have a helper call `work`; calling what is returned waits for the result."""
    global _helpers
    with _lock:
        if _helpers < thread_count() - 1:
            name = f"render-{_helpers}"
            Thread(target=_help, args=(_jobs,), name=name, daemon=True).start()
            _helpers += 1
    outcome: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    _jobs.put((work, outcome))

    def wait() -> Any:
        result, error = outcome.get()
        if error is not None:
            raise error
        return result

    return wait


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's memory as a C-contiguous array, without its graph: what kernels take."""
    return tensor.detach().contiguous().numpy()


def equal_size(count: int, least: int = WAKING_PAYS, threads: int | None = None) -> int:
    """Size of the ranges that give each thread an equal part of `count` things; for kernels that sum nothing over a range.

    least: no range but the last is smaller. threads: how many share the work, all when None.
    """
    return max(least, -(-count // max(1, threads or thread_count())))


def parallel_ranges(kernel: Callable[..., Any], count: int, size: int, *arguments: Any) -> None:
    """Call `kernel(begin, end, *arguments)` for each range of `size` in [0, count); the kernel releases the GIL."""
    parallel_pieces(kernel, [*range(0, count, size), count], *arguments)


def parallel_pieces(kernel: Callable[..., Any], bounds: Sequence[int], *arguments: Any) -> None:
    """Call `kernel(begin, end, *arguments)` for each pair of neighbours in `bounds`; the kernel releases the GIL."""
    pieces = iter(list(pairwise(bounds)))

    def work() -> None:
        for begin, end in pieces:  # next() on a list iterator is atomic under the GIL
            kernel(begin, end, *arguments)

    waits = [_aside(work) for _ in range(min(thread_count(), len(bounds) - 1) - 1)]
    work()
    for wait in waits:
        wait()


def beside(kernel: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Start `kernel(*arguments)` on another thread if there is one; calling what is returned waits and gives the result."""
    if thread_count() == 1:
        return lambda: kernel(*arguments)
    return _aside(lambda: kernel(*arguments))
