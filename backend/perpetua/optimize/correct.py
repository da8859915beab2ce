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
from perpetua.optimize.apply import CorrectedFrames
from perpetua.optimize.clock import Clock
from perpetua.optimize.knots import FRAMES_PER_KNOT, FRAMES_PER_KNOT_OF_SHEETS, knot_frames
from perpetua.optimize.loss import photometric, region
from perpetua.optimize.obstacles import Obstacles
from perpetua.optimize.own_look import COLOUR_STEP, WARP_STEP, OwnLook
from perpetua.optimize.plausibility import SMOOTHNESS_WEIGHT, Plausibility
from perpetua.optimize.stage import Stage
from perpetua.optimize.trust import Trust
from perpetua.optimize.views import View, check_target
from perpetua.progress import Progress
from perpetua.render import Layers, render_layers
from perpetua.render import Motion as Flow
from perpetua.render.film import compose
from perpetua.scene.appearance import Appearance
from perpetua.scene.binding import deform
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.particles import present
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

SAME = 1.5 / 255
"""Largest difference of colour that is no correction: a video written and read back with 8 bits keeps within it."""
CHECKS_PER_VIEW = 3
"""Frames of each view that are compared first, the last among them."""
LONGEST_STEP = 0.6
"""How far a motion parameter moves matter in one step at first, in pixels of the views, at most; in views of less than 160 pixels, where
a pixel is much, so many 160ths of their width."""
REACH_PIXELS = 90.0
"""All steps of a pass together, were they all as long as the first. Shorter steps in few renders end short of the way: with 0.3 pixels in
150 renders clay was 4.8 mm off instead of 3.4, a brick 3.6 instead of 2.0."""
WRONG = 0.02
"""Photometric loss under which steps shrink with it, so that a picture that is nearly right is not shaken: about a pixel of
motion costs it."""
WRONG_UPDATE = 0.3
"""Weight of the newest loss in the running mean that says how wrong the picture is."""
OFFSET_STEP_PIXELS = 0.05
"""How far a splat moves on its particle in one step at first, in pixels of the views."""
FADING_STEP = 0.2
"""Rate of opacities halfway through the round, before the sigmoid."""
FADING_FROM = 0.3
"""Share of the pass after which they move."""
FADING_WEIGHT = 5e-4
"""Price of a mean squared change of one in them."""
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
FLOW_WEIGHT = 0.02
"""Price of a mean difference of one pixel (at a width of 160) between rendered flow and a video's."""
MOMENTA = (0.8, 0.95)
"""Of Adam: short memories, for a pass has few steps."""
STILL = 0.0004
"""Gradient of the loss, per pixel of motion, that is noise: Adam's own steps would be as long for it as for any other."""
STILL_COLOR = 0.02
"""The same per unit of all splats' colour."""


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
    obstacles: Obstacles = Obstacles(),  # noqa: B008 - frozen
    clock: Clock | None = None,
) -> Correction:
    """The correction of ``trajectory`` that makes ``scene`` look like ``targets``, spending about ``renders`` renders.

    Goes on from ``start``. Videos that already look like the scene change nothing: ``start`` comes back, or a correction
    that is zero everywhere. ``obstacles`` are not entered. ``clock``, if it runs, is told what takes the time. Runs on CUDA where there
    is one. Raises ``RefinerError`` for a video that does not fit the round, ``Cancelled`` if stopped.
    """
    clock = clock or Clock()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for target in targets:
        check_target(trajectory, target)
    if start is None:
        start = nothing(scene, trajectory, settings)
    with clock("compare first"):
        worst, spent = _largest_difference(
            CorrectedFrames(scene, trajectory, start, obstacles), targets, progress
        )
    if worst <= SAME or renders <= spent:
        return replace(start, loss=worst, renders=spent)
    views = []
    for target in targets:
        progress(0.0, f"colours and warp of {target.camera.name}")
        with clock("register videos"):
            views.append(View.of(scene, trajectory, target, settings, device))
    seeing = [index for index, view in enumerate(views) if view.shows[1:].any()]
    if not seeing:
        return replace(start, loss=worst, renders=spent)
    progress(0.0, "getting ready")
    with clock("prepare"):
        stage = Stage(scene, trajectory, start, settings, device)
    seen = [views[index] for index in seeing]
    progress(0.0, "getting ready")
    loss, believed = _descend(stage, seen, renders - spent, seed, progress, settings, obstacles, clock)
    trust = np.zeros((len(targets), trajectory.frames), np.float32)
    trust[seeing] = believed
    with clock("prepare"):
        return replace(stage.correction(), loss=loss, renders=renders, trust=trust)


