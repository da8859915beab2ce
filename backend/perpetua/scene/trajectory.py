"""How particles moved during a round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Trajectory:
    """T + 1 frames of P particles; frame 0 is the state the round started from.

    positions: [T + 1, P, 3], m.  F: [T + 1, P, 3, 3], the *whole* deformation since the picture (rotation, elastic and
    plastic), which moves the splats' covariances; a rotation for rigid bodies, zero while a particle is not there.  times: [T + 1], s since the picture.
    """

    positions: Array
    F: Array
    times: NDArray[np.float64]

    def __post_init__(self) -> None:
        frames, particles = self.positions.shape[:2]
        if self.F.shape != (frames, particles, 3, 3) or self.times.shape != (frames,):
            raise ValueError(
                f"Trajectory shapes disagree: positions {self.positions.shape}, F {self.F.shape}, times {self.times.shape}"
            )

    @property
    def frames(self) -> int:
        """Number of frames, the start included."""
        return len(self.positions)
