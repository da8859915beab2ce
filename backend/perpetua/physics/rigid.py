"""Rigid bodies: a free body in Genesis for the surface of the object, and its particles riding on its pose.

The pose of a State maps the picture's shape to now: x = R (x0 - c) + c + position with c the centre of mass at rest. In Genesis the body's
own frame stands at that centre, so its pose is (c + position, quaternion).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from perpetua.errors import SimulationError
from perpetua.physics.rigid_kernels import matrix, ride
from perpetua.scene.materials import Material
from perpetua.scene.particles import RigidPose
from perpetua.scene.scene import Scene

FRICTION_RANGE = (0.01, 5.0)
"""What Genesis accepts."""

PLANE_FRICTION = 0.01
"""Genesis takes the larger friction of two rigid bodies in contact, so the plane has the least: each body brings its own."""

CONVEX_ENOUGH = 0.1
"""A shape whose hull has at most this share more volume is taken as its hull; any other is cut into convex pieces."""

CONTACT_PHASE = 0.4
"""Radians of the contact spring's swing in a substep: some eight substeps from touch to parting."""

PLANE_DAMPING_RATIO = 0.02
PLANE_TIME_CONSTANT = 2.0
"""Substeps. Genesis takes the mean of two bodies' contact parameters; the plane has the least it accepts."""

SUNK = 1e-4
"""m: a body that lies deeper in the plane without having fallen into it is put on it. The spring that lets things bounce would throw it
metres up."""

DULLEST = 0.14
"""Bodies with a restitution up to here do not visibly bounce, and are damped critically."""


@dataclass(frozen=True)
class Shape:
    """A body's surface about its centre of mass. centre: [3] m at rest.  mass: kg.  lift: m, how far above z = 0 its lowest
    point is seen while it stands there (it is put down by as much, so that it neither falls nor digs in)."""

    mesh: trimesh.Trimesh
    centre: NDArray[np.float64]
    mass: float
    lift: float


def shape_of(scene: Scene, index: int) -> Shape:
    """The rigid shape of body ``index``. Raises ``SimulationError`` if its surface encloses nothing."""
    body = scene.bodies[index]
    mesh = trimesh.Trimesh(np.asarray(body.vertices, float), np.asarray(body.faces), process=True)
    if len(mesh.faces) < 4 or not np.isfinite(mesh.vertices).all():
        raise SimulationError(
            f"'{body.name}' is rigid but has no closed surface; choose it again in the picture or give it a soft material."
        )
    if not mesh.is_watertight:
        trimesh.repair.fill_holes(mesh)
    if not mesh.is_watertight or mesh.volume <= 0:
        mesh = mesh.convex_hull
    if not mesh.volume > 0:
        raise SimulationError(f"'{body.name}' is rigid but flat; give it a height or a soft material.")
    centre = np.asarray(mesh.center_mass, float)
    lowest = float(mesh.vertices[:, 2].min())
    lift = lowest if body.resting and abs(lowest) <= scene.spacing else 0.0
    mass = float(mesh.volume) * body.material.density
    mesh.apply_translation(-centre)
    return Shape(mesh, centre, mass, lift)


