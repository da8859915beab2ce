"""Memory that a call needs only while it runs, kept for the next call.

The partial sums of a backward pass take tens of megabytes. Fresh from the system, every page of them is first cleared: a
fifth of the whole pass at 300,000 Gaussians, and the part that threads cannot share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

ROW = 16  # float32 in a cache line
_MOST_KEPT = 64 * 2**20  # float32; a larger call gives its memory back
_kept: deque[np.ndarray] = deque(maxlen=1)  # its operations are atomic


def aligned_rows(count: int, columns: int) -> np.ndarray:
    """[count, columns rounded up to 16] float32 whose rows begin where cache lines do."""
    return _rows(np.empty(_size(count, columns), np.float32), count, columns)


@contextmanager
def borrowed_rows(count: int, columns: int) -> Iterator[np.ndarray]:
    """`aligned_rows` that hold anything at first, and are lent for the length of a `with`.

    One piece of memory, the latest, is kept; calls at the same time have their own.
    """
    try:
        memory = _kept.pop()
    except IndexError:  # another call has it, or none has been
        memory = np.empty(0, np.float32)
    if len(memory) < _size(count, columns):
        memory = np.empty(_size(count, columns), np.float32)
    try:
        yield _rows(memory, count, columns)
    finally:
        if len(memory) <= _MOST_KEPT:
            _kept.append(memory)


def _size(count: int, columns: int) -> int:
    return count * ROW * -(-columns // ROW) + ROW


def _rows(memory: np.ndarray, count: int, columns: int) -> np.ndarray:
    width = ROW * -(-columns // ROW)
    skip = -(memory.ctypes.data // 4) % ROW
    return memory[skip : skip + count * width].reshape(count, width)
