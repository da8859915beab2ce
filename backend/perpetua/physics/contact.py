# mypy: disable-error-code="no-untyped-def, valid-type"
"""The support plane z = 0 as matter meets it: no gap, no sinking, Coulomb friction of each body's own.

Genesis' plane acts on every grid node below it as soon as a particle's kernel reaches that node, so a body comes to rest
about a grid cell (two particles) too high. Here a node at or below the plane stops matter only as fast as the lowest particle
of its column would otherwise pass through the plane within the substep (speculative contact): with gap g of that particle to its resting height,
the node's velocity along z is at least -g / dt. The resting height of a standing body's base is where the picture shows it, so
a body at rest stays exactly where it is seen. Friction takes mu times the normal change from the tangential velocity, down to a full stop, which
holds a body on the grid without creep.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.scene.scene import Scene

FAR = 1e9
"""m; the gap of a column without particles."""


def resting_heights(scene: Scene) -> NDArray[np.float32]:
    """[P], m: how high each particle's centre is above the plane when it touches the plane.

    The particles of a standing body that are seen within a spacing of its lowest one are its base and touch where they are
    seen; every other particle touches at half a spacing, its own radius.
    """
    z = scene.particles.positions[:, 2]
    heights = np.full(len(z), 0.5 * scene.spacing, np.float32)
    for index, body in enumerate(scene.bodies):
        own = scene.particles.body == index
        if not body.resting or not own.any():
            continue
        lowest = float(z[own].min())
        if abs(lowest) <= scene.spacing:
            base = own & (z <= lowest + scene.spacing)
            heights[base] = z[base]
    return heights


@qd.data_oriented
class PlaneContact:
    """The plane for particles on a grid of [nx, ny] columns with cells of ``dx`` m and substeps of ``dt`` s.

    ``acceleration`` goes to Genesis as a force field; ``find_gaps`` runs before every substep.
    """

    def __init__(self, lower: tuple[int, int, int], columns: tuple[int, int], dx: float, dt: float) -> None:
        self.x0, self.y0 = lower[0], lower[1]
        self.nx, self.ny = columns
        self.dx, self.dt = dx, dt
        self.gap = qd.field(qd.f32, shape=columns)
        self.mu = qd.field(qd.f32, shape=columns)

    @qd.func
    def acceleration(self, pos, vel, t, i):
        """m/s^2 that stops a grid node at ``pos`` [3] m with velocity ``vel`` [3] m/s from passing through the plane."""
        out = qd.Vector.zero(qd.f32, 3)
        if pos[2] < 0.5 * self.dx:
            ix = qd.cast(qd.round(pos[0] / self.dx), qd.i32) - self.x0
            iy = qd.cast(qd.round(pos[1] / self.dx), qd.i32) - self.y0
            gap = self.gap[ix, iy]
            least = -qd.max(gap, 0.0) / self.dt  # pushing out what is too low would lift its neighbours too
            change = least - vel[2]
            if change > 0.0:
                speed = qd.sqrt(vel[0] * vel[0] + vel[1] * vel[1])
                loss = qd.min(self.mu[ix, iy] * change, speed)
                keep = loss / qd.max(speed, 1e-12)
                out = qd.Vector([-vel[0] * keep, -vel[1] * keep, change]) / self.dt
        return out

    @qd.kernel
    def find_gaps(
        self, solver: qd.template(), body: qd.template(), height: qd.template(), friction: qd.template()
    ):
        """For every column, the gap of the lowest particle whose kernel reaches it, and that particle's friction."""
        for ix, iy in self.gap:
            self.gap[ix, iy] = FAR
            self.mu[ix, iy] = 0.0
        for p in range(solver._n_particles):
            pos = solver.particles[0, p, 0].pos
            if pos[2] < 3.0 * self.dx:
                gap = pos[2] - height[p]
                bx = qd.cast(qd.floor(pos[0] / self.dx - 0.5), qd.i32) - self.x0
                by = qd.cast(qd.floor(pos[1] / self.dx - 0.5), qd.i32) - self.y0
                for i, j in qd.static(qd.ndrange(3, 3)):
                    qd.atomic_min(self.gap[bx + i, by + j], gap)
        for p in range(solver._n_particles):
            pos = solver.particles[0, p, 0].pos
            if pos[2] < 3.0 * self.dx:
                gap = pos[2] - height[p]
                bx = qd.cast(qd.floor(pos[0] / self.dx - 0.5), qd.i32) - self.x0
                by = qd.cast(qd.floor(pos[1] / self.dx - 0.5), qd.i32) - self.y0
                for i, j in qd.static(qd.ndrange(3, 3)):
                    if gap <= qd.max(self.gap[bx + i, by + j], 0.0):
                        qd.atomic_max(self.mu[bx + i, by + j], friction[body[p]])
