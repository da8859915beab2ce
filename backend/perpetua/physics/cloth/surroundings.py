# mypy: disable-error-code="no-untyped-def, valid-type"
"""What cloth touches: the particles of other bodies, and itself.

The particles near a vertex x are seen as one surface (Zhu and Bridson 2005, "Animating sand as a fluid"): with weights
w = (1 - (d / R)^2)^3 within R, their mean place x' and velocity, the distance to the surface is |x - x'| - r and its normal points from x'
to x. r is chosen so that cloth lies just off a flat face. Once a substep
each vertex near something gets the plane through that surface (``Sheet.step`` keeps it out of there), and afterwards what the
vertex pushed it with goes back to those particles by the same weights, so that no momentum is lost.

Vertices of cloth keep ``SELF_DISTANCE`` from each other unless they are neighbours in the sheet.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values. Import this module
after Genesis has been started.
"""

import quadrants as qd
from genesis.utils import array_class  # noqa: TID253

from perpetua.physics.cloth.sheet import MATTER, Sheet, room
from perpetua.physics.forces.compiled import rigid_point
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

REACH = 2.0
"""R in spacings: two layers of particles."""

FLAT_OFFSET = 0.756
"""Distance in spacings from x' to a point three quarters of a spacing above the outermost layer of a cubic lattice: matter ends half a
spacing above it, and cloth lies a little higher so that no splat shows through."""

SELF_DISTANCE = 0.8
"""spacings; below the sheet's own so that a flat sheet does not push itself apart"""

NOWHERE = -1e3
"""m; the height of what has not left its emitter."""

FAR_IN_SHEET = 1.5
"""Vertices nearer than this many spacings at rest are neighbours and do not collide."""


@shared_kernels
class Cells(Shared):
    """Points sorted by the cell of size ``size`` m they lie in, by hash: neighbours are found in 27 cells."""

    def __init__(self, capacity: int, size: float) -> None:
        self.size = floats()
        self.size[None] = size
        buckets = 1 << (2 * room(capacity) - 1).bit_length()
        self.start, self.cursor = integers(buckets + 1), integers(buckets)
        self.order = integers(room(capacity))

    @qd.func
    def cell(self, x):
        return qd.cast(qd.floor(x / self.size[None]), qd.i32)

    @qd.func
    def bucket(self, c):
        return (c[0] * 73856093 ^ c[1] * 19349663 ^ c[2] * 83492791) & (self.cursor.shape[0] - 1)

    @qd.kernel
    def sort(self, x: Vectors, n: qd.i32):
        for b in self.cursor:
            self.cursor[b] = 0
        for p in range(n):
            qd.atomic_add(self.cursor[self.bucket(self.cell(x[p]))], 1)
        qd.loop_config(serialize=True)
        for _ in range(1):
            total = 0
            for b in range(self.cursor.shape[0]):
                self.start[b] = total
                total += self.cursor[b]
                self.cursor[b] = self.start[b]
            self.start[self.cursor.shape[0]] = total
        for p in range(n):
            at = qd.atomic_add(self.cursor[self.bucket(self.cell(x[p]))], 1)
            self.order[at] = p


