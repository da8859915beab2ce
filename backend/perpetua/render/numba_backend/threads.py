"""Running a kernel over ranges of tiles or Gaussians on a few threads.

What is computed for a tile or a Gaussian never depends on its neighbours in a range, nor on which thread takes the
range, and sums are made in one place in a fixed order: no byte of a result depends on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perpetua.errors import RenderError

GAUSSIANS_A_RANGE = 4096
"""Where sums are made a range at a time: the ranges, and with them the rounding, are the same for any number of threads."""

WAKING_PAYS = 2048
"""Gaussians whose work costs about as much as waking a thread (60 us), for kernels with tens of operations for each."""
WAKING_PAYS_FOR_COPIES = 16384
"""The same for kernels that do little but move a row."""

_lock = Lock()
_pool: ThreadPoolExecutor | None = None
_threads: int | None = None


def _start_anew_after_fork() -> None:
    """A forked child has the parent's pool but none of its threads, and would wait for them forever."""
    global _lock, _pool
    _lock, _pool = Lock(), None


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_start_anew_after_fork)


def thread_count() -> int:
    """Threads in use: what `set_threads` chose, else as many as torch uses (which OMP_NUM_THREADS sets)."""
    return torch.get_num_threads() if _threads is None else _threads


def set_threads(count: int | None) -> None:
    """Use `count` threads from now on (None: as many as torch uses)."""
    global _threads, _pool
    if count is not None and count < 1:
        raise RenderError(f"the renderer needs at least one thread, not {count}")
    with _lock:
        _threads = count
        if _pool is not None:
            _pool.shutdown(wait=True)
            _pool = None


def _workers(count: int) -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, count), thread_name_prefix="render")
        return _pool


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

    helpers = min(thread_count(), len(bounds) - 1) - 1
    if helpers <= 0:
        work()
        return
    pool = _workers(thread_count() - 1)
    futures = [pool.submit(work) for _ in range(helpers)]
    work()
    for future in futures:
        future.result()


def beside(kernel: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Start `kernel(*arguments)` on another thread if there is one; calling what is returned waits and gives the result."""
    if thread_count() == 1:
        return lambda: kernel(*arguments)
    return _workers(thread_count() - 1).submit(kernel, *arguments).result
