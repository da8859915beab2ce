"""Draws times and noise for a batch of latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perpetua.phys4d.train.batches import Batch
from perpetua.phys4d.train.schedules import Schedule


@dataclass(frozen=True)
class Mix:
    """noisy, target: like the latents; what the model sees, and what it should predict.  t: [B]."""

    noisy: Tensor
    target: Tensor
    t: Tensor


def noised(schedule: Schedule, clean: Tensor, times: tuple[float, float], draw: torch.Generator) -> Mix:
    """``clean`` [B, C, t, h, w] at times drawn evenly from ``times``, each clip at one of its own."""
    low, high = times
    t = (low + (high - low) * torch.rand(len(clean), generator=draw)).to(clean.device)
    noise = torch.randn(clean.shape, generator=draw).to(clean.device)
    return Mix(schedule.mix(clean, noise, t), schedule.target(clean, noise, t), t)


def size_of(batch: Batch) -> tuple[int, int, int]:
    """(T, H, W) of a batch's videos."""
    T, H, W = batch["rgb"].shape[2:]
    return int(T), int(H), int(W)
