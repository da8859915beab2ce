"""How much of a kernel's arithmetic is done on whole vectors: what a change that breaks vectorisation loses, seen without a clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numba

from perpetua.errors import RenderError
from perpetua.render.numba_backend.lanes import LANES

LEAST = {"composite_forward": 0.86, "composite_backward": 0.5, "sum_slots": 0.18}
"""Shares below which a kernel counts as no longer vectorised. As they are written they have 0.88, 0.54 to 0.63 and 0.21, by the
processor that is compiled for; what is left to single numbers is done once a pixel, a Gaussian or a pair. With one stage of a block's loop
written number by number (the sums of channels, exp2, the blocks that are touched, the gradient of alpha) they have at most 0.84 and 0.44,
and take up to 2.5 times as long. Who changes the arithmetic of a kernel on purpose measures it and sets its figure anew."""
# Of LLVM's optimised code: "%3 = fadd nsz contract <16 x float> %1, %2", the same with "float", and "%4 = call float @powf(".
_ARITHMETIC = re.compile(
    r"= (?:f(?:add|sub|mul|div) (?:[a-z]+ )*(?:<(\d+) x )?|(?:tail )?call (?:[a-z]+ )*)(?:float|double)\b"
)


def vector_share(kernel: Any) -> float:
    """Share, 0 to 1, of the additions, subtractions, products, quotients and calls of functions in the compiled code of `kernel` that are
    of a whole vector, for the types of its first call. Each counts one, however many lanes it has: what is taken out of the lanes is one
    instruction in a loop of sixteen, and would hide behind the lanes that are left. Compiles the kernel anew (up to 3 s): numba tells
    nothing about code that it loaded from disk.

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
    return sum(count >= LANES for count in lanes) / len(lanes)


@cache
def vector_shares() -> dict[str, float]:
    """Of the kernels that are written for vectors, by name."""
    from perpetua.render.numba_backend.composite import composite_forward
    from perpetua.render.numba_backend.composite_backward import composite_backward, sum_slots

    return {
        kernel.__name__: vector_share(kernel) for kernel in (composite_forward, composite_backward, sum_slots)
    }


def check(shares: Mapping[str, float], least: Mapping[str, float] = LEAST) -> None:
    """Raises:
    RenderError: a kernel lost vectors; named, with its share and the least that it should have.
    """
    lost = [
        f"{name} ({share:.0%}, should be {least[name]:.0%})"
        for name, share in shares.items()
        if share < least[name]
    ]
    if lost:
        raise RenderError(
            f"no longer calculated in vectors: {', '.join(lost)}; which takes longer. What keeps the lanes in one "
            "register is said in render/numba_backend/lanes.py and at the loops"
        )
