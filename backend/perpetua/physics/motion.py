"""What moves as the artist keyed it, whatever else happens: pins and colliders over one control step.

Between the keyed poses at the step's ends a thing moves with constant velocity V of its centre c and constant turn omega, so a
point x of it moves over a substep dt by

    v(x) dt = dt V + (exp([omega] dt) - 1) (x - c)          exactly, which is  v(x) = V + A (x - c)  with A = (exp([omega] dt) - 1) / dt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation as Turn

from perpetua.errors import SimulationError
from perpetua.physics.forces import Moment, targeted
from perpetua.physics.signed_distance import DistanceGrid, distance_grid
from perpetua.physics.surface_points import surface_points
from perpetua.scene.actions import is_active, sample_rotation, sample_vector
from perpetua.scene.materials import Material
from perpetua.scene.particles import RigidPose
from perpetua.scene.scene import Body
from perpetua_protocol import actions
from perpetua_protocol.take import Round
from perpetua_protocol.tracks import Rotation, Vector

Corners = tuple[tuple[float, ...], ...]
Triangles = tuple[tuple[int, ...], ...]

WHOLE = 1e6
"""m; the reach of a pin that holds its objects whole."""

UNHELD_MODELS = frozenset({"gas"})
"""Materials that a pin cannot hold: nobody holds steam. A collider stops everything."""

SURFACE_NODES = 64
"""Nodes of a collider's distance field along each axis."""

TOUCH_CELLS = 2.0
"""Cells of a distance field; matter that comes so close is said to be reached."""

SURFACE_MARGIN = 0.06
"""How far the field reaches beyond the mesh, in sizes of the mesh."""


@dataclass(frozen=True)
class Motion:
    """centre: [3] m and rotation: [3, 3] at the start.  velocity: [3] m/s.  spin: [3] rad/s, world axes."""

    centre: NDArray[np.float64]
    rotation: NDArray[np.float64]
    velocity: NDArray[np.float64]
    spin: NDArray[np.float64]

    @staticmethod
    def keyed(location: Vector, rotation: Rotation, moment: Moment) -> Motion:
        """The motion of a keyed pose over the control step ``moment``."""
        start, end = moment.frame - moment.step / 2, moment.frame + moment.step / 2
        seconds = moment.step / moment.fps
        c0, c1 = sample_vector(location, start), sample_vector(location, end)
        r0, r1 = (Turn.from_quat(sample_rotation(rotation, f), scalar_first=True) for f in (start, end))
        spin = (r1 * r0.inv()).as_rotvec() / seconds
        return Motion(c0, r0.as_matrix(), (c1 - c0) / seconds, spin)

    def later(self, seconds: float) -> Motion:
        """The same motion, begun ``seconds`` later."""
        return Motion(
            self.centre + self.velocity * seconds,
            self.turn(seconds) @ self.rotation,
            self.velocity,
            self.spin,
        )

    def velocity_at(self, points: NDArray) -> NDArray[np.float64]:
        """[N, 3] m/s of ``points`` [N, 3] m that are welded to it, at its start."""
        return self.velocity + np.cross(self.spin, points - self.centre)

    def turn(self, seconds: float) -> NDArray[np.float64]:
        """[3, 3]: how it has turned after ``seconds``."""
        return Turn.from_rotvec(self.spin * seconds).as_matrix()

    def carried(self, points: NDArray, seconds: float) -> NDArray[np.float64]:
        """Where ``points`` [N, 3] m that are welded to it are after ``seconds``."""
        return (points - self.centre) @ self.turn(seconds).T + self.centre + self.velocity * seconds

    def local(self, points: NDArray) -> NDArray[np.float64]:
        """``points`` [N, 3] m in its own axes, at its start."""
        return (points - self.centre) @ self.rotation


@dataclass(frozen=True)
class Pin:
    """A pin over a control step. bodies: [B] bool, which it holds.  reach: m."""

    name: str
    bodies: NDArray[np.bool_]
    motion: Motion
    reach: float

    def holds(self, positions: NDArray, body: NDArray) -> NDArray[np.bool_]:
        """[N]: which of the matter at ``positions`` [N, 3] m of ``body`` [N] it holds."""
        near = np.linalg.norm(positions - self.motion.centre, axis=1) <= self.reach
        return near & self.bodies[body]

    def reaches(self, positions: NDArray, body: NDArray) -> bool:
        """Whether it holds anything."""
        return bool(self.holds(positions, body).any())


@dataclass(frozen=True)
class PinnedBody:
    """A rigid body welded to a motion. centre: [3] m, its centre of mass at rest.  start: its pose as the motion starts."""

    centre: NDArray[np.float64]
    start: RigidPose
    motion: Motion

    def after(self, seconds: float) -> RigidPose:
        """Its pose and motion after ``seconds``."""
        place = self.motion.carried((self.centre + self.start.position)[None], seconds)[0]
        turned = Turn.from_rotvec(self.motion.spin * seconds) * Turn.from_quat(
            self.start.quaternion, scalar_first=True
        )
        arm = place - self.motion.centre - self.motion.velocity * seconds
        velocity = self.motion.velocity + np.cross(self.motion.spin, arm)
        quaternion = turned.as_quat(scalar_first=True)
        return RigidPose(place - self.centre, quaternion, velocity, self.motion.spin)


