# mypy: disable-error-code="no-untyped-def, valid-type"
"""Soft bodies that touch each other: what passes between their velocity fields at nodes that both reach.

With one field for all bodies, matter would meet as soon as kernels overlap, a grid cell apart. With a field each (Bardenhagen et al. 2000)
two bodies pass each other unless stopped, and are stopped where their *particles* touch: at a node that both reach, n is the direction
in which the one's volume gives way to the other's (masses would tilt it where a light body touches a heavy one), as the nodes around see
it by how much of both they hold (the edge of a body that slides over another sees itself in its own way, and would plough); the gap is
what is left between the foremost particles along n, half a spacing around each, and the approach is at most gap / dt (as for the plane,
``contact.py``). Impulses are equal and opposite; Coulomb friction takes up to mu times the normal one.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.matter import ONE_THREAD
from perpetua.physics.shared_kernels import Shared, floats, integers, shared_kernels, vectors

NOTHING = -1e9
"""Reach of a body at a node that none of its particles touches, m."""

LEAST_MASS = 1e-20
"""kg; a node with less was touched by the very edge of a kernel, whose weight is zero."""

AROUND, SHARED_POWER = 2, 3
"""Nodes on each side whose sense of the normal counts, by this power of the volume that both bodies have there: of those tried the
one at which a block slides down another nearest to Coulomb's law. With 1 and 1 it did not slide at all."""

SLIP_EPS = 1e-9
"""m/s; a direction of slip below this speed is rounding."""


