"""How sure a mean over clips is: percentile bootstrap (Efron 1979), paired where two predictions are compared on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES, SEED = 10_000, 0


@dataclass(frozen=True)
class Interval:
    """mean, the 95% interval of it, and of how many clips. One clip has no interval."""

    mean: float
    ci95: tuple[float, float] | None
    clips: int


def bootstrap(values: Sequence[float]) -> Interval | None:
    """Of a mean; None without values. Give differences, clip by clip, for a paired comparison."""
    data = np.asarray(values, np.float64)
    if data.size == 0:
        return None
    if data.size == 1:
        return Interval(float(data[0]), None, 1)
    chosen = np.random.default_rng(SEED).integers(0, data.size, (RESAMPLES, data.size))
    low, high = np.percentile(data[chosen].mean(1), (2.5, 97.5))
    return Interval(float(data.mean()), (float(low), float(high)), data.size)
