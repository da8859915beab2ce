"""The backward pass: from refined videos to corrected motion and colours.

Random (view, frame) pairs are rendered, compared and followed down the gradient. Coarse levels of the image pyramid lead, the
finest finish; motion goes first and colours follow slowly, for a moved edge and a recoloured one look alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from perpetua.optimize.api import Correction, ViewTarget
from perpetua.optimize.loss import COLOR_WEIGHT, Plausibility, photometric
from perpetua.optimize.motion import Motion
from perpetua.optimize.views import View
from perpetua.progress import Progress
from perpetua.render.film import Layer, compose, render_layer
from perpetua.scene.binding import deform
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.gradient import GradientOperator
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

SAME = 1.5 / 255
"""Largest difference of colour that is no correction: a video written and read back with 8 bits keeps within it."""
CHECKS_PER_VIEW = 3
"""Frames of each view that are compared first, the last among them."""
STEP_PIXELS = 0.25
"""How far a motion parameter moves matter in one step at first, in pixels of the views."""
STEP_END = 0.1
"""Rate of the last step, relative to the first."""
COLOR_STEP = 0.01
"""Rate of colours (spherical harmonic coefficients)."""
COLORS_FROM = 0.6
"""Share of the pass after which colours move too."""
MOMENTA = (0.8, 0.95)
"""Of Adam: short memories, for a pass has few steps."""
GRADIENT_NEIGHBOURS = 8
"""Neighbours for the deformation of splats during the pass; the applied correction uses more."""


@dataclass(frozen=True)
class Schedule:
    """What the pass looks at, from a share ``until`` of it is done: pyramid levels and whether structure (SSIM) counts."""

    until: float
    levels: list[int]
    ssim: bool


SCHEDULE = (Schedule(0.3, [2, 3], False), Schedule(0.6, [1, 2], False), Schedule(1.01, [0, 1], True))


def optimise(
    scene: Scene,
    trajectory: Trajectory,
    targets: list[ViewTarget],
    start: Correction | None,
    renders: int,
    seed: int,
    progress: Progress,
) -> Correction:
    """The correction of ``trajectory`` that makes ``scene`` look like ``targets``, spending about ``renders`` renders.

    Goes on from ``start``. Videos that already look like the scene change nothing: ``start`` comes back, or a correction
    that is zero everywhere. Raises ``RefinerError`` for a video that does not fit the round, ``Cancelled`` if stopped.
    """
    views = [View.of(scene, trajectory, target) for target in targets]
    motion = Motion(scene, trajectory, start)
    stage = Stage(scene, trajectory, motion, start)
    worst, spent = _largest_difference(stage, views, progress)
    if worst <= SAME or trajectory.frames < 2 or renders <= 0:
        return replace(stage.correction(), loss=worst, renders=spent)
    return _descend(stage, views, renders, spent, seed, progress)


class Stage:
    """The scene as the correction in progress has it."""

    def __init__(
        self, scene: Scene, trajectory: Trajectory, motion: Motion, start: Correction | None
    ) -> None:
        self.scene, self.trajectory, self.motion = scene, trajectory, motion
        self.start = start
        before = scene.foreground.sh if start is None else torch.from_numpy(start.sh)
        self.sh = before.clone().requires_grad_()
        self.gradients: dict[int, GradientOperator] = {}

    def splats(self, frame: int) -> tuple[Gaussians, Tensor, Tensor]:
        """The foreground at a frame, and particles [P, 3] m as simulated and as corrected."""
        simulated = torch.from_numpy(self.trajectory.positions[frame])
        moved, turns = self.motion.displacement(frame, simulated)
        F = self._deformed(frame, moved.detach().numpy(), turns)
        rest = replace(self.scene.foreground, sh=self.sh)
        return deform(rest, self.scene.binding, simulated + moved, F), simulated, simulated + moved

    def _deformed(self, frame: int, displacement: np.ndarray, turns: list[Tensor]) -> Tensor:
        """[P, 3, 3]: the whole deformation at a frame with the correction's in it."""
        F = torch.from_numpy(self.trajectory.F[frame])
        if self.motion.soft:
            if frame not in self.gradients:
                self.gradients[frame] = GradientOperator.at(
                    self.trajectory.positions[frame], self.scene.particles.body, GRADIENT_NEIGHBOURS
                )
            stretch = torch.from_numpy(self.gradients[frame](displacement)).float() + torch.eye(3)
            F = stretch @ F
        for rigid, turn in zip(self.motion.rigid, turns, strict=True):
            mine = rigid.particles
            F = F.index_copy(0, mine, turn.detach() @ torch.from_numpy(self.trajectory.F[frame])[mine])
        return F

    def correction(self) -> Correction:
        """What there is of the correction."""
        return Correction(
            self.motion.knots, self.motion.at_knots(self.trajectory), self.sh.detach().numpy().copy()
        )


