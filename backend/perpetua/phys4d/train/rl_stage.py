"""Stage 3, simulation-grounded reinforcement learning (paper, 5.4): videos are made with noise in every denoising step, rewarded by how near
the world they show is to the simulation's, and the LoRA is moved towards the better ones of each group, but not far from stage 2.

The heads stay as they are: they are the eye of the reward, and a model that may change its judge learns to please it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.errors import TrainingError
from perpetua.phys4d.train.assembly import Assembly, assemble, lora_of
from perpetua.phys4d.train.backbones.api import Shown, changed
from perpetua.phys4d.train.batches import Batch
from perpetua.phys4d.train.config import RlConfig
from perpetua.phys4d.train.memory import explained
from perpetua.phys4d.train.model import POLICY, REFERENCE
from perpetua.phys4d.train.noising import size_of
from perpetua.phys4d.train.ppo import advantages, clipped_objective, divergence
from perpetua.phys4d.train.reward import TrueWorld
from perpetua.phys4d.train.run import Run
from perpetua.phys4d.train.sampling import Rollout, joined, log_probability, roll_out
from perpetua.phys4d.train.validation import CHOSEN, figures_of_samples
from perpetua.progress import Progress


@dataclass(frozen=True)
class Judged:
    """A clip's videos, their rewards [G] m, and how much better than each other they were. batch: the clip."""

    batch: Batch
    shown: Shown
    rollout: Rollout
    rewards: NDArray[np.float64]
    advantage: Tensor


def train_rl(config: RlConfig, out: Path, progress: Progress) -> Path:
    """Train, or go on; returns the file of the weights."""
    stage = assemble(config)
    stage.model.add_reference(lora_of(Path(config.start)))
    stage.model.motion.requires_grad_(False)
    stage.model.depth.requires_grad_(False)
    run = Run(stage.model, config, "rl", out, progress)
    with explained(config, stage.backbone.frames_step, stage.weights_bytes):
        for _ in run.steps():
            clips = run.batches(stage.clips, size=1, count=config.scenes)
            judged = [judge(run, stage, config, number, batch) for number, batch in enumerate(clips)]
            if run.step == 0:
                refuse_hopeless(judged, config)
            improve(run, stage, config, judged)
            if run.due_for_validation() and stage.validation is not None:
                run.validated(figures_of_samples(stage, config), CHOSEN)
    path = run.finish()
    stage.backbone.export(out, POLICY)
    return path


def judge(run: Run, stage: Assembly, config: RlConfig, number: int, batch: Batch) -> Judged:
    """Make a group of videos of a clip with the policy, and reward them. Where nothing moves in the clip none is better than another."""
    world = TrueWorld(batch, stage.clips.names[int(batch["clip"])])
    _, shown = stage.backbone.latents(batch)
    group = changed(shown, lambda value: value.expand(config.group, *value.shape[1:]))
    draw, parts = run.draw("rollout", number), []
    for first in range(0, config.group, config.batch):
        chosen = slice(first, first + config.batch)
        members = changed(group, lambda value, chosen=chosen: value[chosen])  # type: ignore[misc]
        parts.append(
            roll_out(
                stage.model,
                stage.backbone,
                members,
                size_of(batch),
                config.rollout_steps,
                config.exploration,
                draw,
            )
        )
    rollout = joined(parts)
    run.spend(forward=config.group * config.rollout_steps)
    rewards, moving = world.rewards(rollout.readings, config.worst_reward)
    for name, value in (
        ("reward", rewards.mean()),
        ("reward_spread", rewards.std()),
        ("moving_points", moving.mean()),
    ):
        run.note(f"rollout/{name}", float(value))
    return Judged(batch, group, rollout, rewards, advantages(rewards))


def refuse_hopeless(judged: list[Judged], config: RlConfig) -> None:
    """Raise ``TrainingError`` if every video got the worst reward: with none better than another there is nothing to learn from."""
    if all((found.rewards <= config.worst_reward).all() for found in judged):
        raise TrainingError(
            f"All {config.scenes * config.group} videos of the first step got the worst reward, {config.worst_reward:g} m, so none is "
            "better than another. Train stage 2 for longer, or lower worst_reward."
        )


def improve(run: Run, stage: Assembly, config: RlConfig, judged: list[Judged]) -> None:
    """Move the policy in ``updates`` steps of the optimiser, each on its share of all videos' denoising steps, in random order."""
    pieces = list(_pieces(config, judged, run.draw("order")))
    for share in np.array_split(np.arange(len(pieces)), config.updates):
        if not len(share):
            continue
        for at in share:
            found, k, members = pieces[int(at)]
            losses, clipped = policy_losses(run, stage, config, found, k, members)
            run.backward(losses, found.batch, 1 / len(share))
            run.note("policy/clipped", float(clipped))
            run.spend(forward=2 * len(members), backward=len(members))
        run.update()


def policy_losses(
    run: Run, stage: Assembly, config: RlConfig, found: Judged, k: int, members: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """PPO's objective and the divergence from stage 2 of denoising step ``k`` of some ``members`` [M] of a group."""
    rollout, schedule = found.rollout, stage.backbone.schedule
    x, x_next = (rollout.states[i][members].to(run.device) for i in (k, k + 1))
    shown = changed(found.shown, lambda value: value[members.to(value.device)])
    t, t_next = rollout.times[k : k + 2]
    now = torch.full((len(members),), t, device=run.device)
    size = size_of(found.batch)
    with torch.no_grad(), stage.model.using(REFERENCE):
        reference = stage.model(x, now, shown, size).output
    output = run.model(x, now, shown, size).output
    step = schedule.step(x, output, t, t_next, config.exploration)
    kept = schedule.step(x, reference, t, t_next, config.exploration)
    generated = stage.backbone.generated(x)
    policy, clipped = clipped_objective(
        log_probability(x_next, step, generated), rollout.log_probs[k][members].to(run.device),
        found.advantage[members].to(run.device), config.clip_ratio,
    )  # fmt: skip
    kl = divergence(step, kept, generated)
    return {"loss": policy + config.kl * kl, "policy": policy, "kl": kl}, clipped


def _pieces(
    config: RlConfig, judged: list[Judged], draw: torch.Generator
) -> Iterator[tuple[Judged, int, Tensor]]:
    """(clip, denoising step, members of the group), at most ``batch`` of them at once, shuffled; the noiseless last step is no choice."""
    all_of_them = [
        (found, k, members)
        for found in judged
        for k in range(len(found.rollout.log_probs))
        for members in torch.arange(config.group).split(config.batch)
    ]
    for at in torch.randperm(len(all_of_them), generator=draw).tolist():
        yield all_of_them[at]