def nothing(scene: Scene, trajectory: Trajectory, settings: Settings) -> Correction:
    """The correction that leaves motion and colours as they are."""
    sheets = any(body.material.model == "cloth" for body in scene.bodies)
    apart = FRAMES_PER_KNOT_OF_SHEETS if sheets else FRAMES_PER_KNOT
    knots = knot_frames(trajectory.frames - 1, apart if settings.smooth_knots else 1)
    displacement = np.zeros((len(knots), len(scene.particles), 3), np.float32)
    return Correction(knots, displacement, scene.foreground.sh.numpy().copy())


@torch.no_grad()
def _largest_difference(
    corrected: CorrectedFrames, targets: list[ViewTarget], progress: Progress
) -> tuple[float, int]:
    """Largest difference of a colour between the scene as ``corrected`` and the videos in a few frames, or the first that is none
    of rounding, and the renders it took. Rendered exactly as the videos were before they were refined."""
    scene, last = corrected.scene, corrected.trajectory.frames - 1
    appearance = Appearance(scene, corrected.trajectory)
    frames = sorted({round(last * share) for share in np.linspace(1 / CHECKS_PER_VIEW, 1, CHECKS_PER_VIEW)})
    worst, spent = 0.0, 0
    for target in targets:
        backdrop = render_layers(scene.background, target.camera)
        for frame in reversed(frames):
            progress(0.0, f"comparing {target.camera.name}")
            positions, F = (torch.from_numpy(a) for a in corrected(frame))
            splats = deform(scene.foreground, scene.binding, positions, F)
            splats = appearance.on(splats, frame, target.camera.position)
            image = compose(render_layers(splats, target.camera), backdrop).rgb.clamp(0, 1)
            worst = max(worst, float((image - torch.from_numpy(target.video[frame])).abs().max()))
            spent += 1
            if worst > SAME:
                return worst, spent
    return worst, spent


def _layer(splats: Gaussians, view: View, flow: Flow | None = None) -> Layers:
    """The splats before the view's backdrop."""
    return compose(render_layers(splats, view.target.camera, motion=flow), view.backdrop)


