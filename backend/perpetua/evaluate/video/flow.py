"""Does the picture move as the truth does? Optical flow errors, in pixels, as Sintel and KITTI 2015 measure them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OUTLIER_PX, OUTLIER_SHARE = 3.0, 0.05
"""An outlier of KITTI is wrong by more than both."""


@dataclass(frozen=True)
class FlowErrors:
    """epe: mean length of the error, px.  fl_all: % of pixels wrong by more than 3 px and 5%.  over_1px: % wrong by more than 1 px."""

    epe: float
    fl_all: float
    over_1px: float


def flow_errors(flow: NDArray, truth: NDArray, where: NDArray[np.bool_] | None = None) -> FlowErrors | None:
    """Of flow [..., 2] px at the pixels ``where`` [...] says, or all; None if that is none."""
    error = np.linalg.norm(flow.astype(np.float64) - truth, axis=-1)
    length = np.linalg.norm(truth.astype(np.float64), axis=-1)
    if where is not None:
        error, length = error[where], length[where]
    if error.size == 0:
        return None
    outlier = (error > OUTLIER_PX) & (error > OUTLIER_SHARE * length)
    return FlowErrors(float(error.mean()), 100 * float(outlier.mean()), 100 * float((error > 1).mean()))
