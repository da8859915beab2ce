"""The backward pass: from refined videos to corrected motion and colours.

Random (view, frame) pairs are rendered, compared and followed down the gradient. Coarse levels of the image pyramid lead, the
finest finish; motion goes first and colours follow slowly, for a moved edge and a recoloured one look alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.optimize.api import Correction, Settings, ViewTarget
from perpetua.optimize.apply import apply_correction, correctable, particles_of
from perpetua.optimize.knots import FRAMES_PER_KNOT, knot_frames
from perpetua.optimize.loss import photometric, region
from perpetua.optimize.motion import Motion
from perpetua.optimize.plausibility import SMOOTHNESS_WEIGHT, Plausibility
from perpetua.optimize.trust import Trust
from perpetua.optimize.views import View
from perpetua.progress import Progress
from perpetua.render import Layers, render_layers
from perpetua.render.film import compose
from perpetua.scene.binding import deform
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.gradient import GradientOperator
from perpetua.scene.particles import present
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

SAME = 1.5 / 255
"""Largest difference of colour that is no correction: a video written and read back with 8 bits keeps within it."""
CHECKS_PER_VIEW = 3
"""Frames of each view that are compared first, the last among them."""
STEP_PIXELS = 0.3
"""How far a motion parameter moves matter in one step at first, in pixels of the views."""
WRONG = 0.02
"""Photometric loss under which steps shrink with it, so that a picture that is nearly right is not shaken: about a pixel of
motion costs it."""
WRONG_UPDATE = 0.3
"""Weight of the newest loss in the running mean that says how wrong the picture is."""
STEP_END = 0.1
"""Rate of the last step, relative to the first."""
COLOR_STEP = 0.01
"""Rate of colours (spherical harmonic coefficients)."""
TINT_STEP = 0.01
"""Rate of the gain and bias that all splats share, which absorb another light before motion has to."""
COLORS_FROM = 0.7
"""Share of the pass after which colours move too."""
COLOR_WEIGHT = 0.02
"""Price of a mean squared change of one in the splats' colours."""
STILL_COLOR = 0.02
"""The same per unit of all splats' colour."""
MOMENTA = (0.8, 0.95)
"""Of Adam: short memories, for a pass has few steps."""
STILL = 0.0004
"""Gradient of the loss, per pixel of motion, that is noise: Adam's own steps would be as long for it as for any other."""


@dataclass(frozen=True)
class Schedule:
    """What the pass looks at, from a share ``until`` of it is done: pyramid levels and whether structure (SSIM) counts."""

    until: float
    levels: list[int]
    ssim: bool


SCHEDULE = (Schedule(0.3, [1, 2, 3], False), Schedule(1.01, [0, 1, 2, 3], True))


def optimise(
    scene: Scene,
    trajectory: Trajectory,
    targets: list[ViewTarget],
    start: Correction | None,
    renders: int,
    seed: int,
    progress: Progress,
    settings: Settings = Settings(),  # noqa: B008 - frozen
) -> Correction:
    """The correction of ``trajectory`` that makes ``scene`` look like ``targets``, spending about ``renders`` renders.

    Goes on from ``start``. Videos that already look like the scene change nothing: ``start`` comes back, or a correction
    that is zero everywhere. Raises ``RefinerError`` for a video that does not fit the round, ``Cancelled`` if stopped.
    """
    views = []
    for target in targets:
        progress(0.0, f"looking at {target.camera.name}")
        views.append(View.of(scene, trajectory, target, settings.nuisance))
    if start is None:
        start = nothing(scene, trajectory, settings)
    worst, spent = _largest_difference(scene, trajectory, start, views, progress)
    if worst <= SAME or renders <= spent:
        return replace(start, loss=worst, renders=spent)
    for number, view in enumerate(views):
        progress(0.0, f"finding the warp of {view.target.camera.name}")
        views[number] = view.registered(trajectory, scene.spacing)
    stage = Stage(scene, trajectory, start)
    loss, trust = _descend(stage, views, renders - spent, seed, progress, settings)
    return replace(stage.correction(), loss=loss, renders=renders, trust=trust)


def nothing(scene: Scene, trajectory: Trajectory, settings: Settings) -> Correction:
    """The correction that leaves motion and colours as they are."""
    knots = knot_frames(trajectory.frames - 1, FRAMES_PER_KNOT if settings.smooth_knots else 1)
    displacement = np.zeros((len(knots), len(scene.particles), 3), np.float32)
    return Correction(knots, displacement, scene.foreground.sh.numpy().copy())


class Stage:
    """The scene as the correction in progress has it."""

    def __init__(self, scene: Scene, trajectory: Trajectory, start: Correction) -> None:
        self.scene, self.trajectory = scene, trajectory
        self.motion = Motion(scene, trajectory, start)
        self.detail = torch.from_numpy(start.sh).clone().requires_grad_()
        self.tint = torch.zeros(2, 3, requires_grad=True)
        self.gradients: dict[int, GradientOperator] = {}
        self.shaped = torch.from_numpy(~particles_of(scene, "gas"))
        self.together = correctable(scene, trajectory)

    @property
    def sh(self) -> Tensor:
        """[N, K, 3]: the splats' colours, and one gain and bias for all of them; shadows keep theirs."""
        count = self.scene.binding.carried
        objects = self.detail[:count] * (1 + self.tint[0]) + self.tint[1]
        return torch.cat([objects, self.detail[count:].detach()])

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
                self.gradients[frame] = GradientOperator.at(self.trajectory.positions[frame], self.together)
            gradient = torch.from_numpy(self.gradients[frame](displacement)).float()
            stretch = gradient * self.shaped[:, None, None] + torch.eye(3)
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


