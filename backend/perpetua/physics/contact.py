# mypy: disable-error-code="no-untyped-def, valid-type"
"""The support plane z = 0 as matter meets it: no gap, no sinking, Coulomb friction of each body's own.

A plane that stopped every grid node below it as soon as a particle's kernel reaches that node would leave a body
about a grid cell (two particles) too high. So a node at or below the plane stops matter only as fast as the lowest particle
of its column would otherwise pass through the plane within the substep (speculative contact): with gap g of that particle to its resting height,
the node's velocity along z is at least -g / dt. The resting height of a standing body's base is where the picture shows it, so
a body at rest stays exactly where it is seen. Friction takes mu times the normal change from the tangential velocity, down to a full stop, which
holds a body on the grid without creep.

A liquid does not spread without end: where it lies thinner than its puddles are (``film_thickness``) it holds on to the plane, as the line does in
which its surface meets a table.

No ``from __future__ import annotations`` here: the compiler reads the annotations of kernels as values.
"""

import math

import numpy as np
import quadrants as qd
from numpy.typing import NDArray

from perpetua.physics.matter import ONE_THREAD
from perpetua.physics.shared_kernels import Floats, Integers, Shared, floats, integers, shared_kernels
from perpetua.scene.materials import Material
from perpetua.scene.scene import Scene

LAYERS = 1.25
"""Particles in a single uneven layer stand up to this many spacings high."""

STANDARD_GRAVITY = 9.81
"""m/s^2"""

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


def film_thickness(material: Material, spacing: float) -> float:
    """m, where a puddle of a liquid ends: 2 sqrt(gamma / (rho g)) sin(theta / 2), at which the weight that spreads it is balanced by
    the surfaces it would make (de Gennes, Brochard-Wyart and Quere 2004, 2.2), or ``LAYERS`` of particles where these are coarser;
    0 for what is no liquid."""
    if material.model != "liquid" or material.surface_tension == 0.0:
        return 0.0
    capillary = math.sqrt(material.surface_tension / (material.density * STANDARD_GRAVITY))
    return max(2.0 * capillary * math.sin(math.radians(material.contact_angle) / 2.0), LAYERS * spacing)


@shared_kernels
class PlaneContact(Shared):
    """The plane for ``fields`` bodies on a grid of [nx, ny] columns with cells of ``dx`` m and substeps of ``dt`` s; particles of
    ``radius`` m.

    ``find_gaps`` runs before every substep; ``stop`` is asked for every node.
    """

    def __init__(
        self,
        lower: tuple[int, int, int],
        columns: tuple[int, int],
        fields: int,
        dx: float,
        dt: float,
        radius: float,
    ) -> None:
        self.lower = integers(2)
        self.lower.from_numpy(np.array(lower[:2], np.int32))
        self.dx, self.dt, self.radius = floats(), floats(), floats()
        self.dx[None], self.radius[None] = dx, radius
        self.set_substep(dt)
        self.gap = floats(fields, *columns)
        self.mu = floats(fields, *columns)
        self.depth = floats(fields, *columns)
        """m, how high each body's matter stands over a column of nodes."""
        self.film = floats(fields)
        """m; a film thinner than this holds on to the plane."""

    def set_films(self, films: NDArray) -> None:
        """films: [fields] m."""
        self.film.from_numpy(np.asarray(films, np.float32))

    def set_substep(self, dt: float) -> None:
        """dt: s."""
        self.dt[None] = dt

    @qd.func
    def stop(self, k, x, y, pos, vel):
        """The velocity [3] m/s that the plane leaves a node of body ``k`` in column ``x``, ``y`` at ``pos`` [3] m."""
        out = vel
        if pos[2] < 0.5 * self.dx[None]:
            least = (
                -qd.max(self.gap[k, x, y], 0.0) / self.dt[None]
            )  # pushing out what is too low would lift its neighbours
            change = least - vel[2]
            if change > 0.0:
                speed = qd.sqrt(vel[0] * vel[0] + vel[1] * vel[1])
                keep = 1.0 - qd.min(self.mu[k, x, y] * change, speed) / qd.max(speed, 1e-12)
                if self.depth[k, x, y] < self.film[k]:
                    keep = 0.0
                out = qd.Vector([vel[0] * keep, vel[1] * keep, least])
        return out

    @qd.kernel
    def find_gaps(
        self,
        solver: qd.template(),
        body: Integers,
        height: Floats,
        friction: Floats,
    ):
        """For every column and body, the gap of the lowest particle whose kernel reaches it, and the friction there."""
        for k, ix, iy in self.gap:
            self.gap[k, ix, iy] = FAR
            self.mu[k, ix, iy] = friction[k]
            self.depth[k, ix, iy] = 0.0
        qd.loop_config(parallelize=ONE_THREAD)
        for p in range(body.shape[0]):
            pos = solver.pos[p]
            dx = self.dx[None]
            if pos[2] < 3.0 * dx and solver.active[p] == 1:
                gap = pos[2] - height[p]
                bx = qd.cast(qd.floor(pos[0] / dx - 0.5), qd.i32) - self.lower[0]
                by = qd.cast(qd.floor(pos[1] / dx - 0.5), qd.i32) - self.lower[1]
                for i, j in qd.static(qd.ndrange(3, 3)):
                    qd.atomic_min(self.gap[body[p], bx + i, by + j], gap)
                    qd.atomic_max(self.depth[body[p], bx + i, by + j], pos[2] + self.radius[None])
