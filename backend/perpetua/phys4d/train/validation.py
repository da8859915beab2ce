"""How good the videos are that a model makes of clips it has never seen: the same noise every time, and no exploration."""

from __future__ import annotations

import numpy as np
import torch

from perpetua.phys4d.train.assembly import Assembly
from perpetua.phys4d.train.backbones.api import Shown
from perpetua.phys4d.train.batches import Batch, in_order
from perpetua.phys4d.train.config import StageConfig
from perpetua.phys4d.train.noising import size_of
from perpetua.phys4d.train.readings import Readings
from perpetua.phys4d.train.reward import TrueWorld
from perpetua.phys4d.train.run import generator
from perpetua.phys4d.train.sampling import roll_out

CHOSEN = "chamfer_4d"
"""Which figure decides what the best weights are; the least is the best. The others are watched: it can fall while they grow worse."""
WORST_M = 10.0
"""What a video in which nothing moves counts as."""


@torch.no_grad()
def figures_of_samples(stage: Assembly, config: StageConfig) -> dict[str, float]:
    """Means over the clips set aside: chamfer_4d (m), epe (px), depth_abs_rel, psnr (dB), moving_points."""
    assert stage.validation is not None
    assert config.validation is not None
    device = next(stage.model.parameters()).device
    rows = []
    for number, item in enumerate(in_order(stage.validation, config.validation, config.validation_clips)):
        batch: Batch = {key: value.to(device) for key, value in item.items()}
        _, shown = stage.backbone.latents(batch)
        made = roll_out(
            stage.model, stage.backbone, shown, size_of(batch), config.sampling_steps, 0.0, generator(config.seed, number)
        )  # fmt: skip
        world = TrueWorld(batch, stage.validation.names[number])
        rows.append(
            _figures(made.readings, batch, world) | {"psnr": _psnr(stage, made.latents, shown, batch)}
        )
    names = sorted({name for row in rows for name in row})
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}


def _figures(seen: Readings, batch: Batch, world: TrueWorld) -> dict[str, float]:
    rewards, moving = world.rewards(seen, -WORST_M)
    error = (seen.flow - batch["flow"]).norm(dim=2)[batch["flow_known"]]
    true = batch["depth"] > 0
    relative = ((seen.depth - batch["depth"]).abs()[true] / batch["depth"][true]).mean()
    found = {"epe": float(error.mean()), "depth_abs_rel": float(relative), "moving_points": float(moving[0])}
    return found | ({CHOSEN: -float(rewards[0])} if world.moves else {})


def _psnr(stage: Assembly, latents: torch.Tensor, shown: Shown, batch: Batch) -> float:
    video = stage.backbone.decode(latents.to(batch["rgb"].device), shown).clamp(-1, 1)
    mse = float((video - batch["rgb"]).square().mean()) / 4  # of colours in [0, 1]
    return -10 * float(np.log10(max(mse, 1e-10)))
