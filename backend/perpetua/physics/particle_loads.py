# mypy: disable-error-code="no-untyped-def, valid-type"
"""The actions of ``forces``, compiled: added to every MPM particle's velocity before every substep.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values. Import this module
after Genesis has been started.
"""

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.forces import PUSH, WIND, WIND_CORE, Load


@qd.data_oriented
class ParticleLoads:
    """The same on every MPM particle before every substep, with values that change without compiling anew.

    ``capacity`` actions at once over ``bodies`` bodies. ``other_mass`` is the pushed mass outside MPM (rigid bodies);
    ``own_mass`` and ``touched`` are read back.
    """

    def __init__(self, capacity: int, bodies: int, dt: float) -> None:
        self.dt = dt
        self.count = qd.field(qd.i32, shape=())
        self.kind = qd.field(qd.i32, shape=capacity)
        self.centre = qd.Vector.field(3, qd.f32, shape=capacity)
        self.vector = qd.Vector.field(3, qd.f32, shape=capacity)
        self.reach = qd.field(qd.f32, shape=capacity)
        self.drag = qd.field(qd.f32, shape=capacity)
        self.acts_on = qd.field(qd.i32, shape=(capacity, bodies))
        self.other_mass = qd.field(qd.f32, shape=capacity)
        self.own_mass = qd.field(qd.f32, shape=capacity)
        self.keep = qd.field(qd.f32, shape=bodies)
        self.capacity, self.bodies = capacity, bodies
        self.set_damping(np.ones(bodies))
        self.set_loads([], np.zeros(0))

    def set_loads(self, loads: list[Load], other_mass: NDArray) -> None:
        """Take over ``loads``; ``other_mass`` [L] kg is what each push shares with matter outside MPM."""
        self.count[None] = len(loads)
        kind, reach = np.zeros(self.capacity, np.int32), np.ones(self.capacity, np.float32)
        drag, other = np.zeros(self.capacity, np.float32), np.zeros(self.capacity, np.float32)
        centre, vector = np.zeros((2, self.capacity, 3), np.float32)
        acts_on = np.zeros((self.capacity, self.bodies), np.int32)
        for i, item in enumerate(loads):
            kind[i], reach[i], drag[i], other[i] = item.kind, item.reach, item.drag, other_mass[i]
            centre[i], vector[i], acts_on[i] = item.centre, item.vector, item.bodies
        for field, values in (
            (self.kind, kind),
            (self.reach, reach),
            (self.drag, drag),
            (self.other_mass, other),
            (self.centre, centre),
            (self.vector, vector),
            (self.acts_on, acts_on),
        ):
            field.from_numpy(values)

    def set_damping(self, keep: NDArray) -> None:
        """``keep`` [B]: share of its velocity that a body's particles keep each substep; 1 leaves it alone."""
        self.keep.from_numpy(np.asarray(keep, np.float32))

    @qd.func
    def weight(self, a, pos):
        share = qd.min((pos - self.centre[a]).norm() / self.reach[a], 1.0)
        edge = qd.max((share - WIND_CORE) / (1.0 - WIND_CORE), 0.0)
        w = 1.0 - edge * edge * (3.0 - 2.0 * edge)
        if self.kind[a] == PUSH:
            w = (1.0 - share * share) * (1.0 - share * share)
        return w

    @qd.kernel
    def apply(self, solver: qd.template(), body: qd.template(), mass: qd.template()):
        """Add dt times the acceleration of every action to the particles' velocities, then damp them."""
        for a in range(self.count[None]):
            self.own_mass[a] = 0.0
        for p in range(solver._n_particles):
            for a in range(self.count[None]):
                if self.kind[a] == PUSH and self.acts_on[a, body[p]] == 1:
                    pos = solver.particles[0, p, 0].pos
                    self.own_mass[a] += mass[body[p]] * self.weight(a, pos)
        for p in range(solver._n_particles):
            pos = solver.particles[0, p, 0].pos
            vel = solver.particles[0, p, 0].vel
            for a in range(self.count[None]):
                if self.acts_on[a, body[p]] == 1:
                    w = self.weight(a, pos)
                    if self.kind[a] == WIND:
                        vel += self.dt * self.drag[a] * w * (self.vector[a] - vel)
                    else:
                        total = self.own_mass[a] + self.other_mass[a]
                        if total > 0.0:
                            vel += self.dt * w / total * self.vector[a]
            keep = self.keep[body[p]]
            solver.particles[0, p, 0].vel = vel * keep
            solver.particles[0, p, 0].C = solver.particles[0, p, 0].C * keep
