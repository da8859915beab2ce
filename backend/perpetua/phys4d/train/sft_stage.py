"""Stage 2, physics-grounded fine-tuning (paper, 5.3): a LoRA and the heads, at the noisy times of the schedule, on simulated clips; the
model's own objective, depth, motion, and their agreement when a frame is carried back along the flow."""

from __future__ import annotations

from pathlib import Path

from perpetua.errors import TrainingError
from perpetua.phys4d.train import checkpoint
from perpetua.phys4d.train.assembly import assemble
from perpetua.phys4d.train.config import SftConfig
from perpetua.phys4d.train.losses import physics_losses
from perpetua.phys4d.train.memory import explained
from perpetua.phys4d.train.model import POLICY
from perpetua.phys4d.train.noising import noised, size_of
from perpetua.phys4d.train.run import Run
from perpetua.phys4d.train.validation import CHOSEN, figures_of_samples
from perpetua.progress import Progress


def train_sft(config: SftConfig, out: Path, progress: Progress) -> Path:
    """Train, or go on; returns the file of the weights."""
    stage = assemble(config)
    run = Run(stage.model, config, "sft", out, progress)
    with explained(config, stage.backbone.frames_step, stage.weights_bytes):
        for _ in run.steps(steps_of(config)):
            for number, batch in enumerate(run.batches(stage.clips)):
                clean, shown = stage.backbone.latents(batch)
                mix = noised(stage.backbone.schedule, clean, config.noise, run.draw("noise", number))
                seen = run.model(mix.noisy, mix.t, shown, size_of(batch))
                generated = stage.backbone.generated(clean)
                error = (seen.output - mix.target) * stage.backbone.error_scale
                losses = physics_losses(error, generated, seen.readings, batch, config.weights)
                run.backward(losses, batch)
                run.spend(forward=len(clean), backward=len(clean))
            run.update()
            if run.due_for_validation() and stage.validation is not None:
                run.validated(figures_of_samples(stage, config), CHOSEN)
    path = run.finish()
    stage.backbone.export(out, POLICY)
    return path


def steps_of(config: SftConfig) -> int:
    """The steps to train: as many as the configuration says, or as cost what a run of stage 3 cost.

    A pass of gradients counts as two forward passes (Kaplan et al. 2020).
    """
    if not config.same_compute_as:
        return config.steps
    there = checkpoint.finished(Path(config.same_compute_as))
    if not there:
        raise TrainingError(
            f"{config.same_compute_as} holds no checkpoint; set same_compute_as to the --out of a run of `perpetua train rl`."
        )
    spent = checkpoint.read_state(there[-1])
    clips = config.batch * config.accumulate
    return max(1, -(-(spent.forward + 2 * spent.backward) // (3 * clips)))
