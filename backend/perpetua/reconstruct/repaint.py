"""A scene's splats in the colours of pictures of it from other places: shapes, particles and what hangs on what stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from perpetua.errors import ReconstructionError
from perpetua.progress import Progress
from perpetua.reconstruct.capture.capture import CapturedView
from perpetua.render import render_layers
from perpetua.render.similarity import structural_similarity
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.scene import Scene

STEPS = 240
RATE = 0.04
"""Adam's, of the harmonics' coefficients; it falls to LAST_RATE of that."""
LAST_RATE = 0.1
SSIM_WEIGHT = 0.2
FIRST_SHARE = 0.25
"""Of the steps that look at the first view, which is the picture: the others are painted after it."""


def repainted(
    scene: Scene, views: list[CapturedView], seed: int, progress: Progress, steps: int = STEPS
) -> Scene:
    """``scene`` at rest as ``views`` show it, the first of which counts most. The colours of splats that no view shows stay, and so do
    shadows on the ground. Raises ``ReconstructionError`` if colours come apart."""
    rng = np.random.default_rng(seed)
    carried = scene.binding.carried
    behind, front = (torch.nn.Parameter(s.sh.clone()) for s in (scene.background, scene.foreground[:carried]))
    shadows = scene.foreground.sh[carried:]
    optimizer = torch.optim.Adam([behind, front], lr=RATE)
    wanted = [torch.from_numpy(view.rgb).float() / 255 for view in views]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * LAST_RATE ** (step / steps)
        first = len(views) == 1 or rng.random() < FIRST_SHARE
        index = 0 if first else int(rng.integers(1, len(views)))
        splats = Gaussians.cat(
            [replace(scene.background, sh=behind), replace(scene.foreground, sh=torch.cat([front, shadows]))]
        )
        loss = _unlikeness(render_layers(splats, views[index].camera).rgb, wanted[index])
        if not torch.isfinite(loss):
            raise ReconstructionError(
                "The painted views could not be laid on the scene; paint them again, or leave view_maker out."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        progress((step + 1) / steps, "laying painted views on the scene")
    colours = torch.cat([front.detach(), shadows])
    return replace(
        scene,
        background=replace(scene.background, sh=behind.detach()),
        foreground=replace(scene.foreground, sh=colours),
    )


def _unlikeness(image: Tensor, wanted: Tensor) -> Tensor:
    return (1 - SSIM_WEIGHT) * (image - wanted).abs().mean() + SSIM_WEIGHT * (
        1 - structural_similarity(image, wanted).mean()
    )
