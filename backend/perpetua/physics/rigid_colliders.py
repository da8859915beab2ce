"""Colliders as rigid bodies meet them: impulses at the points where a body's surface touches a collider's.

Both surfaces are seen as points, each against the signed distance of the other, so that neither a corner of the body nor one of the
collider goes unseen. A point at the distance g may approach the collider at most at g / dt (speculative contact, as for matter on the
grid), and leaves at e times its speed of arrival where it comes in faster than ``QUIET`` (Newton's restitution). The impulses that this takes are
found together, Coulomb's friction in each, by projected Gauss-Seidel (Jean 1999, "The non-smooth contact dynamics method"), with the mass and
inertia of the body, and act over the next substep. A collider takes no notice of them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numba
import numpy as np
from numpy.typing import NDArray

from perpetua.physics.motion import Collider
from perpetua.physics.rigid import RigidBody
from perpetua.physics.rigid_kernels import matrix
from perpetua.physics.signed_distance import distance_grid
from perpetua.physics.surface_points import surface_points

MOST_TOUCHING = 24
"""Contacts of a body and a collider at once: the deepest, and those farthest from one another."""

SWEEPS = 60
"""Of Gauss-Seidel at most."""

STILL = 1e-6
"""m/s; a sweep that changes no contact by more is the last."""

QUIET = 0.1
"""m/s; what arrives more slowly does not bounce."""

LIFT = 0.05
"""Share of an overlap that is undone in a substep."""

SLOP = 2e-5
"""m of overlap that is left alone."""

DISTANCE_NODES = 48
"""Nodes of a body's distance field along each axis."""

MARGIN = 0.06
"""How far that field reaches beyond the body, in sizes of the body."""


class RigidSurface:
    """A rigid body's surface about its centre of mass: points [S, 3] m, and its signed distances."""

    def __init__(self, body: RigidBody) -> None:
        mesh = body.shape.mesh
        self.points = surface_points(mesh)
        self.distances = distance_grid(mesh, DISTANCE_NODES, MARGIN * float(mesh.extents.max()))
        self.radius = float(np.linalg.norm(mesh.vertices, axis=1).max())
        self.inertia = np.asarray(mesh.moment_inertia, np.float64) / mesh.volume
        """[3, 3] m^2: about the centre, for a mass of one."""


class RigidColliders:
    """What colliders do to ``bodies`` in substeps of ``dt`` s."""

    def __init__(self, bodies: Sequence[RigidBody], dt: float) -> None:
        self._bodies, self._dt = bodies, dt
        self._surfaces: dict[int, RigidSurface] = {}
        self._colliders: Sequence[Collider] = ()

    def set(self, colliders: Sequence[Collider]) -> None:
        """Take over ``colliders`` for the control step that begins."""
        if colliders:
            self._surfaces = self._surfaces or {body.index: RigidSurface(body) for body in self._bodies}
        self._colliders = colliders

    def push(self, seconds: float, gravity: NDArray, free: Set[int]) -> None:
        """Push the bodies of the indices ``free`` for the substep that begins ``seconds`` into the control step."""
        if not self._colliders:
            return
        colliders = [collider.later(seconds) for collider in self._colliders]
        for body in self._bodies:
            if body.index in free:
                self._push(body, colliders, gravity)

    def _push(self, body: RigidBody, colliders: Sequence[Collider], gravity: NDArray) -> None:
        surface, pose = self._surfaces[body.index], body.store()
        centre, rotation = body.shape.centre + pose.position, matrix(pose.quaternion)
        found = [
            touching(surface, centre, rotation, pose.velocity, collider, self._dt)
            for collider in colliders
            if collider.bodies[body.index]
        ]
        found = [contacts for contacts in found if len(contacts)]
        if not found:
            return
        contacts = np.concatenate(found)
        inverse = rotation @ np.linalg.inv(surface.inertia * body.shape.mass) @ rotation.T
        impulse = solve(
            contacts, pose.velocity + self._dt * gravity, pose.angular_velocity, 1.0 / body.shape.mass, inverse,
            body.restitution, self._dt,
        )  # fmt: skip
        if impulse.any():
            body.push(impulse[:3] / self._dt, impulse[3:] / self._dt)


