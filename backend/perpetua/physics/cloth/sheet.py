# mypy: disable-error-code="no-untyped-def, valid-type"
"""The motion of cloth, compiled.

A substep is cut into steps. A step moves the vertices by gravity and bending, lets coarse nets pull them (``nets``), pulls every
spring towards its length (extended position based dynamics: Macklin et al. 2016, "XPBD"; one sweep a step: Macklin et al. 2019, "Small
steps in physics simulation"), takes vertices out of what they touch with Coulomb friction, and reads the velocity off the
motion. Being implicit along the springs it cannot explode: in too long a step they are only softer, and the nets take over what they lack.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values. Import this module
after Genesis has been started.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import quadrants as qd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from perpetua.physics.cloth.topology import MOST_COLOURS, Topology
from perpetua.physics.matter import ONE_THREAD
from perpetua.physics.shared_kernels import Shared, floats, integer_vectors, integers, shared_kernels, vectors

if TYPE_CHECKING:
    from perpetua.physics.cloth.nets import Net

AIR_DENSITY = 1.2
"""kg/m^3, at 20 degrees"""

NORMAL_DRAG = 1.2
"""Drag coefficient of a flat plate across the wind (Hoerner 1965, Fluid-Dynamic Drag)"""

ALONG_DRAG = 0.02
"""Drag coefficient of both faces of a plate along the wind"""

WALLS = 2
MATTER, COLLIDER = range(WALLS)
"""What a vertex may touch at once: matter, which is pushed back, and a collider, which is not."""

ROUNDING = 512
"""Room for vertices, springs and bending terms comes in such steps, so that sheets of a like size share compiled kernels."""


def room(count: int) -> int:
    return max(ROUNDING, -(-count // ROUNDING) * ROUNDING)


@shared_kernels
class Sheet(Shared):
    """The fields of all cloth of a world. x: [n] m, v: [n] m/s; held vertices move as ``lead`` [n] m/s says, whatever pulls at them."""

    def __init__(self, topology: Topology, bodies: int) -> None:
        n, e = len(topology.mass), len(topology.edges)
        meets = abs(topology.hinges)
        meets.data[:] = 1.0
        b = (meets.T @ meets).nnz
        self._count = n
        self.n = integers()
        self.x = vectors(3, room(n))
        self.v = vectors(3, room(n))
        self.way = vectors(3, room(n))
        self.before = vectors(3, room(n))
        self.air = vectors(3, room(n))
        self.normal = vectors(3, room(n))
        self.mass = floats(room(n))
        self.area = floats(room(n))
        self.weight = floats(room(n))  # 1 / mass; 0 where held
        self.body = integers(room(n))
        self.edge = integer_vectors(2, room(e))
        self.rest = floats(room(e))
        self.stiffness = floats(room(e))
        self.colour = integers(MOST_COLOURS + 1)
        self.bend_start = integers(room(n) + 1)
        self.bend_column = integers(room(b))
        self.bend_value = floats(room(b))
        self.faces = integers()
        self.face = integer_vectors(3, room(len(topology.faces)))
        self.lead = vectors(3, room(n))  # how held vertices move
        # contact: planes for each vertex that is near something, and what the vertex did to the matter behind
        self.touching = integers(WALLS, room(n))
        self.wall = vectors(3, WALLS, room(n))
        self.wall_normal = vectors(3, WALLS, room(n))
        self.wall_velocity = vectors(3, WALLS, room(n))
        self.wall_friction = floats(WALLS, room(n))
        self.impulse = vectors(3, room(n))
        self.friction = floats(bodies)
        self.fill(topology)

    def fill(self, t: Topology) -> None:
        """Take over the numbers of ``t``, which has the vertices, springs and hinges that this was made for."""
        self.n[None], self.faces[None] = len(t.mass), len(t.faces)
        for field, values in (
            (self.mass, t.mass), (self.area, t.area), (self.edge, t.edges), (self.rest, t.rest),
            (self.stiffness, t.stiffness), (self.face, t.faces), (self.colour, colour_starts(t)),
        ):  # fmt: skip
            write(field, values)
        write_rows(self.bend_start, self.bend_column, self.bend_value, t.bending)

    def set_held(self, held: NDArray) -> None:
        """held: [n] bool."""
        mass = self.mass.to_numpy()[: self._count]
        write(self.weight, np.where(held, 0.0, 1.0 / mass))

    @qd.kernel
    def touch_nothing(self, what: qd.i32):
        """Forget the planes of ``what``, one of ``MATTER`` and ``COLLIDER``."""
        for i in range(self.n[None]):
            self.touching[what, i] = 0

    # -- once a substep -------------------------------------------------------------------------------------------

    @qd.kernel
    def feel_air(self, dt: qd.f32):
        """The pressure of moving air on the sheet's faces, 0.5 rho C A |u_n| u_n along the normal and the like along it, with u the
        air's velocity relative to the cloth; taken at the end of the substep of ``dt`` s, so that it is stable however light the cloth."""
        for i in range(self.n[None]):
            self.normal[i] = qd.Vector.zero(qd.f32, 3)
        qd.loop_config(parallelize=ONE_THREAD)
        for f in range(self.faces[None]):
            a, b, c = self.face[f][0], self.face[f][1], self.face[f][2]
            n = (self.x[b] - self.x[a]).cross(self.x[c] - self.x[a])
            self.normal[a] += n
            self.normal[b] += n
            self.normal[c] += n
        for i in range(self.n[None]):
            if self.weight[i] > 0.0:
                n = self.normal[i] / qd.max(self.normal[i].norm(), 1e-20)
                u = self.air[i] - self.v[i]
                across = u.dot(n)
                along = u - across * n
                k = 0.5 * AIR_DENSITY * self.area[i] * self.weight[i] * dt
                kn = k * NORMAL_DRAG * qd.abs(across)
                kt = k * ALONG_DRAG * along.norm()
                self.v[i] = self.v[i] + kn / (1.0 + kn) * across * n + kt / (1.0 + kt) * along

    # -- the steps of a substep -----------------------------------------------------------------------------------

    def advance(
        self, dt: float, steps: int, gravity: NDArray, floor: float, nets: Sequence["Net"] = ()
    ) -> None:
        """A substep of ``dt`` s in ``steps`` under ``gravity`` [3] m/s^2; the plane z = 0 is met at the height ``floor`` m.

        The way since the substep's start is kept by itself: added to places at once, the small motion of a step would be rounded away.
        """
        self._begin()
        for net in nets:
            net.find(self)
        for _ in range(steps):
            self._set_out(dt / steps, *np.asarray(gravity, float).tolist())
            for net in nets:
                net.pull(self, dt / steps)
            self._arrive(dt / steps, floor)
        self._end()

    @qd.kernel
    def _begin(self):
        for i in range(self.n[None]):
            self.way[i] = qd.Vector.zero(qd.f32, 3)

    @qd.kernel
    def _end(self):
        for i in range(self.n[None]):
            self.x[i] = self.x[i] + self.way[i]

    @qd.kernel
    def _set_out(self, dt: qd.f32, gx: qd.f32, gy: qd.f32, gz: qd.f32):
        gravity = qd.Vector([gx, gy, gz])
        for i in range(self.n[None]):
            if self.weight[i] > 0.0:
                force = qd.Vector.zero(qd.f32, 3)
                for k in range(self.bend_start[i], self.bend_start[i + 1]):
                    j = self.bend_column[k]
                    force -= self.bend_value[k] * ((self.x[j] - self.x[i]) + (self.way[j] - self.way[i]))
                self.v[i] = self.v[i] + dt * (gravity + force * self.weight[i])
            else:
                self.v[i] = self.lead[i]
        for i in range(self.n[None]):
            self.before[i] = self.way[i]
            self.way[i] = self.before[i] + dt * self.v[i]

    @qd.kernel
    def _arrive(self, dt: qd.f32, floor: qd.f32):
        for c in qd.static(range(MOST_COLOURS)):
            for e in range(self.colour[c], self.colour[c + 1]):
                i, j = self.edge[e][0], self.edge[e][1]
                d = (self.x[i] - self.x[j]) + (self.way[i] - self.way[j])
                length = d.norm()
                together = self.weight[i] + self.weight[j]
                if together > 0.0 and length > 0.0:
                    pull = (length - self.rest[e]) / (together + 1.0 / (self.stiffness[e] * dt * dt)) / length
                    # not +=, which is an atomic sum and several times slower: springs of a colour share no vertex
                    self.way[i] = self.way[i] - self.weight[i] * pull * d
                    self.way[j] = self.way[j] + self.weight[j] * pull * d
        for i in range(self.n[None]):
            if self.weight[i] > 0.0:
                for s in qd.static(range(WALLS)):
                    if self.touching[s, i] == 1:
                        self.wall[s, i] = self.wall[s, i] + dt * self.wall_velocity[s, i]
                        depth = (self.wall[s, i] - self.x[i]).dot(self.wall_normal[s, i])
                        carried = self.wall_velocity[s, i] * dt
                        moved = self.leave(
                            i, depth, self.wall_normal[s, i], carried, self.wall_friction[s, i]
                        )
                        if qd.static(s == MATTER):
                            self.impulse[i] = self.impulse[i] + moved * (self.mass[i] / dt)
                up = qd.Vector([0.0, 0.0, 1.0])
                still = qd.Vector.zero(qd.f32, 3)
                self.leave(i, floor - self.x[i][2], up, still, self.friction[self.body[i]])
            self.v[i] = (self.way[i] - self.before[i]) / dt

    @qd.func
    def leave(self, i, depth, normal, carried, friction):
        """Take vertex ``i`` out of matter whose surface lies ``depth`` along ``normal`` from where the substep began, and which
        moves by ``carried`` in the step; hold it back by friction times the way out. Returns how it was moved, m."""
        moved = qd.Vector.zero(qd.f32, 3)
        inside = depth - self.way[i].dot(normal)
        if inside > 0.0:
            slip = self.way[i] - self.before[i] - carried
            slip -= slip.dot(normal) * normal
            hold = qd.min(1.0, friction * inside / qd.max(slip.norm(), 1e-12))
            moved = inside * normal - hold * slip
            self.way[i] = self.way[i] + moved
        return moved


def write(field: qd.Field, values: NDArray) -> None:
    """Put ``values`` into the first rows of ``field``; the rest becomes zero."""
    out = np.zeros(field.to_numpy().shape, field.to_numpy().dtype)
    out[: len(values)] = values
    field.from_numpy(out)


def colour_starts(t: Topology) -> NDArray:
    """[MOST_COLOURS + 1]: where each colour's springs start; colours without any start at the end."""
    return np.append(t.colours, np.full(MOST_COLOURS + 1 - len(t.colours), len(t.edges)))


def write_rows(start: qd.Field, column: qd.Field, value: qd.Field, matrix: csr_matrix) -> None:
    """Put ``matrix`` into fields: where each row starts, the columns and the values."""
    write(start, np.append(matrix.indptr, np.full(start.shape[0] - len(matrix.indptr), matrix.nnz)))
    write(column, matrix.indices)
    write(value, matrix.data)
