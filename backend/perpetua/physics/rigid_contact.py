# mypy: disable-error-code="no-untyped-def, valid-type"
"""Soft matter against rigid bodies of any shape: where their surfaces are, with friction, and with both masses.

To each particle near a rigid body its surface is the plane that lies nearest, and stops the nodes at and behind that plane which the
particle reaches: they may approach it only as fast as the nearest of these particles would meet it within the substep (as for the
plane z = 0, ``contact.py``). Seen from the particles a thin board has one side, whatever nodes lie beyond it. The impulse that this takes acts on the rigid body at the
node, equal and opposite. Nodes that touch one body in a substep share it: with their mass m in all and the body's M, each takes
M / (M + m) of its relative velocity, an inelastic collision of the two, so that a light body on heavy matter does not
kick back and forth.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.shared_kernels import Shared, floats, integers, matrices, shared_kernels, vectors
from perpetua.physics.signed_distance import DistanceGrid

NEAR_CELLS = 0.5
"""Nodes closer to a particle's plane than this, or behind it, are stopped by it."""

PUSH_OUT = 0.02
"""Share of an overlap that is undone in a substep: what shares its mass sinks in by g dt in each under its own weight."""

FAR = 1e9


@shared_kernels
class RigidContact(Shared):
    """The surfaces of R rigid bodies, about their centres of mass. grids: each body's distances, all of the same resolution.
    masses: [R] kg.  friction: [R]. R may be 0."""

    def __init__(self, grids: list[DistanceGrid], masses: NDArray, friction: NDArray) -> None:
        self.bodies = len(grids)
        room, nodes = max(1, self.bodies), grids[0].values.shape if grids else (1, 1, 1)
        self.count = integers()
        self.count[None] = self.bodies
        self.values = floats(room, *nodes)
        self.origin = vectors(3, room)
        self.cell = floats(room)
        self.mass = floats(room)
        self.friction = floats(room)
        self.centre = vectors(3, room)
        self.rotation = matrices(3, room)
        self.velocity = vectors(3, room)
        self.spin = vectors(3, room)
        self.touching = floats(room)
        self.shared = floats(room)
        self.impulse = vectors(6, room)
        """What soft matter did to each body in a substep: N s at its centre and N m s about it."""
        if not grids:
            return
        self.values.from_numpy(np.stack([g.values for g in grids]).astype(np.float32))
        self.origin.from_numpy(np.stack([g.origin for g in grids]).astype(np.float32))
        self.cell.from_numpy(np.array([g.cell for g in grids], np.float32))
        self.set_masses(masses)
        self.set_friction(friction)

    def set_masses(self, masses: NDArray) -> None:
        """masses: [R] kg, from now on."""
        self.mass.from_numpy(np.asarray(masses, np.float32))

    def set_friction(self, friction: NDArray) -> None:
        """friction: [R], from now on."""
        self.friction.from_numpy(np.asarray(friction, np.float32))

    def place(self, centres: NDArray, rotations: NDArray, velocities: NDArray, spins: NDArray) -> None:
        """The bodies' motion now, [R, 3] m, [R, 3, 3], [R, 3] m/s and rad/s; forgets the impulses."""
        self.centre.from_numpy(centres.astype(np.float32))
        self.rotation.from_numpy(rotations.astype(np.float32))
        self.velocity.from_numpy(velocities.astype(np.float32))
        self.spin.from_numpy(spins.astype(np.float32))
        self.impulse.from_numpy(np.zeros((self.bodies, 6), np.float32))

    def impulses(self) -> NDArray[np.float64]:
        """[R, 6]: N s and N m s that soft matter gave each body in the substep."""
        self.share()
        return np.asarray(self.impulse.to_numpy(), np.float64)

    def forget(self) -> None:
        """A new state: nothing touches yet."""
        for field in (self.touching, self.shared):
            field.from_numpy(np.zeros(max(1, self.bodies), np.float32))

    @qd.func
    def value(self, r, local):
        """m, interpolated; outside of the grid its border's value and the way there."""
        at = (local - self.origin[r]) / self.cell[r]
        inside = qd.min(qd.max(at, 0.0), self.values.shape[1] - 1.001)
        base = qd.cast(qd.floor(inside), qd.i32)
        t = inside - qd.cast(base, qd.f32)
        d = 0.0
        for i, j, k in qd.static(qd.ndrange(2, 2, 2)):
            w = (t[0] if i else 1.0 - t[0]) * (t[1] if j else 1.0 - t[1]) * (t[2] if k else 1.0 - t[2])
            d += w * self.values[r, base[0] + i, base[1] + j, base[2] + k]
        return d + (at - inside).norm() * self.cell[r]

    @qd.func
    def local(self, r, pos):
        return self.rotation[r].transpose() @ (pos - self.centre[r])

    @qd.func
    def nearest(self, pos):
        """The rigid body whose surface is nearest to ``pos`` [3] m, and the distance, negative inside."""
        which, least = 0, FAR
        for r in range(self.count[None]):
            d = self.value(r, self.local(r, pos))
            if d < least:
                which = r
                least = d
        return which, least

    @qd.func
    def outward(self, r, pos):
        """Unit normal, world axes, of the surface of body ``r`` nearest to ``pos`` [3] m."""
        local = self.local(r, pos)
        h = 0.5 * self.cell[r]
        n = qd.Vector.zero(qd.f32, 3)
        for c in qd.static(range(3)):
            step = qd.Vector([h if c == 0 else 0.0, h if c == 1 else 0.0, h if c == 2 else 0.0])
            n[c] = self.value(r, local + step) - self.value(r, local - step)
        return self.rotation[r] @ (n / qd.max(n.norm(), 1e-12))

    @qd.func
    def stop(self, r, n, pos, v, mass, gap, friction, dt):
        """The velocity ``v`` [3] m/s of a node of ``mass`` kg at ``pos`` that body ``r`` leaves it, ``gap`` m away along ``n``."""
        arm = pos - self.centre[r]
        relative = v - self.velocity[r] - self.spin[r].cross(arm)
        allowed = qd.max(gap, 0.0) / dt + PUSH_OUT * qd.min(gap, 0.0) / dt
        excess = -relative.dot(n) - allowed
        out = v
        if excess > 0.0:
            slip = relative - relative.dot(n) * n
            speed = slip.norm()
            mu = qd.sqrt(friction * self.friction[r])
            change = excess * n - slip * (qd.min(mu * excess, speed) / qd.max(speed, 1e-9))
            self.touching[r] += mass
            change *= self.mass[r] / (self.mass[r] + self.shared[r])
            out = v + change
            back = -mass * change
            turn = arm.cross(back)
            self.impulse[r] += qd.Vector([back[0], back[1], back[2], turn[0], turn[1], turn[2]])
        return out

    @qd.kernel
    def share(self):
        """The mass that touched each body in the substep before is what shares it in the next."""
        for r in range(self.count[None]):
            self.shared[r] = self.touching[r]
            self.touching[r] = 0.0
