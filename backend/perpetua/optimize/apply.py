"""Applying a correction: the trajectory and splats as the refined videos say they should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.optimize.api import Correction
from perpetua.optimize.knots import value_weights
from perpetua.optimize.rigid import PoseCorrection
from perpetua.optimize.standing import lowest
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.gradient import displacement_gradient
from perpetua.scene.particles import present
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

LEAST_STRETCH, MOST_STRETCH = 0.5, 2.0
"""Bounds of what a correction may stretch matter by: beyond them its gradient is noise between particles, not deformation."""


def apply_correction(
    scene: Scene, trajectory: Trajectory, correction: Correction
) -> tuple[Trajectory, Gaussians]:
    """The corrected trajectory, and the foreground at rest with its corrected colours.

    Soft matter moves by the displacement u between the knots and deforms by F <- (I + grad u) F; a rigid body makes one
    motion a frame. Nothing goes below the support plane. What comes out of an emitter in the round stays as simulated. A correction
    that moves nothing gives ``trajectory`` itself.
    """
    foreground = replace(scene.foreground, sh=torch.from_numpy(correction.sh))
    if correction.moves_nothing:
        return trajectory, foreground
    positions, F = trajectory.positions.copy(), trajectory.F.copy()
    weights = value_weights(correction.knots, np.arange(trajectory.frames))
    soft = ~rigid_particles(scene)
    shaped = soft & ~particles_of(scene, "gas")  # puffs keep their shape
    poses = rigid_corrections(scene, trajectory, correction)
    together = correctable(scene, trajectory)
    for frame in range(1, trajectory.frames):
        before = trajectory.positions[frame].astype(np.float64)
        after = before + np.einsum("q,qpi->pi", weights[frame], correction.displacement)
        after[soft, 2] = np.maximum(after[soft, 2], np.minimum(before[soft, 2], 0.0))
        if shaped.any():
            stretch = deformation(before[shaped], (after - before)[shaped], together[shaped])
            F[frame, shaped] = stretch @ trajectory.F[frame, shaped]
        for body, pose in poses.items():
            mine = scene.particles.body == body
            after[mine], turn = pose.displaced(before[mine], frame)
            thing, rest = scene.bodies[body], scene.particles.positions[mine].astype(np.float64)
            turned = trajectory.F[frame, mine][0].astype(np.float64)
            was, sunk = (
                lowest(thing, rest, before[mine], turned),
                lowest(thing, rest, after[mine], turn @ turned),
            )
            after[mine, 2] += max(0.0, min(was, 0.0) - sunk)
            F[frame, mine] = turn @ trajectory.F[frame, mine]
        positions[frame] = after
    return Trajectory(positions, F, trajectory.times), foreground


def deformation(points: NDArray, displacement: NDArray, body: NDArray) -> NDArray[np.float64]:
    """[P, 3, 3]: I + grad u, how the displacement [P, 3] m of ``points`` [P, 3] m deforms the matter around each."""
    stretch = np.eye(3) + displacement_gradient(points, displacement, body)
    wild = np.abs(stretch - np.eye(3)).sum((1, 2)) > 1 - LEAST_STRETCH  # only these can leave the bounds
    if wild.any():
        U, values, Vt = np.linalg.svd(stretch[wild])
        Vt[:, 2] *= np.where(np.linalg.det(U @ Vt) < 0, -1.0, 1.0)[:, None]
        stretch[wild] = U * np.clip(values, LEAST_STRETCH, MOST_STRETCH)[:, None, :] @ Vt
    return stretch


def correctable(scene: Scene, trajectory: Trajectory) -> NDArray[np.int32]:
    """[P]: the body of each particle that a round begins with, -1 for those that come out of emitters during it: a correction, which is
    zero at the round's start and smooth, knows no place for them and leaves them as they are."""
    return np.where(present(trajectory.F[0]), scene.particles.body, -1).astype(np.int32)


def rigid_particles(scene: Scene) -> NDArray[np.bool_]:
    """[P]: whether a particle belongs to a rigid body."""
    rigid = np.array([body.material.is_rigid for body in scene.bodies], dtype=bool)
    return rigid[scene.particles.body]


def particles_of(scene: Scene, *models: str) -> NDArray[np.bool_]:
    """[P]: whether a particle's body is made of a material of one of ``models``."""
    chosen = np.array([body.material.model in models for body in scene.bodies], dtype=bool)
    return chosen[scene.particles.body]


def rigid_corrections(
    scene: Scene, trajectory: Trajectory, correction: Correction
) -> dict[int, PoseCorrection]:
    """The pose correction of every rigid body, by its index."""
    return {
        index: PoseCorrection.of(correction, trajectory, np.flatnonzero(scene.particles.body == index))
        for index, body in enumerate(scene.bodies)
        if body.material.is_rigid
    }