def touching(
    surface: RigidSurface,
    centre: NDArray,
    rotation: NDArray,
    velocity: NDArray,
    collider: Collider,
    dt: float,
) -> NDArray[np.float64]:
    """[n, 11]: contacts of a body whose ``centre`` [3] m moves at ``velocity`` [3] m/s: arm from its centre, outward normal of the collider, the
    collider's velocity there, gap, friction."""
    approach = np.linalg.norm(velocity - collider.motion.velocity_at(centre[None])[0])
    band = 2.0 * dt * float(approach + QUIET) + 10.0 * SLOP
    if collider.distance(centre[None])[0] > surface.radius + band:
        return np.zeros((0, 11))
    own = surface.points @ rotation.T + centre
    gap = collider.distance(own)
    near = gap < band
    own, gap = own[near], gap[near]
    theirs = collider.placed(collider.points)
    local = (theirs - centre) @ rotation
    near = np.linalg.norm(local, axis=1) < surface.radius + band
    depth = surface.distances.at(local[near])
    theirs = theirs[near][depth < band]
    gaps = np.concatenate([gap, depth[depth < band]])
    place = np.concatenate([own, theirs])
    chosen = spread(place, gaps)
    place = place[chosen]
    speed = collider.motion.velocity_at(place)
    friction = np.full(len(place), collider.friction)
    return np.column_stack([place - centre, collider.outward(place), speed, gaps[chosen], friction])


@numba.njit(cache=True)
def spread(places, gaps):  # type: ignore[no-untyped-def]
    """Indices of at most ``MOST_TOUCHING`` of ``places`` [n, 3]: first the one of least gap [n], then always the one farthest from those
    chosen (farthest point sampling)."""
    n = len(gaps)
    if n <= MOST_TOUCHING:
        return np.arange(n)
    chosen = np.empty(MOST_TOUCHING, np.int64)
    away = np.full(n, np.inf)
    best = int(np.argmin(gaps))
    for k in range(MOST_TOUCHING):
        chosen[k] = best
        for i in range(n):
            d = places[i] - places[best]
            away[i] = min(away[i], d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        best = int(np.argmax(away))
    return chosen


@numba.njit(cache=True)
def solve(contacts, velocity, spin, inverse_mass, inverse_inertia, restitution, dt):  # type: ignore[no-untyped-def]
    """[6]: impulse N s and turning impulse N m s about the centre that ``contacts`` [n, 11] (see ``touching``) give a free body which would
    move at ``velocity`` [3] m/s and ``spin`` [3] rad/s. inverse_inertia: [3, 3] 1/(kg m^2), world axes."""
    n = contacts.shape[0]
    v, w = velocity.copy(), spin.copy()
    total = np.zeros(6)
    pressed = np.zeros(n)
    dragged = np.zeros((n, 3))
    least = np.empty(n)
    for c in range(n):
        arm, normal, own, gap = contacts[c, 0:3], contacts[c, 3:6], contacts[c, 6:9], contacts[c, 9]
        approach = np.dot(v + np.cross(w, arm) - own, normal)
        least[c] = -max(gap, 0.0) / dt + LIFT * max(-gap - SLOP, 0.0) / dt
        if approach < -QUIET and gap + approach * dt < 0.0:
            least[c] = max(least[c], -restitution * approach)
    for _ in range(SWEEPS):
        change = 0.0
        for c in range(n):
            arm, normal, own = contacts[c, 0:3], contacts[c, 3:6], contacts[c, 6:9]
            slip = v + np.cross(w, arm) - own
            across = np.cross(arm, normal)
            give = inverse_mass + np.dot(across, inverse_inertia @ across)
            was = pressed[c]
            pressed[c] = max(was + (least[c] - np.dot(slip, normal)) / give, 0.0)
            impulse = (pressed[c] - was) * normal
            change = max(change, abs(pressed[c] - was) * inverse_mass)
            v += inverse_mass * impulse
            w += inverse_inertia @ np.cross(arm, impulse)
            total[:3] += impulse
            total[3:] += np.cross(arm, impulse)
            slip = v + np.cross(w, arm) - own
            slip = slip - np.dot(slip, normal) * normal
            speed = np.sqrt(np.dot(slip, slip))
            if speed > 1e-12 or pressed[c] < was:
                along = slip / max(speed, 1e-12)
                across = np.cross(arm, along)
                give = inverse_mass + np.dot(across, inverse_inertia @ across)
                wanted = dragged[c] - slip / give
                most = contacts[c, 10] * pressed[c]
                size = np.sqrt(np.dot(wanted, wanted))
                if size > most:
                    wanted = wanted * (most / size)
                impulse = wanted - dragged[c]
                change = max(change, np.sqrt(np.dot(impulse, impulse)) * inverse_mass)
                dragged[c] = wanted
                v += inverse_mass * impulse
                w += inverse_inertia @ np.cross(arm, impulse)
                total[:3] += impulse
                total[3:] += np.cross(arm, impulse)
        if change < STILL:
            break
    return total
