"""Train Gaussians until they look like a capture's pictures (Kerbl et al. 2023), and know whose they are.

Works on CPU and CUDA alike, with either strategy of ``perpetua.render.strategy``. The loss of a view:

    0.8 L1 + 0.2 (1 - SSIM) + 0.2 relative L1 of depth + 0.1 (cross-entropy of objects + neighbour term) + MCMC's pulls

the last of which (towards transparent and small; Kheradmand et al. 2024, equation 10) only with MCMC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.errors import ReconstructionError
from perpetua.progress import Progress
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.fit.flat import check_can_be_flat, flattened, unevenness
from perpetua.reconstruct.fit.identity import Neighbours, classes, cross_entropy, first_logits
from perpetua.reconstruct.fit.start import Start, dome, scene_radius, start
from perpetua.render import rasterization, rasterization_2dgs, render_layers
from perpetua.render.layers import camera_tensors
from perpetua.render.similarity import structural_similarity
from perpetua.render.strategy import DefaultStrategy, MCMCStrategy
from perpetua.scene.gaussians import Gaussians

SSIM_WEIGHT = 0.2
DEPTH_WEIGHT = 0.2
IDENTITY_WEIGHT = 0.1
PULL_WEIGHT = 0.01
"""Of MCMC's pulls (the paper's, for opacity and, in sizes of the scene, for scale)."""
RATES = {"means": 6e-4, "scales": 1e-2, "quats": 5e-3, "opacities": 4e-2, "colors": 1e-2, "identity": 3e-2}
"""Adam's first rates; of means in radii of the scene. Ten times the paper's, for a schedule of a tenth of its steps."""
LAST_RATE = 0.03
"""Of the first rate of means, colours and scales, reached by an exponential."""
FIRST_OPACITY = 0.7
FIRST_SIZE = 0.6
"""Standard deviation at the start, in the distance to the neighbours."""
REFINE_UNTIL = 0.7
"""Share of the steps in which Gaussians are added and moved."""
NEIGHBOURS_EVERY = 200
"""Steps after which neighbours are looked for again (and whenever the number of Gaussians has changed)."""
SEEN = 0.5
"""Coverage above which a pixel's depth is compared."""


@dataclass(frozen=True)
class FitSettings:
    """How much to spend."""

    gaussians: int = 12_000
    """At most."""
    steps: int = 2000
    strategy: Literal["mcmc", "default"] = "mcmc"
    device: str = "cpu"
    splats: Literal["3dgs", "2dgs"] = "3dgs"
    """Ellipsoids, or discs, which CUDA alone can train; those are always added by the default strategy."""


@dataclass(frozen=True)
class Fit:
    """gaussians: on the CPU, of degree 0 if they were fitted.  objects: [N] int64, whose each is, -1 for the background's.  dome: what is far around, not
    among them."""

    gaussians: Gaussians
    objects: NDArray[np.int64]
    dome: Gaussians


@dataclass(frozen=True)
class _Target:
    """A view as tensors on the device."""

    viewmat: Tensor
    K: Tensor
    rgb: Tensor
    depth: Tensor | None
    objects: Tensor | None
    backdrop: Tensor
    """[H, W, 3] what is seen where nothing trained is."""


