"""How much of a kernel's arithmetic is done on whole vectors: what a change that breaks vectorisation loses, seen without a clock."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numba

from perpetua.errors import RenderError

LEAST = 0.75
"""Share below which a kernel counts as no longer vectorised; what is left to single numbers beside the lanes is a quarter at most."""
# Of LLVM's optimised code: "%3 = fadd nsz contract <16 x float> %1, %2", and the same with "float".
_ARITHMETIC = re.compile(r"= f(?:add|sub|mul|div) (?:[a-z]+ )*(?:<(\d+) x )?(?:float|double)\b")


def vector_share(kernel: Any) -> float:
    """Share, 0 to 1, of the additions, subtractions, products and quotients in the compiled code of `kernel` that are parts of
    one on a whole vector, each lane counted as one, for the types of its first call. Compiles the kernel anew (up to 3 s): numba
    tells nothing about code that it loaded from disk.

    Raises:
        RenderError: `kernel` was not called in this process yet, or calculates nothing.
    """
    if not kernel.signatures:
        raise RenderError(f"{kernel.__name__} was not called yet, so its types are unknown: draw first")
    types = kernel.signatures[0]
    rules = {name: value for name, value in kernel.targetoptions.items() if name != "nopython"}
    anew = numba.njit(**rules)(kernel.py_func)
    anew.compile(types)
    lanes = [int(found or 1) for found in _ARITHMETIC.findall(anew.inspect_llvm(types))]
    if not lanes:
        raise RenderError(f"{kernel.__name__} calculates nothing with floating-point numbers")
    return sum(count for count in lanes if count > 1) / sum(lanes)


@cache
def vector_shares() -> dict[str, float]:
    """Of the kernels that are written for vectors, by name."""
    from perpetua.render.numba_backend.composite import composite_forward
    from perpetua.render.numba_backend.composite_backward import composite_backward, sum_slots

    return {
        kernel.__name__: vector_share(kernel) for kernel in (composite_forward, composite_backward, sum_slots)
    }


def check(shares: dict[str, float]) -> None:
    """Raises:
    RenderError: a kernel lost its vectors; named, with its share.
    """
    lost = [f"{name} ({share:.0%})" for name, share in shares.items() if share < LEAST]
    if lost:
        raise RenderError(
            f"no longer calculated in vectors: {', '.join(lost)}; it is several times slower so. What keeps the lanes in one "
            "register is said in render/numba_backend/lanes.py and at the loops"
        )
