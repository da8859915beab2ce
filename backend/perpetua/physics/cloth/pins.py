# mypy: disable-error-code="no-untyped-def, valid-type"
"""Pins as cloth meets them: vertices that move with the pin whatever pulls at them.

Every vertex inside a pin's ball as a control step begins is welded to the pin over that step. Nothing is remembered: what is held stays
in the ball, so a run that goes on from a saved state holds the same.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values. Import this module
after Genesis has been started.
"""

from collections.abc import Sequence

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.cloth.sheet import Sheet, write
from perpetua.physics.motion import Pin
from perpetua.physics.moving_frames import MovingFrames
from perpetua.physics.shared_kernels import Shared, integers, shared_kernels

NOBODY = -1


@shared_kernels
class SheetPins(Shared):
    """Up to ``capacity`` pins of ``sheet``."""

    def __init__(self, capacity: int, sheet: Sheet) -> None:
        self.frames = MovingFrames(capacity)
        self._sheet, self._any = sheet, False
        self.holder = integers(sheet.body.shape[0])
        """Of each vertex the pin that holds it, or ``NOBODY``."""

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self.frames.set_substep(dt)

    def set(self, pins: Sequence[Pin], body: NDArray) -> NDArray[np.bool_]:
        """Take over ``pins`` for the control step that begins; ``body`` [n] is each vertex's. Returns which [n] they hold."""
        holder = np.full(len(body), NOBODY, np.int32)
        if pins or self._any:
            x = self._sheet.x.to_numpy()[: len(body)].astype(np.float64)
            for i, pin in enumerate(pins):
                holder[pin.holds(x, body)] = i
            self.frames.set([pin.motion for pin in pins])
            write(self.holder, holder)
            self._any = bool(pins)
            if not pins:
                self._sheet.lead.fill(0.0)  # what hangs stays where it is again
        return holder != NOBODY

    def before_substep(self) -> None:
        """Set the velocities at which what is held moves over the substep."""
        if self._any:
            self._lead(self._sheet)

    @qd.kernel
    def _lead(self, sheet: qd.template()):
        self.frames.advance()
        for i in range(sheet.n[None]):
            sheet.lead[i] = qd.Vector.zero(qd.f32, 3)
            if self.frames.count[None] > 0 and self.holder[i] != NOBODY:
                sheet.lead[i] = self.frames.velocity_at(self.holder[i], sheet.x[i])
