"""The backward pass of PerpetualWonder (2026), written from its paper and from what its public release does, to compare with.

Every frame has its own free particle positions (rigid bodies: its own pose), and colours and opacities are free; the loss is

    L = sum over views of  w_v (L1 + 1 - SSIM)  +  lambda_sim * mean |p - p_simulated|^2

over whole pictures, with w = 2 for the front and 0.5 for the sides, and is followed by Adam with momenta (0, 0.99) for 201 passes
over all frames of all views, from the simulator's motion. What goes back into the physics are the positions: velocities are the
simulator's, F = I, C = 0, and plastic memory is lost.

Kinder than the release where it errs against its own paper: every view is compared with its own video, poses have a gradient, objects do
not fade from round to round, splats turn and stretch as the simulator says, and liquids have the skin that the videos show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from perpetua.optimize.api import ViewTarget
from perpetua.optimize.rigid import rigid_fit
from perpetua.progress import Progress
from perpetua.render import Layers, render_layers
from perpetua.render.film import compose
from perpetua.render.similarity import SSIM_WINDOW, structural_similarity
from perpetua.scene import Gaussians, Scene, State, Trajectory, deform
from perpetua.scene.appearance import Appearance

PASSES = 201
FRONT_WEIGHT, SIDE_WEIGHT = 2.0, 0.5
ANCHOR = {"elastic": 100.0, "cloth": 100.0, "plastic": 500.0, "snow": 500.0}
"""lambda_sim, 1/m^2: the release's dumpling and play dough."""
ANCHOR_FLOWING = 1000.0
"""Its jam; for all that flows."""
MOMENTA = (0.0, 0.99)
POSITION_RATE, POSE_RATE, COLOUR_RATE, OPACITY_RATE = 2e-4, 1e-3, 3e-2, 3e-2
"""Adam's rates: m; m and rad; of colours in [0, 1] and of opacities before their sigmoid."""
COLOUR_OF_SH = 0.28209479177387814
"""A colour is 0.5 + this times the zeroth coefficient."""


@dataclass(frozen=True)
class FreePositions:
    """The result: the corrected motion, and the objects' splats at rest with their new colours and opacities."""

    trajectory: Trajectory
    foreground: Gaussians
    renders: int


def optimise_positions(
    scene: Scene, simulated: Trajectory, targets: list[ViewTarget], progress: Progress, passes: int = PASSES
) -> FreePositions:
    """Fit free positions of every frame but the first, which is given, to the refined videos."""
    motion = _FreeMotion(scene, simulated)
    colour = (scene.foreground.sh.detach() * COLOUR_OF_SH).requires_grad_()
    opacity = scene.foreground.opacity_logits.detach().clone().requires_grad_()
    adam = torch.optim.Adam(
        [
            {"params": [motion.offsets], "lr": POSITION_RATE},
            {"params": [motion.poses], "lr": POSE_RATE},
            {"params": [colour], "lr": COLOUR_RATE},
            {"params": [opacity], "lr": OPACITY_RATE},
        ],
        betas=MOMENTA,
    )
    with torch.no_grad():
        backdrops = [render_layers(scene.background, target.camera) for target in targets]
    videos = [torch.from_numpy(target.video) for target in targets]
    weights = [FRONT_WEIGHT if target.camera.role == "front" else SIDE_WEIGHT for target in targets]
    for number in range(passes):
        adam.zero_grad(set_to_none=True)
        for frame in range(1, simulated.frames):
            rest = replace(scene.foreground, sh=colour / COLOUR_OF_SH, opacity_logits=opacity)
            splats = motion.splats(rest, frame)
            loss = motion.anchor(frame)
            for target, backdrop, video, weight in zip(targets, backdrops, videos, weights, strict=True):
                layer = compose(render_layers(splats, target.camera), backdrop)
                loss = loss + weight * _unlikeness(layer, video[frame])
            loss.backward()
        adam.step()
        progress((number + 1) / passes, f"pass {number + 1} of {passes}")
    foreground = replace(scene.foreground, sh=colour.detach() / COLOUR_OF_SH, opacity_logits=opacity.detach())
    return FreePositions(motion.trajectory(), foreground, passes * (simulated.frames - 1) * len(targets))


def _unlikeness(layer: Layers, wanted: Tensor) -> Tensor:
    """L1 + 1 - SSIM, each a mean over the whole picture [H, W, 3], up to what no splat changes: only the box around what splats
    cover, and the windows of SSIM that reach into it, are computed."""
    height, width = layer.alpha.shape
    covered = layer.alpha.detach() > 0
    if not covered.any():
        return layer.rgb.sum() * 0.0
    box = []
    for axis, size in ((1, height), (0, width)):
        here = torch.nonzero(covered.any(axis))
        box.append(slice(max(0, int(here[0]) - SSIM_WINDOW), min(size, int(here[-1]) + 1 + SSIM_WINDOW)))
    image, truth = layer.rgb[box[0], box[1]], wanted[box[0], box[1]]
    likeness = structural_similarity(image, truth).sum()
    windows = 3 * (height - SSIM_WINDOW + 1) * (width - SSIM_WINDOW + 1)
    return (image - truth).abs().sum() / (3 * height * width) - likeness / windows


