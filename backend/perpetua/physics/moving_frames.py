# mypy: disable-error-code="no-untyped-def, valid-type"
"""Keyed motions (``motion``) as compiled kernels read them, substep by substep.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

from collections.abc import Sequence

import numpy as np
import quadrants as qd

from perpetua.physics.motion import Motion
from perpetua.physics.shared_kernels import Shared, floats, integers, matrices, shared_kernels, vectors


@shared_kernels
class MovingFrames(Shared):
    """Up to ``capacity`` motions; ``set_substep`` comes before the first."""

    def __init__(self, capacity: int) -> None:
        self._capacity, self._substep_s = capacity, 0.0
        self.dt = floats()
        self.count = integers()
        self.substep = integers()
        """How many substeps of the control step have begun."""
        self.start = vectors(3, capacity)
        self.velocity = vectors(3, capacity)
        self.centre = vectors(3, capacity)
        self.rotation = matrices(3, capacity)
        self.turn = matrices(3, capacity)
        """By how much it turns in a substep."""

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self._substep_s = dt
        self.dt[None] = dt

    def set(self, motions: Sequence[Motion]) -> None:
        """Begin a control step with these motions."""
        start, velocity = np.zeros((2, self._capacity, 3), np.float32)
        rotation, turn = np.zeros((2, self._capacity, 3, 3), np.float32)
        for i, motion in enumerate(motions):
            start[i], velocity[i] = motion.centre, motion.velocity
            rotation[i], turn[i] = motion.rotation, motion.turn(self._substep_s)
        self.start.from_numpy(start)
        self.velocity.from_numpy(velocity)
        self.rotation.from_numpy(rotation)
        self.turn.from_numpy(turn)
        self.count[None] = len(motions)
        self.substep[None] = 0

    @qd.func
    def advance(self):
        """Go to the start of the next substep."""
        n = self.substep[None]
        for a in range(self.count[None]):
            self.centre[a] = self.start[a] + n * self.dt[None] * self.velocity[a]
            if n > 0:
                self.rotation[a] = self.turn[a] @ self.rotation[a]
        self.substep[None] = n + 1

    @qd.func
    def velocity_at(self, a, pos):
        """m/s that takes a point at ``pos`` [3] m that is welded to ``a`` exactly to where it is after the substep."""
        arm = pos - self.centre[a]
        return self.velocity[a] + (self.turn[a] @ arm - arm) / self.dt[None]
