# mypy: disable-error-code="no-untyped-def, valid-type"
"""The material point method of all soft bodies: a velocity field on the grid for each body, so that bodies touch where they meet.

One substep is scatter -> collide -> gather:

scatter   F <- (I + dt C) F, law (``laws``), then mass and momentum of each body to *its own* nodes (MLS-MPM; Hu et al. 2018)
collide   gravity, then what stops a node: other bodies (``grid_meetings``), rigid bodies (``grid_rigid``), colliders, pins, the plane
gather    velocities and C back to the particles (APIC; Jiang et al. 2015), which move

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics import laws
from perpetua.physics.contact import PlaneContact
from perpetua.physics.grid_colliders import GridColliders
from perpetua.physics.grid_meetings import LEAST_MASS, GridMeetings
from perpetua.physics.grid_pins import GridPins
from perpetua.physics.grid_rigid import GridRigid
from perpetua.physics.matter import ONE_THREAD, Matter
from perpetua.physics.rigid_contact import RigidContact
from perpetua.physics.shared_kernels import Shared, floats, integers, shared_kernels, vectors
from perpetua.physics.splines import solid_share, spline_weights

BOUNDARY_CELLS = 3
"""Particles stay this many cells inside the box; the kernel reaches 1.5."""

NUMBERS = ("density", "lam", "mu", "eta", "limit", "slope", "tip")
"""Of ``laws.Constants``."""

EVEN_S, REFILL_S = 0.01, 0.1
"""s in which a liquid's volume follows that of its neighbours, and the places of its particles: long beside sound in a cell, short
beside what is seen."""

ASIDE, SPREAD = 0.1, 0.9 * 0.75
"""Cells and cells squared: a particle is inside where its neighbours' centre of mass is so near and they lie about so wide (a full
neighbourhood has 0 and 3/4, the second moment of the quadratic B-spline)."""


@shared_kernels
class SoftGrid(Shared):
    """Grid of ``cells`` [3] nodes from node ``lower`` [3] for ``fields`` bodies; dx m, dt s; ``spacing`` m between particles.

    material, field: [P], each particle's material and body.
    """

    def __init__(
        self,
        matter: Matter,
        lower: tuple[int, int, int],
        cells: tuple[int, int, int],
        dx: float,
        dt: float,
        spacing: float,
        material: NDArray,
        field: NDArray,
        constants: laws.Constants,
        friction: NDArray,
        plane: PlaneContact,
        rigid: RigidContact,
        colliders: GridColliders,
        pins: GridPins,
    ) -> None:
        self.matter, self.plane = matter, plane
        self.colliders, self.pins = colliders, pins
        count, fields = len(material), int(field.max()) + 1
        self.meetings, self.rigid = GridMeetings(fields, cells), GridRigid(rigid, fields, cells)
        self.lower = integers(3)
        self.lower.from_numpy(np.array(lower, np.int32))
        self.dx, self.dt, self.volume, self.radius = floats(), floats(), floats(), floats()
        self.dx[None], self.volume[None], self.radius[None] = dx, spacing**3, 0.5 * spacing
        shape = (fields, *cells)
        self.shape = integers(4)
        self.shape.from_numpy(np.array(shape, np.int32))
        self.node = vectors(4, int(np.prod(shape)))
        """Momentum and mass, by ``entry``; after ``collide`` velocity and mass."""
        self.swell = floats(int(np.prod(shape)))
        """Of liquids, mass times volume ratio J."""
        self.solid = floats(int(np.prod(shape)))
        """Around liquids, the share of a node's kernel in which the plane and colliders leave them no room."""
        self.list = integers(int(np.prod(shape)))
        self.listed = integers()
        self.material, self.field = integers(count), integers(count)
        self.material.from_numpy(material.astype(np.int32))
        self.field.from_numpy(field.astype(np.int32))
        kinds = len(constants.law)
        made_of = np.zeros((fields, kinds))
        np.add.at(made_of, (field, material), 1.0)
        self._made_of = made_of / made_of.sum(1, keepdims=True)
        self.law = integers(kinds)
        self.density, self.eta = floats(kinds), floats(kinds)
        self.lam, self.mu = floats(kinds), floats(kinds)
        self.limit = floats(kinds)
        self.slope, self.tip = floats(kinds), floats(kinds)
        self.friction = floats(fields)
        self.gravity = vectors(3)
        self.set_materials(constants, friction)
        self.set_substep(dt)

    def set_materials(self, constants: laws.Constants, friction: NDArray) -> None:
        """Exchange the numbers of the materials and the friction [fields]; the laws must be the same."""
        self.law.from_numpy(constants.law)
        for name in NUMBERS:
            getattr(self, name).from_numpy(getattr(constants, name))
        self.friction.from_numpy(np.asarray(friction, np.float32))
        self.meetings.set_densities(self._made_of @ constants.density)

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self.dt[None] = dt

    def set_gravity(self, gravity: NDArray) -> None:
        """gravity: [3] m/s^2."""
        self.gravity.from_numpy(np.asarray(gravity, np.float32))

    @qd.func
    def first(self):
        """Number of the grid's first node along each axis, from the world's origin."""
        return qd.Vector([self.lower[0], self.lower[1], self.lower[2]])

    @qd.func
    def inside(self, p):
        """First node of the 3 x 3 x 3 around particle p, in the grid, and where p is in it, in cells."""
        pos = self.matter.pos[p] / self.dx[None]
        base = qd.cast(qd.floor(pos - 0.5), qd.i32)
        return base - self.first(), pos - qd.cast(base, qd.f32)

    @qd.func
    def weights(self, fx):
        """Quadratic B-spline along each axis: rows of the three nodes."""
        return spline_weights(fx)

    def substep(self) -> None:
        """Advance all particles by dt."""
        self.scatter()
        self.meetings.exchange(self)
        self.rigid.find_gaps(self)
        self.collide(self.plane, self.rigid, self.colliders, self.pins)
        self.gather()
        self.meetings.forget(self)
        self.clear()
        self.forget_list()

    @qd.kernel
    def scatter(self):
        """Deform every particle and add its mass and momentum to the nodes of its body."""
        matter = self.matter
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(self.material.shape[0]):
            if matter.active[p] == 1:
                m = self.material[p]
                C = matter.C[p]
                F = (laws.identity() + self.dt[None] * C) @ matter.F[p]
                memory = matter.Jp[p]
                tau = qd.Matrix.zero(qd.f32, 3, 3)
                lam, mu = self.lam[m], self.mu[m]
                law, J = self.law[m], 1.0
                if law == laws.ELASTIC:
                    tau = laws.elastic(F, lam, mu)
                elif law == laws.LIQUID:
                    F, tau = laws.liquid(F, lam)
                    J = F.determinant()
                else:
                    U, S, V = qd.svd(F, qd.f32)
                    if law == laws.PLASTIC:
                        F, tau = laws.plastic(F, U, S, V, lam, mu, self.limit[m])
                    elif law == laws.SNOW:
                        F, memory, tau = laws.snow(U, S, V, memory, lam, mu)
                    else:
                        F, memory, tau = laws.sand(U, S, V, memory, lam, mu, self.slope[m], self.tip[m])
                rate = 0.5 * (C + C.transpose())
                tau += 2.0 * self.eta[m] * (rate - rate.trace() / 3.0 * laws.identity())
                matter.F[p] = F
                matter.Jp[p] = memory
                dx, volume = self.dx[None], self.volume[None]
                mass = self.density[m] * volume
                affine = mass * C - (4.0 * self.dt[None] * volume / (dx * dx)) * tau
                base, fx = self.inside(p)
                w = self.weights(fx)
                velocity = matter.vel[p]
                ny, nz = self.shape[2], self.shape[3]
                first = self.entry(self.field[p], base[0], base[1], base[2])
                for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                    arm = (qd.Vector([float(i), float(j), float(l)]) - fx) * dx
                    weight = w[i, 0] * w[j, 1] * w[l, 2]
                    momentum = weight * (mass * velocity + affine @ arm)
                    at = first + (i * ny + j) * nz + l
                    for c in qd.static(range(3)):
                        self.node[at][c] += momentum[c]
                    share = weight * mass
                    if law == laws.LIQUID:
                        self.swell[at] += share * J
                    if qd.atomic_add(self.node[at][3], share) == 0.0 and share > 0.0:
                        slot = qd.atomic_add(self.listed[None], 1)
                        self.list[slot] = at

    @qd.func
    def entry(self, k, x, y, z):
        """Index of body and node."""
        return ((k * self.shape[1] + x) * self.shape[2] + y) * self.shape[3] + z

    @qd.func
    def listed_node(self, entry):
        """Body and node of an entry of the list."""
        flat = self.list[entry]
        nx, ny, nz = self.shape[1], self.shape[2], self.shape[3]
        z = flat % nz
        flat //= nz
        y = flat % ny
        flat //= ny
        return flat // nx, flat % nx, y, z

    @qd.func
    def mass(self, k, x, y, z):
        """kg of body k at a node."""
        return self.node[self.entry(k, x, y, z)][3]

    @qd.kernel
    def collide(
        self, plane: qd.template(), rigid: qd.template(), colliders: qd.template(), pins: qd.template()
    ):
        """From momentum to the velocity that gravity and everything in the way leave."""
        qd.loop_config(parallelize=ONE_THREAD)
        for entry in range(self.listed[None]):
            k, x, y, z = self.listed_node(entry)
            node = self.node[self.list[entry]]
            at = qd.Vector([x, y, z]) + self.first()
            pos = qd.cast(at, qd.f32) * self.dx[None]
            if self.swell[self.list[entry]] > 0.0:
                free = 1.0 - solid_share(pos[2] / self.dx[None])
                free *= 1.0 - colliders.solid(k, x, y, z, pos)
                self.solid[self.list[entry]] = 1.0 - free
            v = qd.Vector([node[0], node[1], node[2]]) / qd.max(node[3], LEAST_MASS)
            v += self.dt[None] * self.gravity[None]
            v = rigid.stop(k, x, y, z, pos, v, node[3], self.friction[k], self.dt[None])
            v = colliders.stop(k, x, y, z, pos, v)
            v = pins.stop(k, x, y, z, pos, v)
            v = plane.stop(k, x, y, pos, v)
            size = qd.Vector([self.shape[1], self.shape[2], self.shape[3]])
            index = qd.Vector([x, y, z])
            for c in qd.static(range(3)):
                if index[c] < BOUNDARY_CELLS:
                    v[c] = qd.max(v[c], 0.0)
                if index[c] > size[c] - 1 - BOUNDARY_CELLS:
                    v[c] = qd.min(v[c], 0.0)
            self.node[self.list[entry]] = qd.Vector([v[0], v[1], v[2], node[3]])

    @qd.func
    def evened(self, F, first, fx, full):
        """A liquid's F whose volume comes nearer to that of its neighbourhood, and to the one that its particles take up where they, or
        what they cannot enter, are all around.

        What a particle keeps of its volume is a sum of many small changes and comes to differ from its neighbours', and from where the
        particles are: liquid at rest would boil, and swell or shrink. first: index of the first node; fx: where the particle is in
        the nodes, in cells; full: kg in a cell at rest."""
        w = self.weights(fx)
        ny, nz = self.shape[2], self.shape[3]
        around, own, aside, spread, swell = 0.0, 0.0, qd.Vector.zero(qd.f32, 3), 0.0, 0.0
        for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
            at = first + (i * ny + j) * nz + l
            arm = qd.Vector([float(i), float(j), float(l)]) - fx
            weight = w[i, 0] * w[j, 1] * w[l, 2]
            own += weight * self.node[at][3]
            mass = weight * (self.node[at][3] + full * self.solid[at])
            around += mass
            aside += mass * arm
            spread += mass * arm.norm_sqr()
            swell += weight * self.swell[at]
        J = F.determinant()
        J += qd.min(self.dt[None] / EVEN_S, 1.0) * (swell / own - J)
        if aside.norm() < ASIDE * around and spread > SPREAD * around:
            J += qd.min(self.dt[None] / REFILL_S, 1.0) * (full / around - J)
        return qd.pow(J, 1.0 / 3.0) * laws.identity()

    @qd.kernel
    def gather(self):
        """Velocity, C and position of every particle from the nodes of its body."""
        matter = self.matter
        for p in range(self.material.shape[0]):
            if matter.active[p] == 1:
                dx = self.dx[None]
                base, fx = self.inside(p)
                w = self.weights(fx)
                ny, nz = self.shape[2], self.shape[3]
                first = self.entry(self.field[p], base[0], base[1], base[2])
                velocity = qd.Vector.zero(qd.f32, 3)
                C = qd.Matrix.zero(qd.f32, 3, 3)
                for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                    arm = qd.Vector([float(i), float(j), float(l)]) - fx
                    node = self.node[first + (i * ny + j) * nz + l]
                    v = (w[i, 0] * w[j, 1] * w[l, 2]) * qd.Vector([node[0], node[1], node[2]])
                    velocity += v
                    C += v.outer_product(arm)
                pos = matter.pos[p] + self.dt[None] * velocity
                low = self.first() + BOUNDARY_CELLS
                size = qd.Vector([self.shape[1], self.shape[2], self.shape[3]])
                high = low + size - 1 - 2 * BOUNDARY_CELLS
                for c in qd.static(range(3)):
                    pos[c] = qd.min(qd.max(pos[c], low[c] * dx), high[c] * dx)
                matter.pos[p] = pos
                matter.vel[p] = velocity
                matter.C[p] = (4.0 / dx) * C
                m = self.material[p]
                if self.law[m] == laws.LIQUID:
                    matter.F[p] = self.evened(matter.F[p], first, fx, self.density[m] * dx**3)

    @qd.kernel
    def clear(self):
        """Empty the nodes that were touched."""
        for entry in range(self.listed[None]):
            self.node[self.list[entry]] = qd.Vector([0.0, 0.0, 0.0, 0.0])
            self.swell[self.list[entry]] = 0.0
            self.solid[self.list[entry]] = 0.0

    @qd.kernel
    def forget_list(self):
        self.listed[None] = 0
