"""Applying a correction: the trajectory and splats as the refined videos say they should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.optimize.api import Correction
from perpetua.optimize.knots import value_weights
from perpetua.optimize.obstacles import Obstacles
from perpetua.optimize.rigid import PoseCorrection
from perpetua.optimize.standing import lowest
from perpetua.scene.gradient import GradientOperator, displacement_gradient
from perpetua.scene.particles import present
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

FLOWING = ("sand", "liquid", "gas")
"""Models of matter whose particles change neighbours: no map takes the start of a round to a later frame."""
LEAST_STRETCH, MOST_STRETCH = 0.5, 2.0
"""Bounds of what a correction may stretch matter by: beyond them its gradient is noise between particles, not deformation."""


def apply_correction(
    scene: Scene,
    trajectory: Trajectory,
    correction: Correction,
    obstacles: Obstacles = Obstacles(),  # noqa: B008 - frozen
) -> tuple[Trajectory, Scene]:
    """The corrected trajectory, and the scene as ``dressed`` by the correction.

    Soft matter moves by the displacement u between the knots and deforms by F <- (I + grad u) F; a rigid body makes one
    motion a frame. Nothing soft goes into ``obstacles``, and nothing below the support plane. What comes out of an emitter in the round
    stays as simulated. A correction that moves nothing gives ``trajectory`` itself.
    """
    corrected = CorrectedFrames(scene, trajectory, correction, obstacles)
    if correction.moves_nothing:
        return trajectory, corrected.scene
    positions, F = trajectory.positions.copy(), trajectory.F.copy()
    for frame in range(1, trajectory.frames):
        positions[frame], F[frame] = corrected(frame)
    return Trajectory(positions, F, trajectory.times), corrected.scene


def dressed(scene: Scene, correction: Correction) -> Scene:
    """``scene`` with its splats in their corrected colours, sitting on their particles and fading as they were corrected to."""
    binding = scene.binding
    if correction.offsets.size:
        binding = replace(binding, offsets=torch.from_numpy(correction.offsets))
    return replace(
        scene,
        foreground=replace(scene.foreground, sh=torch.from_numpy(correction.sh)),
        binding=binding,
        fading=torch.from_numpy(correction.fading) if correction.fading.size else None,
    )


class CorrectedFrames:
    """Frames of a corrected trajectory, one by one; ``scene``: as ``dressed`` by the correction."""

    def __init__(
        self, scene: Scene, trajectory: Trajectory, correction: Correction, obstacles: Obstacles
    ) -> None:
        self.scene, self.trajectory, self.correction = dressed(scene, correction), trajectory, correction
        self.obstacles = obstacles
        if correction.moves_nothing:
            return
        self._weights = value_weights(correction.knots, np.arange(trajectory.frames))
        self._soft = ~rigid_particles(scene)
        self._flowing = particles_of(scene, "sand", "liquid")  # puffs of gas keep their shape
        self._together = correctable(scene, trajectory)
        self._solid = self._soft & ~particles_of(scene, *FLOWING) & (self._together >= 0)
        self._poses = rigid_corrections(scene, trajectory, correction)
        self._gradient = None
        if self._solid.any():
            first = trajectory.positions[0, self._solid]
            self._gradient = GradientOperator.at(first, self._together[self._solid])

    def __call__(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Positions [P, 3] m and whole deformation [P, 3, 3] in a frame."""
        trajectory = self.trajectory
        if frame == 0 or self.correction.moves_nothing:
            return trajectory.positions[frame], trajectory.F[frame]
        body = self.scene.particles.body
        before = trajectory.positions[frame].astype(np.float64)
        after = before + np.einsum("q,qpi->pi", self._weights[frame], self.correction.displacement)
        soft, flowing, solid, together = self._soft, self._flowing, self._solid, self._together
        after = self.obstacles.lifted(frame, self.scene, before, after)
        after[soft, 2] = np.maximum(after[soft, 2], np.minimum(before[soft, 2], 0.0))
        F, u = trajectory.F[frame].copy(), after - before
        if flowing.any():
            F[flowing] = deformation(before[flowing], u[flowing], together[flowing]) @ F[flowing]
        if self._gradient is not None:
            # F F_0^-1 takes the start to this frame, so a gradient G by places of the start is G F_0 F^-1 by those of now.
            G = self._gradient(u[solid]) @ trajectory.F[0, solid] @ np.linalg.inv(F[solid])
            F[solid] = bounded(np.eye(3) + G) @ F[solid]
        for index, pose in self._poses.items():
            mine = body == index
            after[mine], turn = pose.displaced(before[mine], frame)
            thing, rest = self.scene.bodies[index], self.scene.particles.positions[mine].astype(np.float64)
            turned = trajectory.F[frame, mine][0].astype(np.float64)
            was, sunk = (
                lowest(thing, rest, before[mine], turned),
                lowest(thing, rest, after[mine], turn @ turned),
            )
            after[mine, 2] += max(0.0, min(was, 0.0) - sunk)
            F[mine] = turn @ F[mine]
        return after.astype(np.float32), F


def deformation(points: NDArray, displacement: NDArray, body: NDArray) -> NDArray[np.float64]:
    """[P, 3, 3]: I + grad u, how the displacement [P, 3] m of ``points`` [P, 3] m deforms the matter around each."""
    return bounded(np.eye(3) + displacement_gradient(points, displacement, body))


def bounded(stretch: NDArray) -> NDArray[np.float64]:
    """``stretch`` [P, 3, 3] with its principal stretches within the bounds, and never mirrored."""
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
