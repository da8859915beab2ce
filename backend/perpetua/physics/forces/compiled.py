# mypy: disable-error-code="no-untyped-def, valid-type"
"""The forces of this package, compiled: added to matter's velocity before every substep, with values that never compile anew.

One set of rows serves all matter of a world. Each substep the engine's parts first let every push weigh what it touches
(``forget`` and then ``weigh...`` of each kind of matter), and then apply the forces:

    v <- (v + dt g) / (1 + dt (k + q |v'|))      for one force after another, with its pull g and resistance k, q (``api``)

with gravity taken before the first and given back after the last, for the engine adds it later: what falls against a drag then does so
at exactly the speed that balances them.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values. Import this module
after Genesis has been started.
"""

import math
from collections.abc import Sequence

import numpy as np
import quadrants as qd
from genesis.utils import array_class  # noqa: TID253
from genesis.utils.geom import qd_transform_by_quat  # noqa: TID253
from numpy.typing import NDArray

from perpetua.physics.forces.api import Force
from perpetua.physics.forces.fading import SPHERE, TUBE
from perpetua.physics.forces.push import PUSH
from perpetua.physics.forces.radial import RADIAL
from perpetua.physics.forces.turbulence import TURBULENCE, WAVES
from perpetua.physics.forces.vortex import VORTEX
from perpetua.physics.forces.wind import CORE, WIND
from perpetua.physics.matter import ONE_THREAD
from perpetua.physics.shared_kernels import (
    Floats,
    Integers,
    Shared,
    Vectors,
    floats,
    integers,
    shared_kernels,
    vectors,
)

FACTOR = math.sqrt(2.0 / WAVES)
DEGREES = 180.0 / math.pi

# columns of a row
KIND, STRENGTH, INFLOW, LINEAR, QUADRATIC, REACH = range(6)
SHAPE, SIDE, POWER, LEAST, MOST, RADIAL_POWER, RADIAL_LEAST, RADIAL_MOST = range(6, 14)
CENTRE, AXIS, VECTOR = 14, 17, 20
COLUMNS = 23


@qd.func
def rigid_point(links: array_class.LinksState, arm, link, lift):
    """Where a point of a rigid body is seen, ``lift`` m above where Genesis has it, and how it moves; ``arm`` is measured at
    rest from the body's frame."""
    turned = qd_transform_by_quat(arm, links.quat[link, 0])
    pos = links.pos[link, 0] + turned
    vel = links.cd_vel[link, 0] + links.cd_ang[link, 0].cross(pos - links.root_COM[link, 0])
    return pos + qd.Vector([0.0, 0.0, lift]), vel