class RigidBody:
    """Body ``index`` of a scene inside a Genesis scene that is being built."""

    def __init__(self, gs: Any, genesis_scene: Any, scene: Scene, index: int, folder: Path) -> None:
        import coacd

        self._centre_of_mass = gs.link_ref_frame.link_COM
        self.index, self.name = index, scene.bodies[index].name
        self.shape = shape_of(scene, index)
        material = scene.bodies[index].material
        coacd.set_log_level("error")  # it cuts concave shapes into convex pieces, and talks
        path = folder / f"body{index}.obj"
        self.shape.mesh.export(path)
        self._seat = self.shape.centre - [0.0, 0.0, self.shape.lift]
        self._entity = genesis_scene.add_entity(
            gs.morphs.Mesh(
                file=str(path),
                pos=tuple(self._seat),
                align=False,
                decompose_object_error_threshold=CONVEX_ENOUGH,
                file_meshes_are_zup=True,
            ),
            gs.materials.Rigid(
                rho=material.density,
                needs_coup=False,
            ),
        )
        self.own = np.flatnonzero(scene.particles.body == index)
        self.rest = scene.particles.positions[self.own].astype(np.float64)
        self._arms = self.rest - self.shape.centre
        self.restitution = material.restitution

    def adopt(self, material: Material, dt: float) -> None:
        """Be of ``material`` at substeps of ``dt`` s: its density, friction and restitution off the plane. Two bodies lose more together:
        their damping ratios add."""
        self.shape = replace(self.shape, mass=float(self.shape.mesh.volume) * material.density)
        self.point_mass = self.shape.mass / max(1, len(self.own))
        self.restitution = material.restitution
        self.weigh_down(1.0)
        self._entity.set_friction(float(np.clip(material.friction, *FRICTION_RANGE)))
        set_contact(self._entity, *contact_parameters(material.restitution, dt))

    def write(self, pose: RigidPose, state: Any) -> None:
        """Put ``pose`` into a Genesis ``RigidSolverState``."""
        qpos = np.concatenate([self._seat + pose.position, pose.quaternion])
        local = matrix(pose.quaternion).T @ pose.angular_velocity  # Genesis turns a body about its own axes
        q, d = self._entity.q_start, self._entity.dof_start
        state.qpos[0, q : q + 7] = torch.from_numpy(qpos.astype(np.float32))
        state.dofs_vel[0, d : d + 6] = torch.from_numpy(
            np.concatenate([pose.velocity, local]).astype(np.float32)
        )
        state.dofs_acc[0, d : d + 6] = 0.0

    def store(self) -> RigidPose:
        """The body's pose and motion now."""
        qpos = self._entity.get_qpos().cpu().numpy().astype(np.float64)
        twist = self._entity.get_dofs_velocity().cpu().numpy().astype(np.float64)
        return RigidPose(qpos[:3] - self._seat, qpos[3:7], twist[:3], matrix(qpos[3:7]) @ twist[3:6])

    def place(self, pose: RigidPose) -> None:
        """Put the body at ``pose`` with its motion, now."""
        qpos = np.concatenate([self._seat + pose.position, pose.quaternion])
        local = matrix(pose.quaternion).T @ pose.angular_velocity
        self._entity.set_qpos(qpos.astype(np.float32), zero_velocity=False, skip_forward=True)
        self._entity.set_dofs_velocity(np.concatenate([pose.velocity, local]).astype(np.float32))

    def put_on_plane(self, pose: RigidPose) -> RigidPose:
        """``pose``, lifted if the body is sunk in the plane."""
        heights = self.shape.mesh.vertices @ matrix(pose.quaternion)[2]
        lowest = float(heights.min() + self._seat[2] + pose.position[2])
        if lowest >= -SUNK:
            return pose
        return replace(pose, position=pose.position - [0.0, 0.0, lowest])

    def weigh_down(self, factor: float) -> None:
        """Make it ``factor`` times as heavy as it is, for what pushes it in Genesis."""
        self._entity.set_mass(factor * self.shape.mass)

    def carry(
        self, pose: RigidPose, rows: NDArray, positions: NDArray, velocities: NDArray, F: NDArray
    ) -> None:
        """Write into the ``rows`` [n] of positions [P, 3] m, velocities [P, 3] m/s and F [P, 3, 3] the body's particles at ``pose``."""
        centre, R = self.shape.centre + pose.position, matrix(pose.quaternion)
        ride(self._arms, rows, centre, R, pose.velocity, pose.angular_velocity, positions, velocities, F)

    def particles(self, pose: RigidPose) -> tuple[NDArray, NDArray]:
        """Positions [n, 3] m and velocities [n, 3] m/s of the body's particles at ``pose``."""
        n = len(self.own)
        positions, velocities = np.empty((n, 3)), np.empty((n, 3))
        self.carry(pose, np.arange(n), positions, velocities, np.empty((n, 3, 3)))
        return positions, velocities

    @property
    def link(self) -> int:
        """Its link's number in Genesis."""
        return int(self._entity.base_link_idx)

    def push(self, force: NDArray, torque: NDArray) -> None:
        """Apply ``force`` [3] N at the centre of mass and ``torque`` [3] N m, world axes, over the next substep."""
        self._entity.solver.apply_links_external_wrench(
            force=np.asarray(force, np.float32)[None],
            torque=np.asarray(torque, np.float32)[None],
            links_idx=[self.link],
            ref=self._centre_of_mass,
        )


def damping_ratio(restitution: float) -> float:
    """Damping ratio z of a spring and dashpot that meets a body and lets it go where its force would begin to pull.

    e = exp(-z / s (pi - atan2(2 z s, 2 z^2 - 1)))... with s = sqrt(1 - z^2) (Schwager and Poeschel 2007, Granular Matter 9, eq. 11),
    solved by bisection; 1 for a restitution of ``DULLEST`` and below.
    """
    if restitution <= DULLEST:
        return 1.0
    low, high = 1e-4, 0.9999
    for _ in range(60):
        z = 0.5 * (low + high)
        s = np.sqrt(1.0 - z * z)
        swing = np.arctan2(2.0 * z * s, 2.0 * z * z - 1.0)
        if np.exp(-z / s * swing) > restitution:
            low = z
        else:
            high = z
    return 0.5 * (low + high)


def contact_parameters(restitution: float, dt: float) -> tuple[float, float]:
    """Genesis' time constant, s, and damping ratio of a body that meets the plane with ``restitution``."""
    ratio = damping_ratio(restitution)
    time_constant = dt / (CONTACT_PHASE * ratio)
    return 2.0 * time_constant - PLANE_TIME_CONSTANT * dt, 2.0 * ratio - PLANE_DAMPING_RATIO


def set_contact(entity: Any, time_constant: float, ratio: float) -> None:
    """Set both for all shapes of a Genesis rigid ``entity``."""
    impedance = (
        0.99,
        0.99,
        0.001,
        0.5,
        2.0,
    )  # nearly hard: softer ones take energy that the dashpot does not know of
    parameters = np.array([time_constant, ratio, *impedance], np.float32)
    for geom in entity.geoms:
        geom.set_sol_params(parameters)


def motions(bodies: list[RigidBody]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Centres of mass [R, 3] m, rotations [R, 3, 3], velocities [R, 3] m/s and spins [R, 3] rad/s, world axes."""
    poses = [body.store() for body in bodies]
    return (
        np.stack([body.shape.centre + pose.position for body, pose in zip(bodies, poses, strict=True)]),
        np.stack([matrix(pose.quaternion) for pose in poses]),
        np.stack([pose.velocity for pose in poses]),
        np.stack([pose.angular_velocity for pose in poses]),
    )
