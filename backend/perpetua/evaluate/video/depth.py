"""Is everything as far away as it should be? Depth along the optical axis, in metres, as single-image depth is commonly measured
(Eigen et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR_M, FAR_M = 0.1, 10.0
"""True depth outside of this is not measured."""
DELTA = 1.25


@dataclass(frozen=True)
class DepthErrors:
    """abs_rel: mean |d - d*| / d*.  rmse: m.  delta1 to delta3: share of pixels with max(d/d*, d*/d) under 1.25, 1.25^2, 1.25^3."""

    abs_rel: float
    rmse: float
    delta1: float
    delta2: float
    delta3: float


def measured(depth: NDArray, truth: NDArray) -> NDArray[np.bool_]:
    """Where both [...] have a depth that is measured."""
    return (truth >= NEAR_M) & (truth <= FAR_M) & np.isfinite(depth) & (depth > 0)


def coverage(depth: NDArray, truth: NDArray) -> float:
    """Share of the pixels with true depth that have a predicted one."""
    there = (truth >= NEAR_M) & (truth <= FAR_M)
    return float(measured(depth, truth).sum() / max(1, there.sum()))


def median_scale(depth: NDArray, truth: NDArray) -> float:
    """The factor that gives a clip's depth [T, H, W] the truth's median, both over all its measured pixels."""
    valid = measured(depth, truth)
    return float(np.median(truth[valid]) / np.median(depth[valid]))


def depth_errors(depth: NDArray, truth: NDArray) -> DepthErrors | None:
    """Over all measured pixels of [..., H, W] m; None if there is none."""
    valid = measured(depth, truth)
    if not valid.any():
        return None
    d, true = depth[valid].astype(np.float64), truth[valid].astype(np.float64)
    ratio = np.maximum(d / true, true / d)
    return DepthErrors(
        float((np.abs(d - true) / true).mean()),
        float(np.sqrt(((d - true) ** 2).mean())),
        *(float((ratio < DELTA**power).mean()) for power in (1, 2, 3)),
    )
