"""Videos from noise, step by step: what happens on the way is kept, since to reinforcement learning each step is an action (paper, F.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from perpetua.phys4d.train.backbones.api import Shown, VideoTransformer
from perpetua.phys4d.train.model import WorldModel
from perpetua.phys4d.train.readings import Readings
from perpetua.phys4d.train.schedules import Step


@dataclass(frozen=True)
class Rollout:
    """G videos of one clip. times: S + 1, from 1 to 0.  states: S + 1 tensors [G, C, t, h, w], on the CPU, before each step and at the
    end.  log_probs: [S - 1, G], of the steps that have noise.  readings: what the heads saw in the last step."""

    times: list[float]
    states: list[Tensor]
    log_probs: Tensor
    readings: Readings

    @property
    def latents(self) -> Tensor:
        """[G, C, t, h, w]: the videos."""
        return self.states[-1]


@torch.no_grad()
def roll_out(
    model: WorldModel, backbone: VideoTransformer, shown: Shown, size: tuple[int, int, int], steps: int, exploration: float,
    draw: torch.Generator,
) -> Rollout:  # fmt: skip
    """Sample a video for each of the conditions [G, ...], from noise of its own. exploration 0 follows the flow without noise."""
    device = shown[0].device
    times = backbone.schedule.times(steps)
    x = torch.randn(backbone.latent_shape(shown, size), generator=draw).to(device)
    G = len(x)
    generated = backbone.generated(x)
    states, log_probs = [x.cpu()], []
    readings: Readings | None = None
    for t, t_next in pairwise(times):
        seen = model(x, torch.full((G,), t, device=device), shown, size)
        step = backbone.schedule.step(x, seen.output, t, t_next, exploration)
        x = step.mean
        if step.std:
            x = x + step.std * torch.randn(x.shape, generator=draw).to(device)
            log_probs.append(log_probability(x, step, generated).cpu())
        states.append(x.cpu())
        readings = seen.readings
    assert readings is not None
    states[-1] = backbone.finished(x, shown).cpu()
    return Rollout(times, states, torch.stack(log_probs) if log_probs else torch.zeros(0, G), readings)


def joined(parts: Sequence[Rollout]) -> Rollout:
    """The videos of several rollouts with the same times, as one."""
    states = [torch.cat(pieces) for pieces in zip(*(part.states for part in parts))]
    readings = Readings(*(torch.cat(pieces) for pieces in zip(*(part.readings for part in parts))))
    return Rollout(parts[0].times, states, torch.cat([part.log_probs for part in parts], 1), readings)


def log_probability(x: Tensor, step: Step, generated: Tensor) -> Tensor:
    """[G]: of arriving at x [G, C, t, h, w] by a step, per number of the generated latents.

    The sum over millions of numbers would put every ratio of probabilities out of reach at once; the mean is what practice clips
    (Liu et al. 2025).
    """
    error = ((x - step.mean) / step.std)[:, :, generated.to(x.device)]
    density = -(error.square()) / 2 - math.log(step.std) - math.log(2 * math.pi) / 2
    return density.flatten(1).mean(1)