@shared_kernels
class Surroundings(Shared):
    """The ``count`` particles of other bodies, each of which has x [m], v [m/s], ``body``; ``impulse`` [N s] is what cloth did to it."""

    def __init__(self, count: int, spacing: float) -> None:
        self._count = count
        self.reach, self.offset = floats(), floats()
        self.reach[None], self.offset[None] = REACH * spacing, FLAT_OFFSET * spacing
        self.x = vectors(3, room(count))
        self.v = vectors(3, room(count))
        self.impulse = vectors(3, room(count))
        self.body = integers(room(count))
        self.cells = Cells(count, REACH * spacing)

    @qd.kernel
    def show_mpm(self, solver: qd.template(), first: qd.i32):
        """Take over the places and velocities of the MPM particles; those that are not there are far below."""
        for p in range(solver.pos.shape[0]):
            self.x[first + p] = solver.pos[p]
            if solver.active[p] == 0:
                self.x[first + p][2] = NOWHERE
            self.v[first + p] = solver.vel[p]

    @qd.kernel
    def push_mpm(self, solver: qd.template(), mass: Floats, first: qd.i32):
        """Give the MPM particles the impulses they got."""
        for p in range(solver.pos.shape[0]):
            solver.vel[p] += self.impulse[first + p] / mass[p]

    @qd.kernel
    def show_rigid(
        self,
        links: array_class.LinksState,
        arm: Vectors,
        link: Integers,
        lift: Floats,
        first: qd.i32,
    ):
        """Take over the places and velocities of the rigid bodies' particles."""
        for p in range(arm.shape[0]):
            pos, vel = rigid_point(links, arm[p], link[p], lift[p])
            self.x[first + p] = pos
            self.v[first + p] = vel

    @qd.kernel
    def push_rigid(
        self,
        links: array_class.LinksState,
        link: Integers,
        lift: Floats,
        first: qd.i32,
        dt: qd.f32,
    ):
        """Give the rigid bodies the impulses that their particles got, over the next substep of ``dt`` s."""
        for p in range(link.shape[0]):
            l = link[p]
            force = self.impulse[first + p] / dt
            # Genesis subtracts what is applied, about the centre of mass of the tree, which is the body's own
            links.cfrc_applied_vel[l, 0] -= force
            links.cfrc_applied_ang[l, 0] -= (
                self.x[first + p] - qd.Vector([0.0, 0.0, lift[p]]) - links.root_COM[l, 0]
            ).cross(force)

    def find_walls(self, sheet: Sheet) -> None:
        self.cells.sort(self.x, self._count)
        self._walls(sheet)

    def give_back(self, sheet: Sheet) -> None:
        self._give(sheet, self._count)

    @qd.func
    def weight(self, d):
        s = qd.max(1.0 - (d / self.reach[None]) ** 2, 0.0)
        return s * s * s

    @qd.kernel
    def _walls(self, sheet: qd.template()):
        for i in range(sheet.n[None]):
            sheet.touching[MATTER, i] = 0
            sheet.impulse[i] = qd.Vector.zero(qd.f32, 3)
            x = sheet.x[i]
            total, friction = 0.0, 0.0
            centre, velocity = qd.Vector.zero(qd.f32, 3), qd.Vector.zero(qd.f32, 3)
            home = self.cells.cell(x)
            for a, b, c in qd.ndrange((-1, 2), (-1, 2), (-1, 2)):
                there = home + qd.Vector([a, b, c])
                bucket = self.cells.bucket(there)
                for k in range(self.cells.start[bucket], self.cells.start[bucket + 1]):
                    p = self.cells.order[k]
                    d = (self.x[p] - x).norm()
                    if d < self.reach[None] and (self.cells.cell(self.x[p]) == there).all():
                        w = self.weight(d)
                        total += w
                        centre += w * (self.x[p] - x)
                        velocity += w * self.v[p]
                        friction += w * qd.sqrt(sheet.friction[self.body[p]] * sheet.friction[sheet.body[i]])
            if total > 0.0:
                away = -centre / total
                distance = away.norm()
                if distance > 0.1 * self.offset[None]:
                    normal = away / distance
                    sheet.touching[MATTER, i] = 1
                    sheet.wall_normal[MATTER, i] = normal
                    sheet.wall[MATTER, i] = x - away + self.offset[None] * normal
                    sheet.wall_velocity[MATTER, i] = velocity / total
                    sheet.wall_friction[MATTER, i] = friction / total

    @qd.kernel
    def _give(self, sheet: qd.template(), count: qd.i32):
        for p in range(count):
            self.impulse[p] = qd.Vector.zero(qd.f32, 3)
        for i in range(sheet.n[None]):
            if sheet.impulse[i].norm() > 0.0:
                x = sheet.x[i]
                home = self.cells.cell(x)
                total = 0.0
                for a, b, c in qd.ndrange((-1, 2), (-1, 2), (-1, 2)):
                    there = home + qd.Vector([a, b, c])
                    bucket = self.cells.bucket(there)
                    for k in range(self.cells.start[bucket], self.cells.start[bucket + 1]):
                        p = self.cells.order[k]
                        d = (self.x[p] - x).norm()
                        if d < self.reach[None] and (self.cells.cell(self.x[p]) == there).all():
                            total += self.weight(d)
                if total > 0.0:
                    for a, b, c in qd.ndrange((-1, 2), (-1, 2), (-1, 2)):
                        there = home + qd.Vector([a, b, c])
                        bucket = self.cells.bucket(there)
                        for k in range(self.cells.start[bucket], self.cells.start[bucket + 1]):
                            p = self.cells.order[k]
                            d = (self.x[p] - x).norm()
                            if d < self.reach[None] and (self.cells.cell(self.x[p]) == there).all():
                                qd.atomic_add(self.impulse[p], -self.weight(d) / total * sheet.impulse[i])