def train(capture: Capture, settings: FitSettings, seed: int, progress: Progress) -> Fit:
    """Fit ``capture``'s views. Raises ``ReconstructionError`` if the fit fails, or cannot be made on this machine."""
    flat = settings.splats == "2dgs"
    if flat:
        check_can_be_flat(settings.device)
    torch.manual_seed(seed)
    device = torch.device(settings.device)
    begun = start(capture, settings.gaussians if capture.has_depth else settings.gaussians // 2, seed)
    sky = dome(capture, seed)
    targets = [_target(view, sky.to(device)) for view in capture.views]
    params = _parameters(begun, len(capture.objects) if capture.has_objects else 0, device)
    radius = scene_radius(capture)
    rates = {**RATES, "means": RATES["means"] * radius}
    optimizers = {name: torch.optim.Adam([p], lr=rates[name], eps=1e-15) for name, p in params.items()}
    strategy, state = _strategy(settings, radius)
    strategy.check_sanity(params, optimizers)
    order = np.random.default_rng(seed)
    turn: list[int] = []
    neighbours: Neighbours | None = None
    for step in range(1, settings.steps + 1):
        decay = LAST_RATE ** (step / settings.steps)
        for name in ("means", "colors", "scales"):
            optimizers[name].param_groups[0]["lr"] = rates[name] * decay
        turn = turn or order.permutation(len(targets)).tolist()
        target = targets[turn.pop()]
        if "identity" in params and (
            neighbours is None
            or len(neighbours.found) != len(params["means"])
            or step % NEIGHBOURS_EVERY == 0
        ):
            neighbours = Neighbours(params["means"])
        image, alpha, uneven, info = _draw(params, target, flat)
        strategy.step_pre_backward(params, optimizers, state, step, info)
        loss = _loss(params, image, alpha, target, neighbours) + uneven
        if isinstance(strategy, MCMCStrategy):
            loss = loss + PULL_WEIGHT * torch.sigmoid(params["opacities"]).mean()
            loss = loss + PULL_WEIGHT * params["scales"].exp().mean() / radius
        if not torch.isfinite(loss):
            raise ReconstructionError(
                f"The fit of the capture's pictures came apart in step {step}; check its cameras and depth, or use fewer steps."
            )
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        more = {"lr": rates["means"] * decay} if isinstance(strategy, MCMCStrategy) else {"packed": True}
        strategy.step_post_backward(params, optimizers, state, step, info, **more)
        if step % 20 == 0:
            progress(step / settings.steps, f"fitting {len(params['means'])} gaussians")
    return _finished(params, sky, flat)


def _target(view: CapturedView, sky: Gaussians) -> _Target:
    device = sky.means.device
    viewmats, Ks = camera_tensors(view.camera, device)
    with torch.no_grad():
        backdrop = render_layers(sky, view.camera).rgb
    return _Target(
        viewmats,
        Ks,
        (torch.from_numpy(view.rgb).float() / 255).to(device),
        None if view.depth is None else torch.from_numpy(view.depth).to(device),
        None if view.objects is None else torch.from_numpy(view.objects).long().to(device),
        backdrop,
    )


def _parameters(begun: Start, objects: int, device: torch.device) -> dict[str, torch.nn.Parameter]:
    count = len(begun.means)
    values = {
        "means": torch.from_numpy(begun.means).float(),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        "scales": torch.from_numpy(np.log(FIRST_SIZE * begun.sizes)).float()[:, None].repeat(1, 3),
        "opacities": torch.full((count,), math.log(FIRST_OPACITY / (1 - FIRST_OPACITY))),
        "colors": torch.from_numpy(begun.colors).float(),
    }
    if objects:
        values["identity"] = first_logits(begun.objects, objects)
    return {name: torch.nn.Parameter(value.to(device)) for name, value in values.items()}


def _strategy(settings: FitSettings, radius: float) -> tuple[Any, dict[str, Any]]:
    every = max(10, settings.steps // 25)
    until = round(REFINE_UNTIL * settings.steps)
    flat = settings.splats == "2dgs"
    if settings.strategy == "mcmc" and not flat:
        mcmc = MCMCStrategy(
            cap_max=settings.gaussians, refine_start_iter=every, refine_every=every, refine_stop_iter=until
        )
        return mcmc, mcmc.initialize_state()
    default = DefaultStrategy(
        refine_start_iter=every, refine_every=every, refine_stop_iter=until, reset_every=10 * settings.steps,
        key_for_gradient="gradient_2dgs" if flat else "means2d",
    )  # fmt: skip
    return default, default.initialize_state(radius)


def _draw(
    params: dict[str, torch.nn.Parameter], target: _Target, flat: bool
) -> tuple[Tensor, Tensor, Tensor | float, dict[str, Any]]:
    """Colours, objects' classes and depth [H, W, 3 + objects + 1], coverage [H, W], what flat Gaussians lose by lying in no surface, and
    the renderer's meta. The backdrop shows through as far as they let it."""
    values: Tensor = params["colors"]
    if "identity" in params:
        values = torch.cat([values, classes(params["identity"])], -1)
    height, width = target.rgb.shape[:2]
    camera = (target.viewmat, target.K, width, height)
    shapes = (
        params["means"],
        params["quats"],
        params["scales"].exp(),
        torch.sigmoid(params["opacities"]),
        values,
    )
    uneven: Tensor | float = 0.0
    if flat:
        image, alpha, normals, of_depth, distortion, _, info = rasterization_2dgs(
            *shapes, *camera, render_mode="RGB+ED", distloss=True, packed=True
        )
        uneven = unevenness(normals, of_depth, alpha, distortion)
    else:
        image, alpha, info = rasterization(*shapes, *camera, render_mode="RGB+ED")
    rgb = image[0, ..., :3] + (1 - alpha[0]) * target.backdrop
    return torch.cat([rgb, image[0, ..., 3:]], -1), alpha[0, ..., 0], uneven, info


def _loss(
    params: dict[str, torch.nn.Parameter],
    image: Tensor,
    alpha: Tensor,
    target: _Target,
    neighbours: Neighbours | None,
) -> Tensor:
    rgb = image[..., :3]
    total = (1 - SSIM_WEIGHT) * (rgb - target.rgb).abs().mean()
    total = total + SSIM_WEIGHT * (1 - structural_similarity(rgb, target.rgb).mean())
    if target.depth is not None:
        compared = torch.isfinite(target.depth) & (alpha > SEEN)
        if bool(compared.any()):
            wanted = target.depth[compared]
            total = total + DEPTH_WEIGHT * ((image[..., -1][compared] - wanted).abs() / wanted).mean()
    if "identity" in params and target.objects is not None:
        total = total + IDENTITY_WEIGHT * cross_entropy(image[..., 3:-1], target.objects)
        assert neighbours is not None
        total = total + IDENTITY_WEIGHT * neighbours.unlikeness(params["identity"])
    return total


@torch.no_grad()
def _finished(params: dict[str, torch.nn.Parameter], sky: Gaussians, flat: bool) -> Fit:
    means, quats, scales, opacities, colors = (
        params[name].detach().cpu() for name in ("means", "quats", "scales", "opacities", "colors")
    )
    sizes = flattened(scales.exp()) if flat else scales.exp()
    gaussians = Gaussians.from_colors(means, quats, sizes, torch.sigmoid(opacities), colors)
    objects = np.full(len(means), -1)
    if "identity" in params:
        objects = params["identity"].detach().cpu().argmax(-1).numpy() - 1
    return Fit(gaussians, objects, sky)
