"""Writing a correction back into the physics: the state that the next round's forces begin from.

Positions alone are not a state. What makes the next round go on from the *corrected* motion is that velocities, the
elastic deformation and the affine velocities agree with it; a restart with F = I instead loses centimetres in ten frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from perpetua.optimize.api import Correction
from perpetua.optimize.apply import (
    correctable,
    deformation,
    particles_of,
    rigid_corrections,
    rigid_particles,
)
from perpetua.optimize.end_slope import end_slope
from perpetua.optimize.rigid import PoseCorrection
from perpetua.scene.gradient import displacement_gradient
from perpetua.scene.particles import RigidPose, State
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory


def write_back(
    end: State,
    trajectory: Trajectory,
    corrected: Trajectory,
    correction: Correction,
    scene: Scene,
    fps: float,
) -> State:
    """The corrected state at the end of a round.

    ``end`` is the simulator's state at the last frame of ``trajectory``, ``corrected`` that trajectory with ``correction``
    applied, ``fps`` in frames/s. With u the displacement at the last frame and w = du/dt there (``end_slope``):
    positions x + u, velocities v + w, whole F <- (I + grad u) F, C <- C + grad w; a rigid body's pose and twist likewise. The elastic F
    of what springs back goes with the whole; that of what yields only turns. Plastic memory is kept, and all of what came out of emitters in the round. A correction that moves nothing returns ``end``
    itself.
    """
    if correction.moves_nothing:
        return end
    last = trajectory.frames - 1
    particles, body = end.particles, correctable(scene, trajectory)
    rates = np.zeros((len(particles), 3))
    for index in np.unique(body[body >= 0]):
        tracks = correction.displacement[:, body == index]
        slopes = end_slope(correction.knots, tracks.reshape(len(tracks), -1))
        rates[body == index] = slopes.reshape(-1, 3) * fps
    positions = corrected.positions[last].copy()
    velocities = particles.velocities + rates
    elastic, affine = particles.F.copy(), particles.C.copy()

    soft = ~rigid_particles(scene)
    if soft.any():
        before = trajectory.positions[last, soft].astype(np.float64)
        stretch = deformation(before, positions[soft] - before, body[soft])
        springs = soft & particles_of(scene, "elastic")
        elastic[springs] = stretch[springs[soft]] @ particles.F[springs]
        # What yields holds strains of a percent, which no video shows: it took the rest plastically, and only turned. As strain a
        # correction would burst it. A liquid's memory is its volume only, to as little, and is left as simulated.
        yields = soft & particles_of(scene, "plastic", "snow", "sand")
        elastic[yields] = rotations(stretch[yields[soft]]) @ particles.F[yields]
        sheets = particles_of(
            scene, "cloth"
        )  # their F is the whole deformation; springs remember their own rest
        elastic[sheets] = corrected.F[last, sheets]
        on_grid = soft & ~particles_of(scene, "cloth", "gas")
        gradient = displacement_gradient(positions[soft], rates[soft], body[soft])
        affine[on_grid] += gradient[on_grid[soft]]
        # What the plane stops cannot move on into it.
        grounded = soft & (positions[:, 2] <= 0) & (velocities[:, 2] < 0)
        velocities[grounded, 2] = np.minimum(particles.velocities[grounded, 2], 0.0)
    rigid = dict(end.rigid)
    for index, pose in rigid_corrections(scene, trajectory, correction).items():
        mine = body == index
        shift = positions[mine].mean(0) - trajectory.positions[last, mine].astype(np.float64).mean(0)
        rigid[index] = _corrected_pose(end.rigid[index], pose, shift, last, fps)
        arm = positions[mine] - positions[mine].mean(0)
        velocities[mine] = rigid[index].velocity + np.cross(rigid[index].angular_velocity, arm)
    return State(
        replace(
            particles,
            positions=positions,
            velocities=velocities.astype(np.float32),
            F=elastic.astype(np.float32),
            C=affine.astype(np.float32),
        ),
        corrected.F[last].copy(),
        rigid,
        end.time,
        end.memory,
    )


def rotations(deformation: NDArray) -> NDArray[np.float64]:
    """[P, 3, 3]: the rotation in each deformation [P, 3, 3], R of its polar decomposition F = R S."""
    U, _, Vt = np.linalg.svd(deformation)
    Vt[:, 2] *= np.where(np.linalg.det(U @ Vt) < 0, -1.0, 1.0)[:, None]
    return np.asarray(U @ Vt)


def _corrected_pose(
    pose: RigidPose, correction: PoseCorrection, shift: NDArray, frame: int, fps: float
) -> RigidPose:
    """A rigid body's pose and twist with the correction's turn, the ``shift`` [3] m made, and their rates added.

    The turn is about the centroid of the body's particles, which is its centre of mass, for they fill it evenly.
    """
    turn, _ = correction.at(frame)
    spin, velocity = correction.end_rates()
    now = Rotation.from_matrix(turn) * Rotation.from_quat(pose.quaternion, scalar_first=True)
    return RigidPose(
        pose.position + shift,
        now.as_quat(canonical=True, scalar_first=True),
        pose.velocity + velocity * fps,
        turn @ pose.angular_velocity + spin * fps,
    )
