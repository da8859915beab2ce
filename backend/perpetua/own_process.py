"""How a process of this program begins. A program that only imports the library keeps its own settings.

Memory: glibc gives the end of its heap back to the system as soon as a few hundred kilobytes there are free, and takes arrays
above some size from the system anew. An image and its gradients are freed in every pass of an optimisation and needed in the next,
and each of their pages is then fetched and cleared again: 2,300 page faults for forward and backward of 20,000 Gaussians at 640 x 360,
which is 5 of 33 ms, and in the kernel, where two threads wait for each other. With `begin` there are 10.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h, M_...
_KEPT_BYTES = 256 * 2**20  # that may lie unused at the heap's end: two passes of 300,000 Gaussians
_HEAP_BYTES = 32 * 2**20  # arrays up to here live in the heap; glibc takes no larger number


def begin() -> None:
    """Set this process up; call it before torch is imported. What processes that it starts inherit is the environment only."""
    # Threads that spin while they wait make the CPU rasteriser several times slower; read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """As said above, where the C library can be told."""
    if os.name != "posix":  # Windows has no library of the process itself to ask
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # macOS and musl have none
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _HEAP_BYTES)
