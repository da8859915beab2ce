"""What stands on the plane stays level: rigid bodies that a correction would tilt a little off their support.

A video's warp of a pixel looks like a tilt of some degrees. A body that is handed on so has a corner in the table, which throws it
out, or falls back from an edge. So while the simulator has it standing there, its foot stays level, unless the videos clearly say otherwise:
the price of a foot's height d over its mean is bounded, W d^2 / (1 + d^2 / s^2) (Geman and McClure 1987). Lifting it costs nothing.
"""

from __future__ import annotations

from numpy.typing import NDArray
from torch import Tensor

from perpetua.scene.scene import Body, Scene

STANDING_WEIGHT = 0.4
"""Price of a mean squared change of a foot's level of one particle spacing, as long as it is small."""
CLEARLY = 0.5
"""s, in particle spacings: a foot that is so far off pays half of the most there is to pay."""
TOUCHES = 0.2
"""Spacings above its height at rest up to which a body's lowest particles stand on the plane."""
FOOT = 0.3
"""Spacings above the lowest particle up to which others stand too."""


class Standing:
    """The price of tilting a rigid body off its foot. mine: [p] int64, its particles."""

    def __init__(self, scene: Scene, mine: Tensor) -> None:
        self.mine, self.spacing = mine, scene.spacing
        self.rests_at = float(scene.particles.positions[mine.cpu().numpy(), 2].min())

    def __call__(self, simulated: Tensor, corrected: Tensor) -> Tensor:
        """From all particles' places [P, 3] m in a frame, before and after the correction."""
        before = simulated[self.mine, 2]
        low = float(before.min())
        if low > self.rests_at + TOUCHES * self.spacing:
            return corrected.new_zeros(())
        foot = before < low + FOOT * self.spacing
        lifted = (corrected[self.mine, 2] - before)[foot] / self.spacing
        off = (lifted - lifted.mean()).square()
        return STANDING_WEIGHT * (off / (1 + off / CLEARLY**2)).mean()


def lowest(body: Body, rest: NDArray, now: NDArray, turn: NDArray) -> float:
    """m: the lowest point of a rigid body's surface where its particles, ``rest`` [p, 3] m at first, are at ``now`` [p, 3] m, turned
    by ``turn`` [3, 3]; that of its particles if it has no surface."""
    if not len(body.vertices):
        return float(now[:, 2].min())
    return float(((body.vertices - rest.mean(0)) @ turn.T)[:, 2].min() + now[:, 2].mean())