@dataclass(frozen=True)
class Collider:
    """A collider over a control step. bodies: [B] bool, what collides with it."""

    name: str
    bodies: NDArray[np.bool_]
    motion: Motion
    surface: DistanceGrid
    points: NDArray[np.float64]
    """[S, 3] m, of its surface, in its own axes"""
    friction: float

    def distance(self, positions: NDArray) -> NDArray[np.float64]:
        """[N] m: how far ``positions`` [N, 3] m are outside its surface."""
        return self.surface.at(self.motion.local(positions))

    @property
    def ball(self) -> tuple[NDArray[np.float64], float]:
        """Centre [3] m and radius, m, of a ball around it."""
        half = 0.5 * self.surface.cell * (len(self.surface.values) - 1)
        middle = self.surface.origin + half
        return self.motion.centre + self.motion.rotation @ middle, float(np.sqrt(3.0) * half)

    def outward(self, positions: NDArray) -> NDArray[np.float64]:
        """[N, 3]: the unit normals of its surface nearest to ``positions`` [N, 3] m."""
        return self.surface.outward(self.motion.local(positions)) @ self.motion.rotation.T

    def placed(self, points: NDArray) -> NDArray[np.float64]:
        """World coordinates [N, 3] m of ``points`` [N, 3] m in its own axes."""
        return points @ self.motion.rotation.T + self.motion.centre

    def later(self, seconds: float) -> Collider:
        """The same collider ``seconds`` later."""
        return replace(self, motion=self.motion.later(seconds))

    def reaches(self, positions: NDArray, body: NDArray) -> bool:
        """Whether matter is within a few cells of its surface, where it may touch."""
        own = positions[self.bodies[body]]
        return bool(len(own)) and float(self.distance(own).min()) < TOUCH_CELLS * self.surface.cell


def moved_at(
    round_: Round, start_frame: float, moment: Moment, bodies: list[Body]
) -> list[Pin | Collider | None]:
    """One entry for each action of the round, which starts at ``start_frame``: the pin or collider it is over the control step
    ``moment``, None while it is none."""
    out: list[Pin | Collider | None] = []
    for action in round_.actions:
        if not isinstance(action, actions.Pin | actions.Collider) or not is_active(
            action, moment.frame, round_, start_frame
        ):
            out.append(None)
            continue
        motion = Motion.keyed(action.location, action.rotation, moment)
        named = targeted(action, [body.name for body in bodies])
        if isinstance(action, actions.Pin):
            reach = WHOLE if action.reach is None else action.reach
            out.append(Pin(action.name, named & ~_of(UNHELD_MODELS, bodies), motion, reach))
        else:
            surface, points = surface_of(action.name, action.mesh), points_of(action.mesh)
            out.append(Collider(action.name, named, motion, surface, points, action.friction))
    return out


def check_targets(rounds: Sequence[Round], materials: Mapping[str, Material]) -> None:
    """Raise ``SimulationError`` for a pin that is limited to an object which cannot be held. materials: by the object's name."""
    for round_ in rounds:
        for action in round_.actions:
            if not isinstance(action, actions.Pin):
                continue
            for name in action.targets:
                material = materials.get(name)
                if material is not None and material.model in UNHELD_MODELS:
                    raise SimulationError(
                        f"The pin '{action.name}' cannot hold '{name}', which is {material.preset}, a gas; take it from the pin's targets, "
                        "and guide it by a wind, a force or a collider."
                    )


def _of(models: frozenset[str], bodies: list[Body]) -> NDArray[np.bool_]:
    return np.array([body.material.model in models for body in bodies], bool)


def fastest(action: actions.Pin | actions.Collider, moment: Moment) -> float:
    """m/s of the fastest point of a pin's ball or a collider's mesh over the stretch ``moment``."""
    motion = Motion.keyed(action.location, action.rotation, moment)
    if isinstance(action, actions.Pin):
        size = action.reach or 0.0
    else:
        size = float(np.linalg.norm(np.asarray(action.mesh.vertices), axis=1).max())
    return float(np.linalg.norm(motion.velocity) + size * np.linalg.norm(motion.spin))


def surface_of(name: str, mesh: actions.Mesh) -> DistanceGrid:
    """The distances to a collider's mesh. Raises ``SimulationError`` naming the collider if the mesh encloses nothing."""
    surface = _surface(mesh.vertices, mesh.faces)
    if surface is None or not (surface.values < 0).any():
        raise SimulationError(
            f"The mesh of the collider '{name}' has no inside; give it a closed surface with some thickness."
        )
    return surface


def points_of(mesh: actions.Mesh) -> NDArray[np.float64]:
    """[S, 3] m: points of a collider's surface."""
    return _points(mesh.vertices, mesh.faces)


@lru_cache(maxsize=16)
def _points(vertices: Corners, faces: Triangles) -> NDArray[np.float64]:
    return surface_points(_mesh(vertices, faces))


def _mesh(vertices: Corners, faces: Triangles) -> trimesh.Trimesh:
    mesh = trimesh.Trimesh(np.asarray(vertices, float), np.asarray(faces, np.int64), process=False)
    mesh.remove_unreferenced_vertices()
    return mesh


@lru_cache(maxsize=16)
def _surface(vertices: Corners, faces: Triangles) -> DistanceGrid | None:
    mesh = _mesh(vertices, faces)
    size = float(mesh.extents.max())
    return distance_grid(mesh, SURFACE_NODES, SURFACE_MARGIN * size) if size > 0 else None
