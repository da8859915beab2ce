"""Running a kernel over ranges of tiles or Gaussians on a few threads.

The ranges, and what is computed in each, never depend on the number of threads, so neither does any byte of the result.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import torch

from perpetua.errors import RenderError

_lock = Lock()
_pool: ThreadPoolExecutor | None = None
_threads: int | None = None


def thread_count() -> int:
    """Threads in use: what `set_threads` chose, else torch's number, and never more than this process may run on."""
    if _threads is not None:
        return _threads
    return max(1, min(torch.get_num_threads(), len(os.sched_getaffinity(0))))


def set_threads(count: int | None) -> None:
    """Use `count` threads from now on (None: decide from torch's setting and the machine)."""
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


def parallel_ranges(kernel: Callable[..., Any], count: int, size: int, *arguments: Any) -> None:
    """Call `kernel(begin, end, *arguments)` for each range of `size` in [0, count); the kernel releases the GIL."""
    begins = iter(range(0, count, size))

    def work() -> None:
        for begin in begins:  # next() on a range iterator is atomic under the GIL
            kernel(begin, min(begin + size, count), *arguments)

    helpers = min(thread_count(), -(-count // size)) - 1
    if helpers <= 0:
        work()
        return
    pool = _workers(thread_count() - 1)
    futures = [pool.submit(work) for _ in range(helpers)]
    work()
    for future in futures:
        future.result()