class _FreeMotion:
    """Offsets [T, P, 3] m of all particles and poses [T, B, 6] (rotation vector, shift in m) of rigid bodies, all free."""

    def __init__(self, scene: Scene, simulated: Trajectory) -> None:
        self.scene, self.simulated = scene, simulated
        self.appearance = Appearance(scene, simulated)
        body = torch.from_numpy(scene.particles.body).long()
        self.rigid = [
            (index, torch.nonzero(body == index)[:, 0])
            for index, thing in enumerate(scene.bodies)
            if thing.material.is_rigid
        ]
        free = torch.tensor([not thing.material.is_rigid for thing in scene.bodies])
        strength = torch.tensor([ANCHOR.get(b.material.model, ANCHOR_FLOWING) for b in scene.bodies])
        self.free = free[body].float()
        self.strength = (strength * free)[body]
        self.offsets = torch.zeros(simulated.positions.shape, requires_grad=True)
        self.poses = torch.zeros((simulated.frames, len(scene.bodies), 6), requires_grad=True)

    def at(self, frame: int) -> tuple[Tensor, Tensor]:
        """Positions [P, 3] m and whole deformation [P, 3, 3] at a frame."""
        before = torch.from_numpy(self.simulated.positions[frame])
        F = torch.from_numpy(self.simulated.F[frame])
        positions = before + self.offsets[frame] * self.free[:, None]
        for index, mine in self.rigid:
            turn = _rotation(self.poses[frame, index, :3])
            centre = before[mine].mean(0)
            moved = (before[mine] - centre) @ turn.T + centre + self.poses[frame, index, 3:]
            positions = positions.index_copy(0, mine, moved)
            F = F.index_copy(0, mine, turn @ F[mine])
        return positions, F

    def splats(self, rest: Gaussians, frame: int) -> Gaussians:
        """The splats of a frame."""
        positions, F = self.at(frame)
        return self.appearance.on(deform(rest, self.scene.binding, positions, F), frame)

    def anchor(self, frame: int) -> Tensor:
        """lambda_sim times the mean squared distance from where the simulator put the particles."""
        return (self.strength * self.offsets[frame].square().sum(-1)).mean()

    @torch.no_grad()
    def trajectory(self) -> Trajectory:
        """The corrected motion."""
        frames = [self.at(frame) for frame in range(self.simulated.frames)]
        return Trajectory(
            torch.stack([p for p, _ in frames]).numpy(),
            torch.stack([F for _, F in frames]).numpy(),
            self.simulated.times,
        )


def _rotation(vector: Tensor) -> Tensor:
    """[3, 3] from a rotation vector [3] rad; differentiable at zero."""
    x, y, z = vector.unbind()
    zero = torch.zeros_like(x)
    return torch.linalg.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3))


def positions_written_back(end: State, simulated: Trajectory, corrected: Trajectory, scene: Scene) -> State:
    """The state a next round starts from: corrected positions, the simulator's velocities, nothing remembered.

    The whole deformation, which only carries the splats, is kept, or the picture would fall apart.
    """
    particles = end.particles
    positions = _above_the_table(corrected, simulated, scene)
    eye = np.broadcast_to(np.eye(3, dtype=np.float32), particles.F.shape).copy()
    rigid = dict(end.rigid)
    for index, pose in end.rigid.items():
        mine = scene.particles.body == index
        turn, shift = rigid_fit(
            simulated.positions[-1, mine].astype(np.float64), positions[mine].astype(np.float64)
        )
        quaternion = Rotation.from_rotvec(turn) * Rotation.from_quat(pose.quaternion, scalar_first=True)
        rigid[index] = replace(
            pose,
            position=pose.position + shift,
            quaternion=quaternion.as_quat(canonical=True, scalar_first=True),
        )
    return replace(
        end,
        particles=replace(
            particles,
            positions=positions,
            F=eye,
            C=np.zeros_like(particles.C),
            plastic=scene.particles.plastic.copy(),
        ),
        total_F=corrected.F[-1].copy(),
        rigid=rigid,
    )


def _above_the_table(corrected: Trajectory, simulated: Trajectory, scene: Scene) -> NDArray:
    """The corrected positions at the end [P, 3] m, those below z = 0 lifted to it or to where the simulator had them; a rigid body as a
    whole and by its surface, for one that is sunk in the table would be thrown out of it."""
    positions = corrected.positions[-1]
    lift = np.maximum(np.minimum(simulated.positions[-1, :, 2], 0.0) - positions[:, 2], 0.0)
    for index, thing in enumerate(scene.bodies):
        if thing.material.is_rigid:
            mine = scene.particles.body == index
            before, after = (_lowest(scene, index, mine, t) for t in (simulated, corrected))
            lift[mine] = max(min(before, 0.0) - after, 0.0)
    return positions + lift[:, None] * np.array([0, 0, 1], np.float32)


def _lowest(scene: Scene, index: int, mine: NDArray[np.bool_], trajectory: Trajectory) -> float:
    """Height, m, of the lowest point of a rigid body's surface at the end."""
    R = trajectory.F[-1, mine][0]
    arms = scene.bodies[index].vertices - scene.particles.positions[mine].mean(0)
    return float((arms @ R[2]).min() + trajectory.positions[-1, mine, 2].mean())
