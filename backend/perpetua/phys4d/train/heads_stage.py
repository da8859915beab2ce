"""Stage 1, pseudo-supervised pretraining of the heads (paper, 5.2): the backbone is frozen; depth and motion are learned from its features
at every time of the schedule, against whatever labels the clips have, an estimator's or a simulation's."""

from __future__ import annotations

from pathlib import Path

import torch

from perpetua.phys4d.train.assembly import Assembly, assemble
from perpetua.phys4d.train.batches import Batch, in_order
from perpetua.phys4d.train.config import HeadsConfig
from perpetua.phys4d.train.losses import heads_losses
from perpetua.phys4d.train.memory import explained
from perpetua.phys4d.train.noising import noised, size_of
from perpetua.phys4d.train.run import Run, generator
from perpetua.progress import Progress


def train_heads(config: HeadsConfig, out: Path, progress: Progress) -> Path:
    """Train, or go on; returns the file of the weights."""
    stage = assemble(config)
    run = Run(stage.model, config, "heads", out, progress)
    with explained(config, stage.backbone.frames_step, stage.weights_bytes):
        for _ in run.steps():
            for number, batch in enumerate(run.batches(stage.clips)):
                clean, shown = stage.backbone.latents(batch)
                mix = noised(stage.backbone.schedule, clean, (0.0, 1.0), run.draw("noise", number))
                seen = run.model(mix.noisy, mix.t, shown, size_of(batch), frozen=True).readings
                run.backward(heads_losses(seen, batch), batch)
                run.spend(forward=len(clean))
            run.update()
            if run.due_for_validation() and stage.validation is not None:
                run.validated(validate(stage, config), "loss")
    return run.finish()


@torch.no_grad()
def validate(stage: Assembly, config: HeadsConfig) -> dict[str, float]:
    """The losses on clips that are set aside, with the same noise every time."""
    assert stage.validation is not None
    assert config.validation is not None
    device = next(stage.model.parameters()).device
    sums: dict[str, float] = {}
    count = 0
    for number, item in enumerate(in_order(stage.validation, config.validation, config.validation_clips)):
        batch: Batch = {key: value.to(device) for key, value in item.items()}
        clean, shown = stage.backbone.latents(batch)
        mix = noised(stage.backbone.schedule, clean, (0.0, 1.0), generator(config.seed, number))
        losses = heads_losses(stage.model(mix.noisy, mix.t, shown, size_of(batch)).readings, batch)
        sums = {name: sums.get(name, 0.0) + float(value) for name, value in losses.items()}
        count += 1
    return {name: total / count for name, total in sums.items()}