def _largest_difference(stage: Stage, views: list[View], progress: Progress) -> tuple[float, int]:
    """Largest difference of a colour between the scene as it is and the videos in a few frames, and the renders it took."""
    last = stage.trajectory.frames - 1
    frames = sorted({round(last * share) for share in np.linspace(1 / CHECKS_PER_VIEW, 1, CHECKS_PER_VIEW)})
    worst, spent = 0.0, 0
    with torch.no_grad():
        for view in views:
            for frame in frames:
                progress(0.0, f"comparing {view.target.camera.name}")
                image, _ = _picture(stage.splats(frame)[0], view)
                worst = max(worst, float((image - view.video[frame]).abs().max()))
                spent += 1
    return worst, spent


def _picture(splats: Gaussians, view: View) -> tuple[Tensor, Layer]:
    """[H, W, 3] of the splats before the view's backdrop, and the layer with their coverage."""
    layer = compose(render_layer(splats, view.target.camera), view.backdrop)
    return layer.rgb.clamp(0, 1), layer


def _descend(
    stage: Stage, views: list[View], renders: int, spent: int, seed: int, progress: Progress
) -> Correction:
    motion = stage.motion
    plausibility = Plausibility(stage.scene, stage.trajectory, motion)
    step = STEP_PIXELS * _metres_per_pixel(stage.trajectory, views)
    optimiser = torch.optim.Adam(
        [
            {"params": motion.parameters(), "first": step, "lr": step, "from": 0.0},
            {"params": [stage.sh], "first": COLOR_STEP, "lr": COLOR_STEP, "from": COLORS_FROM},
        ],
        betas=MOMENTA,
    )
    original = stage.sh.detach().clone()
    areas = [0.0] * len(views)
    steps = max(1, renders - spent)
    losses: list[float] = []
    for number, (v, frame) in enumerate(_samples(len(views), stage.trajectory.frames, steps, seed)):
        share = number / steps
        part = next(part for part in SCHEDULE if share < part.until)
        for group in optimiser.param_groups:
            decay = STEP_END + (1 - STEP_END) * 0.5 * (1 + math.cos(math.pi * share))
            group["lr"] = group["first"] * decay if share >= group["from"] else 0.0
        view = views[v]
        splats, simulated, corrected = stage.splats(frame)
        image, layer = _picture(splats, view)
        areas[v] = areas[v] or max(1.0, float(layer.alpha.detach().sum()))
        wanted = view.wanted(frame, layer.alpha.detach())
        if view.alpha is not None:
            image = torch.cat([image, layer.alpha[..., None]], -1)
            wanted = torch.cat([wanted, view.alpha[frame][..., None]], -1)
        loss = view.target.weight * photometric(image, wanted, areas[v], part.levels, part.ssim)
        losses.append(float(loss.detach()))
        loss = loss + plausibility(motion) + plausibility.ground(simulated, corrected)
        loss = loss + COLOR_WEIGHT * (stage.sh - original).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        progress((number + 1) / steps, f"difference {losses[-1]:.4f}")
    tail = losses[-max(1, len(losses) // 10) :]
    return replace(stage.correction(), loss=float(np.mean(tail)), renders=spent + steps)


def _samples(views: int, frames: int, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """``count`` pairs (view, frame >= 1): every pair once in random order, then all again; the last frame twice as often,
    for the next round starts from it."""
    generator = np.random.default_rng(seed)
    pairs = [(v, f) for v in range(views) for f in (*range(1, frames), frames - 1)]
    order: list[int] = []
    for _ in range(count):
        if not order:
            order = generator.permutation(len(pairs)).tolist()
        yield pairs[order.pop()]


def _metres_per_pixel(trajectory: Trajectory, views: list[View]) -> float:
    """What a pixel of the views covers at the particles, m, on average."""
    centre = trajectory.positions[0].mean(0, dtype=np.float64)[None]
    sizes = [float(v.target.camera.project(centre)[1][0]) / v.target.camera.K[0, 0] for v in views]
    return float(np.mean(np.abs(sizes)))
