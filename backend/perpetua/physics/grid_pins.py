# mypy: disable-error-code="no-untyped-def, valid-type"
"""Pins as matter on the grid meets them: nodes that move with the pin.

Every particle inside a pin's ball marks the nodes of its kernel, and a marked node of its body moves with the pin, v = V + A (x - c). A
particle whose nodes all do so follows the pin exactly, since its kernel reproduces a linear velocity field. Nothing is remembered: what
is in the ball is held, so a run that goes on from a saved state holds the same.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

from collections.abc import Sequence

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.matter import ONE_THREAD
from perpetua.physics.motion import Pin
from perpetua.physics.moving_frames import MovingFrames
from perpetua.physics.shared_kernels import Integers, Shared, floats, integers, shared_kernels


@shared_kernels
class GridPins(Shared):
    """Up to ``capacity`` pins of the matter of ``bodies`` [K] (the scene's numbers of the grid's fields) on ``cells`` [3] nodes from node
    ``lower`` [3]; cells of ``dx`` m."""

    def __init__(
        self,
        capacity: int,
        bodies: NDArray,
        lower: tuple[int, int, int],
        cells: tuple[int, int, int],
        dx: float,
    ) -> None:
        self._capacity, self._bodies = capacity, bodies
        self.lower, self.dx = integers(3), floats()
        self.lower.from_numpy(np.array(lower, np.int32))
        self.dx[None] = dx
        self.frames = MovingFrames(capacity)
        self.stamp = integers()
        self.reach = floats(capacity)
        self.acts_on = integers(capacity, len(bodies))
        self.mark = integers(len(bodies), *cells)
        """stamp * capacity + pin where a pin holds a node; another stamp is of an earlier substep."""
        self.any = False
        self._stamp = 0

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self.frames.set_substep(dt)

    def set(self, pins: Sequence[Pin]) -> None:
        """Take over ``pins`` for the control step that begins."""
        if not pins and not self.any:
            return
        reach = np.zeros(self._capacity, np.float32)
        acts_on = np.zeros((self._capacity, len(self._bodies)), np.int32)
        for i, pin in enumerate(pins):
            reach[i], acts_on[i] = pin.reach, pin.bodies[self._bodies]
        self.frames.set([pin.motion for pin in pins])
        self.reach.from_numpy(reach)
        self.acts_on.from_numpy(acts_on)
        self.any = bool(pins)

    def before_substep(self, matter, field) -> None:
        """Mark the nodes of what is held now; ``field`` [P] is each particle's."""
        if self.any:
            self._stamp += 1
            self.stamp[None] = self._stamp
            self._hold(matter, field)

    @qd.kernel
    def _hold(self, matter: qd.template(), field: Integers):
        self.frames.advance()
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(matter.pos.shape[0]):
            pos = matter.pos[p]
            k = field[p]
            for a in range(self.frames.count[None]):
                near = (pos - self.frames.centre[a]).norm() <= self.reach[a]
                if near and self.acts_on[a, k] == 1 and matter.active[p] == 1:
                    base = qd.cast(qd.floor(pos / self.dx[None] - 0.5), qd.i32)
                    for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                        qd.atomic_max(
                            self.mark[
                                k,
                                base[0] - self.lower[0] + i,
                                base[1] - self.lower[1] + j,
                                base[2] - self.lower[2] + l,
                            ],
                            self.stamp[None] * self.reach.shape[0] + a,
                        )

    @qd.func
    def stop(self, k, x, y, z, pos, vel):
        """The velocity [3] m/s of a node of body field ``k`` at ``pos`` [3] m: its pin's where one holds it, else ``vel``."""
        out = vel
        if self.frames.count[None] > 0:
            mark = self.mark[k, x, y, z]
            capacity = self.reach.shape[0]
            if mark // capacity == self.stamp[None]:
                out = self.frames.velocity_at(mark % capacity, pos)
        return out
