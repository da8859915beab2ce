# mypy: disable-error-code="no-untyped-def, valid-type"
"""Colliders as matter on the grid meets them: nodes near their surfaces that matter cannot pass.

As for the plane (``contact``), a node near a surface stops matter only as fast as the nearest particle around it would otherwise pass through
the surface within the substep: with gap g of that particle and the outward normal n where it stands, the node's velocity relative to
the collider has at least n . v >= -g / dt, and Coulomb's friction takes mu times that change from its slip. Nothing that matter does
moves a collider.

The surface is taken as that particle sees it, as the plane in front of it: nodes behind a thin wall then stop what is before it, and
do not belong to its other side. What should slip in all the same is put back on the surface before the next substep. So walls hold
that are thinner than a grid cell; two colliders that meet at a node take turns, the nearer one first.

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

FAR = 1e9
"""m; the gap of a node that no particle is near."""

NEAR_CELLS = 0.5
"""Nodes closer to a surface than this, or inside, stop matter: half of the layers of nodes around a surface."""

SLOP = 0.1
"""Share of a particle's radius that it may sink in; what is deeper is lifted out gently."""

LIFT = 0.05
"""Share of the rest of the way that it is lifted in a substep."""

KERNEL_CELLS = 2.6
"""A particle's kernel reaches nodes at most sqrt(3) 3/2 cells away."""


@shared_kernels
class GridColliders(Shared):
    """Up to ``capacity`` colliders for the matter of ``bodies`` [K] (the scene's numbers of the grid's fields) on ``cells`` [3] nodes from
    node ``lower`` [3]; cells of ``dx`` m, particles of ``radius`` m."""

    def __init__(
        self,
        capacity: int,
        bodies: NDArray,
        lower: tuple[int, int, int],
        cells: tuple[int, int, int],
        dx: float,
        radius: float,
    ) -> None:
        self.lower, self.dx, self.radius = integers(3), floats(), floats()
        self.lower.from_numpy(np.array(lower, np.int32))
        self.dx[None], self.radius[None] = dx, radius
        self.surfaces = ColliderSurfaces(capacity, bodies)
        self.gap = floats(len(bodies), *cells)
        self.plane = vectors(4, len(bodies), *cells)
        """Outward normal and offset of the surface in front of the nearest particle: its distance is normal . x + offset."""
        self.mark = integers(len(bodies), *cells)
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
        """Put back what slipped in, and find the nearest particle around each node; ``field`` [P] is each particle's."""
        if self.surfaces.any:
            self._stamp += 1
            self.stamp[None] = self._stamp
            self._find_nearest(matter, field)

    @qd.func
    def _base(self, pos):
        """First node of the 3 x 3 x 3 around ``pos`` [3] m, in the grid."""
        first = qd.Vector([self.lower[0], self.lower[1], self.lower[2]])
        return qd.cast(qd.floor(pos / self.dx[None] - 0.5), qd.i32) - first

    @qd.kernel
    def _find_nearest(self, matter: qd.template(), field: Integers):
        self.surfaces.frames.advance()
        reach = (NEAR_CELLS + KERNEL_CELLS) * self.dx[None]
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(matter.pos.shape[0]):
            for a in range(self.surfaces.frames.count[None]):
                if self.surfaces.acts_on[a, field[p]] == 1 and matter.active[p] == 1:
                    pos = matter.pos[p]
                    distance, normal = self.surfaces.distance(a, pos)
                    if distance < 0.0:
                        vel = matter.vel[p]
                        inward = qd.min((vel - self.surfaces.frames.velocity_at(a, pos)).dot(normal), 0.0)
                        pos -= distance * normal
                        matter.pos[p] = pos
                        matter.vel[p] = vel - inward * normal
                    if distance < reach:
                        base = self._base(pos)
                        for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                            self.gap[field[p], base[0] + i, base[1] + j, base[2] + l] = FAR
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(matter.pos.shape[0]):
            for a in range(self.surfaces.frames.count[None]):
                if self.surfaces.acts_on[a, field[p]] == 1 and matter.active[p] == 1:
                    pos = matter.pos[p]
                    distance, _normal = self.surfaces.distance(a, pos)
                    if distance < reach:
                        base = self._base(pos)
                        for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                            qd.atomic_min(
                                self.gap[field[p], base[0] + i, base[1] + j, base[2] + l],
                                distance - self.radius[None],
                            )
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(matter.pos.shape[0]):
            for a in range(self.surfaces.frames.count[None]):
                if self.surfaces.acts_on[a, field[p]] == 1 and matter.active[p] == 1:
                    pos = matter.pos[p]
                    distance, normal = self.surfaces.distance(a, pos)
                    if distance < reach:
                        base = self._base(pos)
                        offset = distance - normal.dot(pos)
                        for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                            x, y, z = base[0] + i, base[1] + j, base[2] + l
                            if distance - self.radius[None] <= self.gap[field[p], x, y, z]:
                                self.plane[field[p], x, y, z] = qd.Vector(
                                    [normal[0], normal[1], normal[2], offset]
                                )
                                self.mark[field[p], x, y, z] = (
                                    self.stamp[None] * self.surfaces.friction.shape[0] + a
                                )

    @qd.func
    def stop(self, k, x, y, z, pos, vel):
        """The velocity [3] m/s that the colliders leave a node of body field ``k`` at ``pos`` [3] m."""
        out = vel
        if self.surfaces.frames.count[None] > 0:
            mark = self.mark[k, x, y, z]
            plane = self.plane[k, x, y, z]
            normal = qd.Vector([plane[0], plane[1], plane[2]])
            near = normal.dot(pos) + plane[3] < NEAR_CELLS * self.dx[None]
            capacity = self.surfaces.friction.shape[0]
            if mark // capacity == self.stamp[None] and near:
                a = mark % capacity
                own = self.surfaces.frames.velocity_at(a, pos)
                along = (vel - own).dot(normal)
                gap = self.gap[k, x, y, z]
                deep = qd.min(gap + SLOP * self.radius[None], 0.0)
                change = -(qd.max(gap, 0.0) + LIFT * deep) / self.surfaces.frames.dt[None] - along
                if change > 0.0:
                    slip = vel - own - along * normal
                    speed = slip.norm()
                    keep = 1.0 - qd.min(self.surfaces.friction[a] * change, speed) / qd.max(speed, 1e-12)
                    out = own + keep * slip + (along + change) * normal
        return out
