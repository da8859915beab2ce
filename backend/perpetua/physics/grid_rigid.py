# mypy: disable-error-code="no-untyped-def, valid-type"
"""Rigid bodies as matter on the grid meets them: which nodes a rigid surface stops, as the nearest particles see it.

The contact itself, with both masses and friction, is ``rigid_contact``'s.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

import quadrants as qd

from perpetua.physics.matter import ONE_THREAD
from perpetua.physics.rigid_contact import NEAR_CELLS, RigidContact
from perpetua.physics.shared_kernels import Shared, floats, integers, shared_kernels, vectors

BAND_CELLS = 2.0
"""Particles closer to a rigid surface than this see it: the kernel reaches 1.5 cells."""

FAR = 1e9
"""m; the gap of a node that no particle near a rigid surface reaches."""


@shared_kernels
class GridRigid(Shared):
    """The surfaces of ``contact`` on ``cells`` [3] nodes for each of ``fields`` soft bodies."""

    def __init__(self, contact: RigidContact, fields: int, cells: tuple[int, int, int]) -> None:
        shape = (fields, *cells) if contact.bodies else (1, 1, 1, 1)
        self.contact = contact
        self.gap, self.body, self.normal = floats(*shape), integers(*shape), vectors(3, *shape)

    def find_gaps(self, grid) -> None:
        """Find what is near in ``grid`` (a ``SoftGrid`` after ``scatter``)."""
        if self.contact.bodies:
            self._find_gaps(grid)

    @qd.kernel
    def _find_gaps(self, grid: qd.template()):
        """For each node the particles of a rigid body's surroundings that reach it: their least gap, to which body, and which way
        is out."""
        for entry in range(grid.listed[None]):
            k, x, y, z = grid.listed_node(entry)
            self.gap[k, x, y, z] = FAR
            self.normal[k, x, y, z] = qd.Vector([0.0, 0.0, 0.0])
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(grid.material.shape[0]):
            if grid.matter.active[p] == 1:
                pos = grid.matter.pos[p]
                r, distance = self.contact.nearest(pos)
                dx = grid.dx[None]
                if distance < BAND_CELLS * dx:
                    n = self.contact.outward(r, pos)
                    gap = distance - grid.radius[None]
                    base, fx = grid.inside(p)
                    w = grid.weights(fx)
                    k = grid.field[p]
                    for i, j, l in qd.static(qd.ndrange(3, 3, 3)):
                        arm = (qd.Vector([float(i), float(j), float(l)]) - fx) * dx
                        if arm.dot(n) + distance < NEAR_CELLS * dx:
                            x, y, z = base[0] + i, base[1] + j, base[2] + l
                            self.normal[k, x, y, z] += w[i, 0] * w[j, 1] * w[l, 2] * n
                            if gap < self.gap[k, x, y, z]:
                                self.gap[k, x, y, z] = gap
                                self.body[k, x, y, z] = r

    @qd.func
    def stop(self, k, x, y, z, pos, vel, mass, friction, dt):
        """The velocity [3] m/s that rigid bodies leave a node of body field ``k`` of ``mass`` kg at ``pos`` [3] m."""
        out = vel
        if self.contact.count[None] > 0:
            n = self.normal[k, x, y, z]
            if n.norm() > 1e-6:
                gap = self.gap[k, x, y, z]
                out = self.contact.stop(
                    self.body[k, x, y, z], n / n.norm(), pos, vel, mass, gap, friction, dt
                )
        return out