@shared_kernels
class OwnFolds(Shared):
    """Keeps the folds of a sheet apart, once a substep: vertices closer than ``SELF_DISTANCE`` that are no neighbours at ``rest``
    [n, 3] m move apart, half each, and lose their approach."""

    def __init__(self, count: int, spacing: float) -> None:
        self._count = count
        self.distance, self.neighbours = floats(), floats()
        self.distance[None], self.neighbours[None] = SELF_DISTANCE * spacing, FAR_IN_SHEET * spacing
        self.rest = vectors(3, room(count))
        self.shift = vectors(3, room(count))
        self.kick = vectors(3, room(count))
        self.cells = Cells(count, SELF_DISTANCE * spacing)

    def part(self, sheet: Sheet) -> None:
        self.cells.sort(sheet.x, self._count)
        self._part(sheet)

    @qd.kernel
    def _part(self, sheet: qd.template()):
        for i in range(sheet.n[None]):
            x, v = sheet.x[i], sheet.v[i]
            found = 0
            shift, kick = qd.Vector.zero(qd.f32, 3), qd.Vector.zero(qd.f32, 3)
            home = self.cells.cell(x)
            for a, b, c in qd.ndrange((-1, 2), (-1, 2), (-1, 2)):
                there = home + qd.Vector([a, b, c])
                bucket = self.cells.bucket(there)
                for k in range(self.cells.start[bucket], self.cells.start[bucket + 1]):
                    j = self.cells.order[k]
                    away = x - sheet.x[j]
                    d = away.norm()
                    if (
                        j != i
                        and 0.0 < d < self.distance[None]
                        and (self.rest[i] - self.rest[j]).norm() > self.neighbours[None]
                        and (self.cells.cell(sheet.x[j]) == there).all()
                    ):
                        found += 1
                        n = away / d
                        share = sheet.weight[i] / qd.max(sheet.weight[i] + sheet.weight[j], 1e-12)
                        shift += share * (self.distance[None] - d) * n
                        closing = qd.min((v - sheet.v[j]).dot(n), 0.0)
                        slip = (v - sheet.v[j]) - closing * n
                        grip = qd.min(
                            1.0, -sheet.friction[sheet.body[i]] * closing / qd.max(slip.norm(), 1e-12)
                        )
                        kick -= share * (closing * n + grip * slip)
            self.shift[i], self.kick[i] = shift / qd.max(found, 1), kick / qd.max(found, 1)
        for i in range(sheet.n[None]):
            sheet.x[i] = sheet.x[i] + self.shift[i]
            sheet.v[i] = sheet.v[i] + self.kick[i]