@torch.no_grad()
def _largest_difference(
    scene: Scene, trajectory: Trajectory, start: Correction, views: list[View], progress: Progress
) -> tuple[float, int]:
    """Largest difference of a colour between the scene as ``start`` has it and the videos in a few frames, and the renders
    it took. Rendered exactly as the videos were before they were refined."""
    corrected, rest = apply_correction(scene, trajectory, start)
    last = trajectory.frames - 1
    frames = sorted({round(last * share) for share in np.linspace(1 / CHECKS_PER_VIEW, 1, CHECKS_PER_VIEW)})
    worst, spent = 0.0, 0
    for view in views:
        for frame in frames:
            progress(0.0, f"comparing {view.target.camera.name}")
            positions, F = (torch.from_numpy(a[frame]) for a in (corrected.positions, corrected.F))
            image, _ = _picture(deform(rest, scene.binding, positions, F), view)
            worst = max(worst, float((image - view.video[frame]).abs().max()))
            spent += 1
    return worst, spent


def _picture(splats: Gaussians, view: View) -> tuple[Tensor, Layers]:
    """[H, W, 3] of the splats before the view's backdrop, and the layer with their coverage."""
    layer = compose(render_layers(splats, view.target.camera), view.backdrop)
    return layer.rgb.clamp(0, 1), layer


def _descend(
    stage: Stage, views: list[View], steps: int, seed: int, progress: Progress, settings: Settings
) -> tuple[float, NDArray[np.float32]]:
    """Move ``stage``'s motion and colours in ``steps`` renders.

    Returns the mean photometric loss of the last tenth, and how far each view was believed in each frame [V, T + 1].
    """
    motion = stage.motion
    plausibility = Plausibility(
        stage.scene, stage.trajectory, motion, SMOOTHNESS_WEIGHT if settings.smooth_knots else 0.0
    )
    optimiser = _optimiser(stage, _metres_per_pixel(stage.trajectory, views))
    original = stage.detail.detach().clone()
    areas = [_area(stage, view) for view in views]
    losses: list[float] = []
    wrong = 0.0
    trust = Trust(len(views), stage.trajectory.frames)
    believed = trust.weights()
    for number, (v, frame) in enumerate(_samples(len(views), stage.trajectory.frames, steps, seed)):
        share = number / steps
        part = next(part for part in SCHEDULE if share < part.until)
        view = views[v]
        splats, simulated, corrected = stage.splats(frame)
        image, layer = _picture(splats, view)
        wanted = view.wanted(frame, layer.alpha.detach())
        if view.alpha is not None:
            image = torch.cat([image, layer.alpha[..., None]], -1)
            wanted = torch.cat([wanted, view.alpha[frame][..., None]], -1)
        here = region(layer.alpha.detach(), wanted[..., :3], view.backdrop.rgb)
        loss = view.target.weight * photometric(image[here], wanted[here], areas[v], part.levels, part.ssim)
        losses.append(float(loss.detach()))
        if settings.nuisance:
            trust.hear(v, frame, losses[-1] / max(view.target.weight, 1e-12))
            believed = trust.weights()
            loss = loss * float(believed[v, frame])
        wrong = losses[-1] if number == 0 else wrong + WRONG_UPDATE * (losses[-1] - wrong)
        for group in optimiser.param_groups:
            decay = STEP_END + (1 - STEP_END) * 0.5 * (1 + math.cos(math.pi * share))
            group["lr"] = group["first"] * decay * min(1.0, wrong / WRONG) if share >= group["from"] else 0.0
        loss = loss + plausibility(motion) + plausibility.ground(simulated, corrected)
        loss = loss + COLOR_WEIGHT * (stage.detail - original).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        progress((number + 1) / steps, f"difference {losses[-1]:.4f}")
    return float(np.mean(losses[-max(1, len(losses) // 10) :])), believed


@torch.no_grad()
def _area(stage: Stage, view: View) -> float:
    """Pixels that the objects cover at the start of the round; a hundredth of the picture where they are out of it."""
    _, layer = _picture(stage.splats(0)[0], view)
    return max(float(layer.alpha.sum()), 0.01 * layer.alpha.numel())


def _optimiser(stage: Stage, pixel: float) -> torch.optim.Adam:
    """Adam over motion, tint and colours, each at its own rate; ``pixel`` is m."""

    def group(parameters: list[Tensor], rate: float, start: float, still: float) -> dict[str, Any]:
        return {"params": parameters, "lr": rate, "first": rate, "from": start, "eps": still}

    return torch.optim.Adam(
        [
            group(stage.motion.parameters(), STEP_PIXELS * pixel, 0.0, STILL / pixel),
            group([stage.tint], TINT_STEP, 0.0, STILL_COLOR),
            group([stage.detail], COLOR_STEP, COLORS_FROM, STILL_COLOR / max(1, len(stage.detail))),
        ],
        betas=MOMENTA,
    )


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
    centre = trajectory.positions[0, present(trajectory.F[0])].mean(0, dtype=np.float64)[None]
    sizes = [float(v.target.camera.project(centre)[1][0]) / v.target.camera.K[0, 0] for v in views]
    return float(np.mean(np.abs(sizes)))