@shared_kernels
class CompiledForces(Shared):
    """Up to ``capacity`` forces at once on ``bodies`` bodies, over substeps of ``dt`` s."""

    def __init__(self, capacity: int, bodies: int, dt: float) -> None:
        self._capacity, self._bodies = capacity, bodies
        self.dt = floats()
        self.set_substep(dt)
        self.count = integers()
        self.rows = floats(capacity, COLUMNS)
        self.waves = floats(capacity, WAVES, 7)
        self.acts_on = integers(capacity, bodies)
        self.total = floats(capacity)
        self.keep = floats(bodies)
        self.gravity = vectors(3)
        self.any, self.pushing, self.damping = False, False, False
        self._written: bytes = b""
        self.set_damping(np.ones(bodies))
        self.set_forces([])

    def set_forces(self, forces: Sequence[Force]) -> None:
        """Take over ``forces`` for the substeps to come."""
        rows = np.zeros((self._capacity, COLUMNS), np.float32)
        waves = np.zeros((self._capacity, WAVES, 7), np.float32)
        acts_on = np.zeros((self._capacity, self._bodies), np.int32)
        for i, force in enumerate(forces):
            row, fading = force.row(), force.row().fading
            rows[i, :6] = row.kind, row.strength, row.inflow, row.linear, row.quadratic, row.reach
            rows[i, 6:10] = fading.shape, fading.side, fading.power, fading.least
            rows[i, 10:14] = fading.most, fading.radial_power, fading.radial_least, fading.radial_most
            rows[i, 14:23] = np.concatenate([row.centre, row.axis, row.vector])
            if row.waves is not None:
                waves[i] = row.waves
            acts_on[i] = force.bodies
        self.any = bool(forces)
        self.pushing = any(force.row().kind == PUSH for force in forces)
        written = rows.tobytes() + waves.tobytes() + acts_on.tobytes() + bytes([len(forces)])
        if written != self._written:
            self._written = written
            self.count[None] = len(forces)
            self.rows.from_numpy(rows)
            self.waves.from_numpy(waves)
            self.acts_on.from_numpy(acts_on)

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self.dt[None] = dt

    def set_gravity(self, gravity: NDArray) -> None:
        """gravity: [3] m/s^2, which the engine adds in the same substep."""
        self.gravity.from_numpy(np.asarray(gravity, np.float32))

    def set_damping(self, keep: NDArray) -> None:
        """``keep`` [B]: share of its velocity that a body's particles keep each substep; 1 leaves it alone."""
        self.damping = bool((np.asarray(keep) != 1.0).any())
        self.keep.from_numpy(np.asarray(keep, np.float32))

    # -- the formulas ---------------------------------------------------------------------------------------------

    @qd.func
    def _vector(self, a, column):
        return qd.Vector([self.rows[a, column], self.rows[a, column + 1], self.rows[a, column + 2]])

    @qd.func
    def _faded(self, d, power, least, most):
        w = 1.0
        if d > most:
            w = 0.0
        elif d >= least and power > 0.0:
            w = qd.pow(1.0 + d - least, -power)
        return w

    @qd.func
    def weight(self, a, pos):
        """How strongly force ``a`` acts at ``pos``."""
        r = pos - self._vector(a, CENTRE)
        distance = r.norm()
        kind = qd.cast(self.rows[a, KIND], qd.i32)
        w = 1.0
        if kind == PUSH:
            share = qd.min(distance / self.rows[a, REACH], 1.0)
            w = (1.0 - share * share) * (1.0 - share * share)
        else:
            axis = self._vector(a, AXIS)
            along = r.dot(axis)
            shape = qd.cast(self.rows[a, SHAPE], qd.i32)
            power, least, most = self.rows[a, POWER], self.rows[a, LEAST], self.rows[a, MOST]
            if self.rows[a, SIDE] * along < 0.0:
                w = 0.0
            elif shape == SPHERE:
                w = self._faded(distance, power, least, most)
            else:
                radial = (r - along * axis).norm()
                if shape != TUBE:
                    radial = DEGREES * qd.atan2(radial, along)
                w = self._faded(qd.abs(along), power, least, most) * self._faded(
                    radial, self.rows[a, RADIAL_POWER], self.rows[a, RADIAL_LEAST], self.rows[a, RADIAL_MOST]
                )
            if kind == WIND and self.rows[a, REACH] > 0.0:
                share = qd.min(distance / self.rows[a, REACH], 1.0)
                edge = qd.max((share - CORE) / (1.0 - CORE), 0.0)
                w *= 1.0 - edge * edge * (3.0 - 2.0 * edge)
        return w

    @qd.func
    def after(self, a, pos, vel):
        """m/s of matter at ``pos`` with ``vel`` after force ``a`` of a substep."""
        kind = qd.cast(self.rows[a, KIND], qd.i32)
        w = self.weight(a, pos)
        out = vel
        if kind == PUSH:
            if self.total[a] > 0.0:
                out += self.dt[None] * w / self.total[a] * self._vector(a, VECTOR)
        elif w > 0.0:
            r = pos - self._vector(a, CENTRE)
            strength = self.rows[a, STRENGTH]
            pull = qd.Vector.zero(qd.f32, 3)
            if kind == WIND:
                pull = self._vector(a, VECTOR)
            elif kind == RADIAL:
                pull = strength * r / qd.max(r.norm(), 1e-12)
            elif kind == VORTEX:
                axis = self._vector(a, AXIS)
                pull = strength * axis.cross(r) - self.rows[a, INFLOW] * (r - r.dot(axis) * axis)
            elif kind == TURBULENCE:
                for m in range(WAVES):
                    phase = self.waves[a, m, 6]
                    for c in qd.static(range(3)):
                        phase += self.waves[a, m, c] * pos[c]
                    height = qd.cos(phase)
                    for c in qd.static(range(3)):
                        pull[c] += height * self.waves[a, m, 3 + c]
                pull *= FACTOR * strength
            part = self.dt[None] * w
            out += part * pull
            b = 1.0 + part * self.rows[a, LINEAR]
            q = part * self.rows[a, QUADRATIC]
            speed = out.norm()
            out /= b + q * 2.0 * speed / (b + qd.sqrt(b * b + 4.0 * q * speed))
        return out

    @qd.func
    def forced(self, pos, vel, body):
        """m/s of matter of ``body`` at ``pos`` with ``vel`` after all forces of a substep, gravity not yet added."""
        fall = self.dt[None] * self.gravity[None]
        out = vel + fall
        for a in range(self.count[None]):
            if self.acts_on[a, body] == 1:
                out = self.after(a, pos, out)
        return out - fall

    # -- matter ---------------------------------------------------------------------------------------------------

    @qd.kernel
    def forget(self):
        """Begin a substep: no push has weighed anything yet."""
        for a in range(self.count[None]):
            self.total[a] = 0.0

    @qd.kernel
    def weigh_mpm(self, solver: qd.template(), body: Integers, mass: Floats):
        """Add the MPM particles' masses [P] kg, by their weights, to what the pushes touch."""
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(solver.pos.shape[0]):
            for a in range(self.count[None]):
                there = self.acts_on[a, body[p]] == 1 and solver.active[p] == 1
                if qd.cast(self.rows[a, KIND], qd.i32) == PUSH and there:
                    self.total[a] += mass[p] * self.weight(a, solver.pos[p])

    @qd.kernel
    def apply_mpm(self, solver: qd.template(), body: Integers):
        """Add the forces' changes to the MPM particles' velocities, then damp them."""
        for p in range(solver.pos.shape[0]):
            if solver.active[p] == 1:
                vel = self.forced(solver.pos[p], solver.vel[p], body[p])
                keep = self.keep[body[p]]
                solver.vel[p] = vel * keep
                solver.C[p] = solver.C[p] * keep

    @qd.kernel
    def weigh_points(self, x: Vectors, body: Integers, mass: Floats, count: qd.i32):
        """Add the first ``count`` points' masses kg, by their weights, to what the pushes touch."""
        for p in range(count):
            for a in range(self.count[None]):
                if qd.cast(self.rows[a, KIND], qd.i32) == PUSH and self.acts_on[a, body[p]] == 1:
                    self.total[a] += mass[p] * self.weight(a, x[p])

    @qd.kernel
    def apply_points(self, x: Vectors, v: Vectors, body: Integers, count: qd.i32):
        """Add the forces' changes to the velocities of the first ``count`` points, then damp them."""
        for p in range(count):
            v[p] = self.forced(x[p], v[p], body[p]) * self.keep[body[p]]

    @qd.kernel
    def weigh_rigid(
        self,
        links: array_class.LinksState,
        arm: Vectors,
        link: Integers,
        body: Integers,
        mass: Floats,
        lift: Floats,
    ):
        """Add the rigid bodies' points, [P] of ``mass`` kg, by their weights, to what the pushes touch."""
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(arm.shape[0]):
            pos, _ = rigid_point(links, arm[p], link[p], lift[p])
            for a in range(self.count[None]):
                if qd.cast(self.rows[a, KIND], qd.i32) == PUSH and self.acts_on[a, body[p]] == 1:
                    self.total[a] += mass[p] * self.weight(a, pos)

    @qd.kernel
    def apply_rigid(
        self,
        links: array_class.LinksState,
        arm: Vectors,
        link: Integers,
        body: Integers,
        mass: Floats,
        lift: Floats,
    ):
        """Apply the forces on the rigid bodies' points as a wrench over the next substep."""
        for p in range(arm.shape[0]):
            l = link[p]
            pos, vel = rigid_point(links, arm[p], l, lift[p])
            force = mass[p] / self.dt[None] * (self.forced(pos, vel, body[p]) - vel)
            # Genesis subtracts what is applied, about the centre of mass of the tree, which is the body's own
            links.cfrc_applied_vel[l, 0] -= force
            links.cfrc_applied_ang[l, 0] -= (
                pos - qd.Vector([0.0, 0.0, lift[p]]) - links.root_COM[l, 0]
            ).cross(force)
