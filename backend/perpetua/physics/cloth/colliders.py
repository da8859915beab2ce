# mypy: disable-error-code="no-untyped-def, valid-type"
"""Colliders as cloth meets them: the plane in front of each vertex that it cannot cross.

Once a substep every vertex near a collider gets the plane through the nearest point of its surface, moving as that point moves, which
``Sheet`` keeps it out of. A vertex that is inside all the same is put back onto the surface, where it is lifted gently to the
height at which cloth lies. Between its vertices a sheet may cut into a ridge that is finer than its spacing.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values. Import this module
after Genesis has been started.
"""

from collections.abc import Sequence

import numpy as np
import quadrants as qd

from perpetua.physics.cloth.sheet import COLLIDER, Sheet
from perpetua.physics.collider_surfaces import ColliderSurfaces
from perpetua.physics.motion import Collider
from perpetua.physics.shared_kernels import Shared, floats, shared_kernels

BAND = 3.0
"""Vertices closer to a surface than so many spacings see it: far more than they move in a substep."""

LIFT = 0.05
"""Share of the way to the height at which it lies that a vertex is lifted in a substep."""


@shared_kernels
class SheetColliders(Shared):
    """Up to ``capacity`` colliders of cloth among ``bodies`` bodies; it lies ``height`` m above them, its particles ``spacing`` m apart."""

    def __init__(self, capacity: int, bodies: int, spacing: float, height: float) -> None:
        self.surfaces = ColliderSurfaces(capacity, np.arange(bodies))
        self.band, self.height = floats(), floats()
        self.band[None], self.height[None] = BAND * spacing, height

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self.surfaces.set_substep(dt)

    def set(self, colliders: Sequence[Collider], sheet: Sheet) -> None:
        """Take over ``colliders`` for the control step that begins."""
        had = self.surfaces.any
        self.surfaces.set(colliders)
        if had and not colliders:
            sheet.touch_nothing(COLLIDER)

    def before_substep(self, sheet: Sheet) -> None:
        """Find the planes of the substep."""
        if self.surfaces.any:
            self._find(sheet)

    @qd.kernel
    def _find(self, sheet: qd.template()):
        self.surfaces.frames.advance()
        for i in range(sheet.n[None]):
            sheet.touching[COLLIDER, i] = 0
            nearest, normal, which = self.band[None], qd.Vector.zero(qd.f32, 3), 0
            for a in range(self.surfaces.frames.count[None]):
                if self.surfaces.acts_on[a, sheet.body[i]] == 1 and sheet.weight[i] > 0.0:
                    distance, outward = self.surfaces.distance(a, sheet.x[i])
                    if distance < nearest:
                        nearest = distance
                        normal = outward
                        which = a
            if nearest < self.band[None]:
                own = self.surfaces.frames.velocity_at(which, sheet.x[i])
                if nearest < 0.0:
                    sheet.x[i] -= nearest * normal
                    sheet.v[i] -= qd.min((sheet.v[i] - own).dot(normal), 0.0) * normal
                    nearest = 0.0
                low = nearest + LIFT * qd.max(self.height[None] - nearest, 0.0)
                sheet.touching[COLLIDER, i] = 1
                sheet.wall_normal[COLLIDER, i] = normal
                sheet.wall[COLLIDER, i] = sheet.x[i] + (qd.min(low, self.height[None]) - nearest) * normal
                sheet.wall_velocity[COLLIDER, i] = own
                sheet.wall_friction[COLLIDER, i] = self.surfaces.friction[which]