@shared_kernels
class GridMeetings(Shared):
    """Where any two of ``fields`` bodies meet on ``cells`` [3] nodes."""

    def __init__(self, fields: int, cells: tuple[int, int, int]) -> None:
        self._several = fields > 1
        self.density = floats(fields)
        shape = (fields, *cells) if self._several else (1, 1, 1, 1)
        self.count = integers()
        self.partner = integers(*shape)
        """The other body at a node of a body; -1 where it is alone."""
        self.partner.fill(-1)
        self.giving_way = vectors(3, *shape)
        """From each body into its partner, longer where both have more volume."""
        self.normal, self.reach = vectors(3, *shape), floats(*shape)

    def set_densities(self, densities: NDArray) -> None:
        """densities: [fields] kg/m^3 of the bodies at rest, from now on."""
        self.density.from_numpy(np.asarray(densities, np.float32))

    def exchange(self, grid) -> None:
        """Stop the bodies of ``grid`` (a ``SoftGrid`` after ``scatter``) where they touch."""
        if self._several:
            self._find(grid)
            self._find_normals(grid)
            self._find_reaches(grid)
            self._exchange(grid)

    def forget(self, grid) -> None:
        """Before the list of nodes is emptied."""
        if self._several:
            self._forget(grid)

    @qd.kernel
    def _forget(self, grid: qd.template()):
        for entry in range(grid.listed[None]):
            k, x, y, z = grid.listed_node(entry)
            self.partner[k, x, y, z] = -1

    @qd.func
    def _share(self, grid, k, x, y, z):
        """Volume at rest of what body k has at a node, in cells."""
        return grid.mass(k, x, y, z) / (self.density[k] * grid.dx[None] ** 3)

    @qd.func
    def _largest_other(self, grid, k, x, y, z):
        """The other body with most volume at a node; -1 where there is none."""
        best = -1
        most = 0.0
        for other in range(grid.shape[0]):
            share = self._share(grid, other, x, y, z)
            if other != k and share > most and grid.mass(other, x, y, z) > LEAST_MASS:
                best = other
                most = share
        return best

    @qd.func
    def _growth(self, grid, k, x, y, z):
        """Growth of body k's volume across a node, in cells."""
        return qd.Vector(
            [
                self._share(grid, k, x + 1, y, z) - self._share(grid, k, x - 1, y, z),
                self._share(grid, k, x, y + 1, z) - self._share(grid, k, x, y - 1, z),
                self._share(grid, k, x, y, z + 1) - self._share(grid, k, x, y, z - 1),
            ]
        )

    @qd.kernel
    def _find(self, grid: qd.template()):
        """Nodes that two bodies reach, and the direction from each into the other."""
        self.count[None] = 0
        qd.loop_config(parallelize=ONE_THREAD)
        for entry in range(grid.listed[None]):
            k, x, y, z = grid.listed_node(entry)
            other = self._largest_other(grid, k, x, y, z)
            if (
                other >= 0
                and grid.mass(k, x, y, z) > LEAST_MASS
                and self._largest_other(grid, other, x, y, z) == k
            ):
                own, there = self._share(grid, k, x, y, z), self._share(grid, other, x, y, z)
                way = self._growth(grid, other, x, y, z) - self._growth(grid, k, x, y, z)
                self.giving_way[k, x, y, z] = (own * there / (own + there)) ** SHARED_POWER * way
                self.partner[k, x, y, z] = other
                self.count[None] += 1

    @qd.kernel
    def _find_normals(self, grid: qd.template()):
        """The direction from each body into its partner, as all nodes around a meeting see it."""
        qd.loop_config(parallelize=ONE_THREAD)
        for entry in range(grid.listed[None]):
            if self.count[None] > 0:
                k, x, y, z = grid.listed_node(entry)
                other = self.partner[k, x, y, z]
                if other >= 0:
                    n = qd.Vector.zero(qd.f32, 3)
                    for i, j, l in qd.ndrange(
                        (-AROUND, AROUND + 1), (-AROUND, AROUND + 1), (-AROUND, AROUND + 1)
                    ):
                        if self.partner[k, x + i, y + j, z + l] == other:
                            n += self.giving_way[k, x + i, y + j, z + l]
                    self.normal[k, x, y, z] = n / qd.max(n.norm(), 1e-30)
                    self.reach[k, x, y, z] = NOTHING

    @qd.kernel
    def _find_reaches(self, grid: qd.template()):
        """How far along the normal the foremost particle of each body comes at each meeting."""
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(grid.material.shape[0]):
            if self.count[None] > 0 and grid.matter.active[p] == 1:
                base, fx = grid.inside(p)
                k = grid.field[p]
                for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                    x, y, z = base[0] + i, base[1] + j, base[2] + l
                    if self.partner[k, x, y, z] >= 0:
                        arm = (fx - qd.Vector([float(i), float(j), float(l)])) * grid.dx[None]
                        ahead = arm.dot(self.normal[k, x, y, z]) + grid.radius[None]
                        qd.atomic_max(self.reach[k, x, y, z], ahead)

    @qd.func
    def _stopped(self, relative, normal, allowed, friction):
        """The change of a relative velocity that may not approach along ``normal`` faster than ``allowed`` m/s; friction takes its
        part of the slip."""
        out = qd.Vector.zero(qd.f32, 3)
        excess = relative.dot(normal) - allowed
        if excess > 0.0:
            slip = relative - relative.dot(normal) * normal
            speed = slip.norm()
            out = -excess * normal - slip * (qd.min(friction * excess, speed) / qd.max(speed, SLIP_EPS))
        return out

    @qd.func
    def _meet(self, grid, k, x, y, z):
        """Exchange of momentum between body k and its partner at a node, done once for the pair."""
        other = self.partner[k, x, y, z]
        if other > k:
            here, there = grid.entry(k, x, y, z), grid.entry(other, x, y, z)
            a, b = grid.node[here], grid.node[there]
            va = qd.Vector([a[0], a[1], a[2]]) / a[3]
            vb = qd.Vector([b[0], b[1], b[2]]) / b[3]
            gap = -self.reach[k, x, y, z] - self.reach[other, x, y, z]
            mu = qd.sqrt(grid.friction[k] * grid.friction[other])
            change = self._stopped(va - vb, self.normal[k, x, y, z], qd.max(gap, 0.0) / grid.dt[None], mu)
            impulse = change * (a[3] * b[3] / (a[3] + b[3]))
            for c in qd.static(range(3)):
                grid.node[here][c] += impulse[c]
                grid.node[there][c] -= impulse[c]

    @qd.kernel
    def _exchange(self, grid: qd.template()):
        qd.loop_config(parallelize=ONE_THREAD)
        for entry in range(grid.listed[None]):
            if self.count[None] > 0:
                k, x, y, z = grid.listed_node(entry)
                self._meet(grid, k, x, y, z)
