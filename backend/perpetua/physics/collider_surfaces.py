# mypy: disable-error-code="no-untyped-def, valid-type"
"""Colliders as compiled kernels read them: their surfaces, where they are in a substep, and what they act on.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

import operator
from collections.abc import Sequence

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.motion import SURFACE_NODES, Collider
from perpetua.physics.moving_frames import MovingFrames
from perpetua.physics.shared_kernels import Shared, floats, integers, shared_kernels, vectors
from perpetua.physics.signed_distance import DistanceGrid


@shared_kernels
class ColliderSurfaces(Shared):
    """Up to ``capacity`` colliders of the matter of ``bodies`` [K] (the scene's numbers, in the order in which the kernels count them)."""

    def __init__(self, capacity: int, bodies: NDArray) -> None:
        self._capacity, self._bodies = capacity, bodies
        self.frames = MovingFrames(capacity)
        self.friction = floats(capacity)
        self.acts_on = integers(capacity, len(bodies))
        self.origin = vectors(3, capacity)
        self.cell = floats(capacity)
        self.values = floats(capacity, SURFACE_NODES, SURFACE_NODES, SURFACE_NODES)
        self._any = False
        self._written: list[DistanceGrid] = []

    @property
    def any(self) -> bool:
        """Whether there is a collider in this control step."""
        return self._any

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self.frames.set_substep(dt)

    def set(self, colliders: Sequence[Collider]) -> None:
        """Take over ``colliders`` for the control step that begins."""
        if not colliders and not self._any:
            return
        friction, cell = np.zeros((2, self._capacity), np.float32)
        origin = np.zeros((self._capacity, 3), np.float32)
        acts_on = np.zeros((self._capacity, len(self._bodies)), np.int32)
        for i, collider in enumerate(colliders):
            friction[i], acts_on[i] = collider.friction, collider.bodies[self._bodies]
            cell[i], origin[i] = collider.surface.cell, collider.surface.origin
        self.frames.set([collider.motion for collider in colliders])
        self.friction.from_numpy(friction)
        self.acts_on.from_numpy(acts_on)
        self.cell.from_numpy(cell)
        self.origin.from_numpy(origin)
        surfaces = [collider.surface for collider in colliders]
        same = len(surfaces) == len(self._written) and all(map(operator.is_, surfaces, self._written))
        if colliders and not same:
            self._written = surfaces
            values = np.zeros((self._capacity, SURFACE_NODES, SURFACE_NODES, SURFACE_NODES), np.float32)
            for i, collider in enumerate(colliders):
                values[i] = collider.surface.values
            self.values.from_numpy(values)
        self._any = bool(colliders)

    @qd.func
    def distance(self, a, pos):
        """Signed distance, m, of ``pos`` [3] m and the outward normal there, world axes."""
        rotation = self.frames.rotation[a]
        at = (rotation.transpose() @ (pos - self.frames.centre[a]) - self.origin[a]) / self.cell[a]
        inside = qd.min(qd.max(at, 0.0), SURFACE_NODES - 1.001)
        base = qd.cast(qd.floor(inside), qd.i32)
        t = inside - qd.cast(base, qd.f32)
        d = 0.0
        slope = qd.Vector.zero(qd.f32, 3)
        for i, j, k in qd.static(qd.ndrange(2, 2, 2)):
            value = self.values[a, base[0] + i, base[1] + j, base[2] + k]
            wx, wy, wz = (t[0] if i else 1.0 - t[0]), (t[1] if j else 1.0 - t[1]), (t[2] if k else 1.0 - t[2])
            d += wx * wy * wz * value
            slope[0] += (2 * i - 1) * wy * wz * value
            slope[1] += (2 * j - 1) * wx * wz * value
            slope[2] += (2 * k - 1) * wx * wy * value
        normal = rotation @ slope
        return d + (at - inside).norm() * self.cell[a], normal / qd.max(normal.norm(), 1e-12)
