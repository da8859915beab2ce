# mypy: disable-error-code="no-untyped-def, valid-type"
"""Colliders as matter on the grid meets them: nodes near their surfaces that matter cannot pass, and the room that they leave a liquid.

As for the plane (``contact``), a node near a surface stops matter only as fast as the nearest particle around it would otherwise pass through
the surface within the substep: with gap g of that particle and the outward normal n where it stands, the node's velocity relative to
the collider has at least n . v >= -g / dt, and Coulomb's friction takes mu times that change from its slip. Nothing that matter does
moves a collider.

The surface is taken as that particle sees it, as the plane in front of it: nodes behind a thin wall then stop what is before it, and
do not belong to its other side. What should slip in all the same is put back on the surface before the next substep. So walls hold
that are thinner than a grid cell.

In a corner the particles around a node see several surfaces, and the node stops matter at each: with the nearest one alone, a liquid
flows through the other and is put back again and again, which fills it with energy and makes it swell. Around an edge that juts out
it stops matter only at the surface that it is in front of: the plane before the edge of a blade, continued beyond that edge, would be a
wall some cells high, and shove grains along that the blade should slip under. The two sides of a thin wall both stop. What lies too deep is not
lifted, for it would take all that shares its nodes with it: a solid keeps its shape, and the particles of a liquid move off by themselves,
whereupon its pressure evens their places (``SoftGrid.evened``).

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

from collections.abc import Sequence

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.collider_surfaces import ColliderSurfaces
from perpetua.physics.matter import ONE_THREAD
from perpetua.physics.motion import Collider
from perpetua.physics.shared_kernels import Integers, Shared, floats, integers, shared_kernels, vectors
from perpetua.physics.splines import REACH_CELLS, solid_share

FAR = 1e9
"""m; the gap of a node that no particle is near."""

NEAR_CELLS = 0.5
"""Nodes closer to a surface than this, or inside, stop matter: half of the layers of nodes around a surface."""

SURFACES, SAME_SURFACE = 3, 0.7
"""A node knows as many surfaces as meet in the corner of a box; normals whose product is larger, some 45 degrees, are of one that bends."""

EDGE_CELLS = 0.25
"""Around an edge, a node forgets a surface that is nearer to it, or further behind, by at least this than another; with 0 the
roundness of a fist counts as edges, and what it pushes comes too close."""

SPREAD_S = 0.05
"""s in which the particles of a liquid that lie closer to a surface than their radius move off it: they mix, and would pile up there."""

SAMPLE, SAMPLE_WIDE = 0.43, 0.88
"""Cells: a node's kernel is sampled so far from the node along each axis, each sample a box so wide: together they have the variance
of the spline, 1/4 = 0.43^2 + 0.88^2 / 12."""


@shared_kernels
class GridColliders(Shared):
    """Up to ``capacity`` colliders for the matter of ``bodies`` [K] (the scene's numbers of the grid's fields), particles of ``radius`` m of which
    ``liquid`` [P] are, on ``cells`` [3] nodes from node ``lower`` [3]; cells of ``dx`` m."""

    def __init__(
        self,
        capacity: int,
        bodies: NDArray,
        lower: tuple[int, int, int],
        cells: tuple[int, int, int],
        dx: float,
        radius: float,
        liquid: NDArray,
    ) -> None:
        self.lower, self.dx, self.radius = integers(3), floats(), floats()
        self.lower.from_numpy(np.array(lower, np.int32))
        self.dx[None], self.radius[None] = dx, radius
        self.surfaces = ColliderSurfaces(capacity, bodies)
        count = len(liquid)
        self.near, self.seen = integers(count), vectors(4, count)
        """Of each particle the collider that it is near, -1 where there is none, and the outward normal and distance, m, of its surface."""
        self.room = floats(count)
        """m that each particle keeps from surfaces in the long run."""
        self.room.from_numpy(np.where(liquid, radius, 0.0).astype(np.float32))
        self.asks = integers(count)
        """1 while there are nodes around a particle that may not know its surface."""
        nodes = (len(bodies), SURFACES, *cells)
        self.gap = floats(*nodes)
        self.normal, self.foot = vectors(3, *nodes), vectors(3, *nodes)
        """Outward normal of the surface in front of the nearest particle, and the point, m, of it that this particle is nearest to."""
        self.mark = integers(*nodes)
        """stamp * capacity + collider where the above are of this substep."""
        self.stamp = integers()
        self._stamp = 0

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self.surfaces.frames.set_substep(dt)

    def set(self, colliders: Sequence[Collider]) -> None:
        """Take over ``colliders`` for the control step that begins."""
        self.surfaces.set(colliders)

    def before_substep(self, matter, field) -> None:
        """Put back what slipped in, and find the surfaces around each node; ``field`` [P] is each particle's."""
        if self.surfaces.any:
            self._stamp += 1
            self.stamp[None] = self._stamp
            self._look(matter, field)
            for number in range(SURFACES):
                self._find_gaps(matter, field, number)
                self._find_planes(matter, field, number)

    @qd.func
    def _base(self, pos):
        """First node of the 3 x 3 x 3 around ``pos`` [3] m, in the grid."""
        first = qd.Vector([self.lower[0], self.lower[1], self.lower[2]])
        return qd.cast(qd.floor(pos / self.dx[None] - 0.5), qd.i32) - first

    @qd.kernel
    def _look(self, matter: qd.template(), field: Integers):
        """Put back what slipped in, find the surface that each particle is near, and clear the nodes that its kernel reaches."""
        self.surfaces.frames.advance()
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(matter.pos.shape[0]):
            self.near[p], self.asks[p] = -1, 0
            for a in range(self.surfaces.frames.count[None]):
                if self.surfaces.acts_on[a, field[p]] == 1 and matter.active[p] == 1:
                    pos = matter.pos[p]
                    distance, normal = self.surfaces.distance(a, pos)
                    if distance < 0.0:
                        vel = matter.vel[p]
                        inward = qd.min((vel - self.surfaces.frames.velocity_at(a, pos)).dot(normal), 0.0)
                        matter.pos[p] = pos - distance * normal
                        matter.vel[p] = vel - inward * normal
                        distance = 0.0
                    if distance < self.room[p]:
                        further = qd.min(self.surfaces.frames.dt[None] / SPREAD_S, 1.0) * (
                            self.room[p] - distance
                        )
                        matter.pos[p] += further * normal
                        distance += further
                    reach = (NEAR_CELLS + REACH_CELLS * qd.abs(normal).sum()) * self.dx[None]
                    if distance < reach and (self.near[p] < 0 or distance < self.seen[p][3]):
                        self.near[p], self.asks[p] = a, 1
                        self.seen[p] = qd.Vector([normal[0], normal[1], normal[2], distance])
            if self.near[p] >= 0:
                base = self._base(matter.pos[p])
                for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                    for s in qd.static(range(SURFACES)):
                        self.gap[field[p], s, base[0] + i, base[1] + j, base[2] + l] = FAR

    @qd.func
    def _known(self, k, s, x, y, z):
        """Whether a node of body ``k`` has a surface of number ``s`` in this substep."""
        return self.mark[k, s, x, y, z] // self.surfaces.friction.shape[0] == self.stamp[None]

    @qd.func
    def _is_new(self, k, s, x, y, z, normal):
        """Whether a surface with this normal is none of the first ``s`` that a node knows."""
        out = True
        for t in range(s):
            if self._known(k, t, x, y, z) and normal.dot(self.normal[k, t, x, y, z]) > SAME_SURFACE:
                out = False
        return out

    @qd.kernel
    def _find_gaps(self, matter: qd.template(), field: Integers, number: qd.i32):
        """The least gap of the particles around each node to a surface that is none of the first ``number``."""
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(matter.pos.shape[0]):
            if self.asks[p] == 1:
                self.asks[p] = 0
                k, seen = field[p], self.seen[p]
                normal = qd.Vector([seen[0], seen[1], seen[2]])
                base = self._base(matter.pos[p])
                for i, j, l in qd.ndrange(3, 3, 3):
                    x, y, z = base[0] + i, base[1] + j, base[2] + l
                    if self._is_new(k, number, x, y, z, normal):
                        self.asks[p] = 1
                        qd.atomic_min(self.gap[k, number, x, y, z], seen[3] - self.radius[None])

    @qd.kernel
    def _find_planes(self, matter: qd.template(), field: Integers, number: qd.i32):
        """That surface, as the particle with that gap sees it."""
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(matter.pos.shape[0]):
            if self.asks[p] == 1:
                k, seen = field[p], self.seen[p]
                normal = qd.Vector([seen[0], seen[1], seen[2]])
                pos = matter.pos[p]
                base = self._base(pos)
                gap = seen[3] - self.radius[None]
                mark = self.stamp[None] * self.surfaces.friction.shape[0] + self.near[p]
                for i, j, l in qd.ndrange(3, 3, 3):
                    x, y, z = base[0] + i, base[1] + j, base[2] + l
                    if gap <= self.gap[k, number, x, y, z] and self._is_new(k, number, x, y, z, normal):
                        self.normal[k, number, x, y, z] = normal
                        self.foot[k, number, x, y, z] = pos - seen[3] * normal
                        self.mark[k, number, x, y, z] = mark

    @qd.func
    def _distance(self, k, s, x, y, z, pos):
        """Distance, m, of a node of body ``k`` at ``pos`` [3] m to its surface number ``s``, and the normal."""
        normal = self.normal[k, s, x, y, z]
        return normal.dot(pos - self.foot[k, s, x, y, z]), normal

    @qd.func
    def _beyond_edge(self, k, s, x, y, z, pos):
        """Whether surface number ``s`` of a node at ``pos`` [3] m ends at an edge before it gets there: around the edge lies a surface
        that the node is further in front of."""
        out = False
        distance, normal = self._distance(k, s, x, y, z, pos)
        foot = self.foot[k, s, x, y, z]
        for t in range(SURFACES):
            if t != s and self._known(k, t, x, y, z):
                ahead, around = self._distance(k, t, x, y, z, pos)
                there = self.foot[k, t, x, y, z]
                juts_out = normal.dot(there - foot) < 0.0 and around.dot(foot - there) < 0.0
                two_sides = normal.dot(around) < -SAME_SURFACE
                if juts_out and not two_sides and ahead > distance + EDGE_CELLS * self.dx[None]:
                    out = True
        return out

    @qd.func
    def solid(self, k, x, y, z, pos):
        """Share of the kernel of a node of body field ``k`` at ``pos`` [3] m in which colliders leave matter no room: what they fill, and
        what lies behind the surfaces that the node knows, where their walls are thin."""
        out = 0.0
        if self.surfaces.frames.count[None] > 0 and self._known(k, 0, x, y, z):
            free = 1.0
            for s in range(SURFACES):
                if self._known(k, s, x, y, z):
                    distance, _ = self._distance(k, s, x, y, z, pos)
                    free *= 1.0 - solid_share(distance / self.dx[None])
            out = qd.max(1.0 - free, self._filled(k, pos))
        return out

    @qd.func
    def _filled(self, k, pos):
        """Share of the kernel of a node of body ``k`` at ``pos`` [3] m that colliders fill."""
        out, dx = 0.0, self.dx[None]
        for i, j, l in qd.ndrange(2, 2, 2):
            side = qd.Vector([2.0 * i - 1.0, 2.0 * j - 1.0, 2.0 * l - 1.0])
            distance = FAR
            for a in range(self.surfaces.frames.count[None]):
                if self.surfaces.acts_on[a, k] == 1:
                    distance = qd.min(distance, self.surfaces.distance(a, pos + SAMPLE * dx * side)[0])
            out += 0.125 * qd.min(qd.max(0.5 - distance / (SAMPLE_WIDE * dx), 0.0), 1.0)
        return out

    @qd.func
    def stop(self, k, x, y, z, pos, vel):
        """The velocity [3] m/s that the colliders leave a node of body field ``k`` at ``pos`` [3] m."""
        out = vel
        if self.surfaces.frames.count[None] > 0:
            for s in range(SURFACES):
                distance, normal = self._distance(k, s, x, y, z, pos)
                near = self._known(k, s, x, y, z) and distance < NEAR_CELLS * self.dx[None]
                if near and not self._beyond_edge(k, s, x, y, z, pos):
                    a = self.mark[k, s, x, y, z] % self.surfaces.friction.shape[0]
                    own = self.surfaces.frames.velocity_at(a, pos)
                    along = (out - own).dot(normal)
                    least = -qd.max(self.gap[k, s, x, y, z], 0.0) / self.surfaces.frames.dt[None]
                    if along < least:
                        slip = out - own - along * normal
                        speed = slip.norm()
                        taken = qd.min(self.surfaces.friction[a] * (least - along), speed)
                        out = own + (1.0 - taken / qd.max(speed, 1e-12)) * slip + least * normal
        return out