def _descend(
    stage: Stage,
    views: list[View],
    steps: int,
    seed: int,
    progress: Progress,
    settings: Settings,
    obstacles: Obstacles,
    clock: Clock,
) -> tuple[float, NDArray[np.float32]]:
    """Move ``stage``'s motion and colours in ``steps`` renders.

    Returns the mean photometric loss of the last tenth, and how far each view was believed in each frame [V, T + 1].
    """
    with clock("prepare"):
        smoothness = SMOOTHNESS_WEIGHT if settings.smooth_knots else 0.0
        plausibility = Plausibility(stage.scene, stage.trajectory, stage.motion, smoothness, obstacles)
        progress(0.0, "getting ready")
        areas = [_area(stage, view) for view in views]
    look = OwnLook(len(views), stage.trajectory.frames, views[0].target.camera.width, stage.device)
    optimiser = _optimiser(
        stage, look, _metres_per_pixel(stage.trajectory, views), views[0].target.camera.width, steps
    )
    original = stage.detail.detach().clone()
    losses: list[float] = []
    wrong = 0.0
    shows = np.stack([view.shows for view in views])
    trust = Trust(shows)
    believed = trust.weights()
    for number, (v, frame) in enumerate(_samples(shows, steps, seed)):
        share = number / steps
        view = views[v]
        with clock("move splats"):
            matter = stage.matter(frame)
            splats = stage.splats(matter, frame, view.target.camera)
            flow = None
            if view.flow is not None and frame + 1 < stage.trajectory.frames:
                flow = stage.flow(matter, splats, stage.matter(frame + 1))
        with clock("render"):
            layer = _layer(splats, view, flow)
        with clock("compare"):
            part = next(part for part in SCHEDULE if share < part.until)
            loss = _unlikeness(layer, view, look, v, frame, areas[v], part, settings)
            losses.append(float(loss.detach()))
            if settings.nuisance:
                trust.hear(v, frame, losses[-1])
                believed = trust.weights()
            if flow is not None:
                loss = loss + FLOW_WEIGHT * view.flow_difference(layer, frame, areas[v])
            loss = loss * (view.target.weight * float(believed[v, frame]))
            loss = loss + plausibility(stage.motion) + plausibility.apart(frame, matter) + look.price()
            loss = loss + COLOR_WEIGHT * (stage.detail - original).square().mean() + _looks_price(stage)
        wrong = losses[-1] if number == 0 else wrong + WRONG_UPDATE * (losses[-1] - wrong)
        for group in optimiser.param_groups:
            decay = STEP_END + (1 - STEP_END) * 0.5 * (1 + math.cos(math.pi * share))
            group["lr"] = group["first"] * decay * min(1.0, wrong / WRONG) if share >= group["from"] else 0.0
        optimiser.zero_grad(set_to_none=True)
        with clock("differentiate"):
            loss.backward()
        with clock("step"):
            optimiser.step()
        progress((number + 1) / steps, f"difference {losses[-1]:.4f}")
    return float(np.mean(losses[-max(1, len(losses) // 10) :])), believed


def _unlikeness(
    layer: Layers,
    view: View,
    look: OwnLook,
    v: int,
    frame: int,
    area: float,
    part: Schedule,
    settings: Settings,
) -> Tensor:
    """The photometric loss of a rendered frame of view number ``v``, and of its coverage where the video's is known."""
    image, wanted = layer.rgb.clamp(0, 1), view.video[frame]
    coverage = layer.alpha.detach()
    if settings.nuisance and settings.view_colours:
        image = look.coloured(image, v, frame)
    if view.alpha is not None:
        image = torch.cat([image, layer.alpha[..., None]], -1)
        wanted = torch.cat([wanted, view.alpha[frame][..., None]], -1)
    if settings.nuisance and settings.object_warps:
        wanted = look.straightened(wanted, coverage, v, frame)
    here = region(coverage, wanted[..., :3].detach(), view.backdrop.rgb)
    return photometric(image[here], wanted[here], area, part.levels, part.ssim)


def _looks_price(stage: Stage) -> Tensor:
    """Of what splats do besides moving with matter and changing colour."""
    price = FADING_WEIGHT * stage.fading.square().mean()
    return price + stage.offsets.price() if stage.offsets.raw.requires_grad else price


@torch.no_grad()
def _area(stage: Stage, view: View) -> float:
    """Pixels that the objects cover at the start of the round, or halfway or at its end where they are not in the picture yet; a hundredth
    of the picture where they are out of it."""
    last = stage.trajectory.frames - 1
    for frame in (0, last // 2, last):
        layer = _layer(stage.splats(stage.matter(frame), frame, view.target.camera), view)
        covered, least = float(layer.alpha.sum()), 0.01 * layer.alpha.numel()
        if covered > least:
            return covered
    return least


def _optimiser(stage: Stage, look: OwnLook, pixel: float, width: int, renders: int) -> torch.optim.Adam:
    """Adam over motion, tint and colours, each at its own rate, for a pass of so many ``renders`` of ``width`` pixels; ``pixel`` is m."""

    def group(parameters: list[Tensor], rate: float, start: float, still: float) -> dict[str, Any]:
        return {"params": parameters, "lr": rate, "first": rate, "from": start, "eps": still}

    step = min(LONGEST_STEP, REACH_PIXELS / renders) * min(1.0, width / 160)
    groups = [
        *(
            group(moved, share * step * pixel, 0.0, STILL / pixel)
            for moved, share in stage.motion.parameters()
        ),
        group([stage.tint], TINT_STEP, 0.0, STILL_COLOR),
        group([look.colours], COLOUR_STEP, 0.0, STILL_COLOR),
        group([look.warps], WARP_STEP, 0.0, STILL),
        group([stage.detail], COLOR_STEP, COLORS_FROM, STILL_COLOR / max(1, len(stage.detail))),
    ]
    if stage.offsets.raw.requires_grad:
        unit = pixel / float(stage.offsets.reach.mean())  # raw offsets a pixel
        still = STILL / unit / max(1, len(stage.detail))
        groups.append(group([stage.offsets.raw], OFFSET_STEP_PIXELS * unit, COLORS_FROM, still))
    if stage.fading.requires_grad:
        still = STILL_COLOR / max(1, len(stage.detail))
        groups.append(group([stage.fading], FADING_STEP, FADING_FROM, still))
    return torch.optim.Adam(groups, betas=MOMENTA)


def _samples(shows: NDArray[np.bool_], count: int, seed: int) -> Iterator[tuple[int, int]]:
    """``count`` pairs (view, frame >= 1) that show objects (``shows`` [V, T + 1]): every pair once in random order, then all again; the
    last frame twice as often, for the next round starts from it."""
    generator = np.random.default_rng(seed)
    views, frames = shows.shape
    pairs = [(v, f) for v in range(views) for f in (*range(1, frames), frames - 1) if shows[v, f]]
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
