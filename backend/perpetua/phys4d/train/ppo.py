"""Proximal policy optimisation of denoising steps (Schulman et al. 2017; paper, F.4), with advantages within a group (Shao et al. 2024)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.phys4d.train.schedules import Step

LEAST_SPREAD_M = 1e-3
"""Added to a group's standard deviation: rewards that differ by less than this, 1 mm, count as equal."""
LARGEST_ADVANTAGE = 3.0


def advantages(rewards: NDArray[np.float64]) -> Tensor:
    """[G]: how much better than its group each video was, in standard deviations."""
    spread = rewards.std() + LEAST_SPREAD_M
    normal = (rewards - rewards.mean()) / spread
    return torch.from_numpy(np.clip(normal, -LARGEST_ADVANTAGE, LARGEST_ADVANTAGE)).float()


def clipped_objective(log_prob: Tensor, old: Tensor, advantage: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """(loss, share of ratios that were clipped) of steps [G]: minus the mean of min(r A, clip(r, 1 - clip, 1 + clip) A)."""
    ratio = torch.exp(log_prob - old)
    bounded = ratio.clamp(1 - clip, 1 + clip)
    loss = -torch.minimum(ratio * advantage, bounded * advantage).mean()
    return loss, (ratio != bounded).float().mean().detach()


def divergence(step: Step, reference: Step, generated: Tensor) -> Tensor:
    """KL(N(step.mean, std^2) || N(reference.mean, std^2)) per number of the generated latents: |difference|^2 / (2 std^2)."""
    difference = (step.mean - reference.mean)[:, :, generated.to(step.mean.device)]
    return difference.square().mean() / (2 * step.std**2)
