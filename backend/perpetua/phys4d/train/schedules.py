"""Noise schedules: how a clean video and noise mix, what the model predicts of the mix, and steps from noise to video.

A time runs from 0 (clean) to 1 (noise). A mix is x_t = a_t z + s_t n, n ~ N(0, I), z the clean latents.

RectifiedFlow   a = 1 - t, s = t; the model predicts v = n - z (Lipman et al. 2023, Liu et al. 2023)
Ddpm            a = sqrt(abar), s = sqrt(1 - abar); the model predicts v = a n - s z (Salimans and Ho 2022), as CogVideoX

A sampling step is a Gaussian: given x_t and the prediction, x_{t'} ~ N(mean, std^2). Without exploration std is 0 and the step is the
deterministic one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """Where a sampling step leads. mean: like x.  std: of every element, a number."""

    mean: Tensor
    std: float


class Schedule(ABC):
    """Times are tensors [B] where batches are meant, and numbers in sampling."""

    @abstractmethod
    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a_t and s_t [B]."""

    @abstractmethod
    def model_time(self, t: Tensor) -> Tensor:
        """What the transformer is told, [B]."""

    @abstractmethod
    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the model should predict."""

    @abstractmethod
    def clean(self, noisy: Tensor, output: Tensor, t: Tensor) -> Tensor:
        """z from a mix and what the model predicted of it."""

    @abstractmethod
    def times(self, steps: int) -> list[float]:
        """The steps + 1 times of a sampling, from 1 to 0."""

    @abstractmethod
    def step(self, x: Tensor, output: Tensor, t: float, t_next: float, exploration: float) -> Step:
        """From ``t`` to ``t_next`` < t. The last step, to 0, has no noise."""

    def mix(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t."""
        signal, level = self.levels(t)
        return _as(signal, clean) * clean + _as(level, clean) * noise


class RectifiedFlow(Schedule):
    """shift moves a sampling's times towards noise: t = shift u / (1 + (shift - 1) u), u evenly spaced (Esser et al. 2024)."""

    def __init__(self, shift: float = 1.0, train_steps: int = 1000) -> None:
        self.shift, self.train_steps = shift, train_steps

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return 1 - t, t

    def model_time(self, t: Tensor) -> Tensor:
        return t * self.train_steps

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise - clean

    def clean(self, noisy: Tensor, output: Tensor, t: Tensor) -> Tensor:
        return noisy - _as(t, noisy) * output

    def times(self, steps: int) -> list[float]:
        even = [1 - k / steps for k in range(steps + 1)]
        return [self.shift * u / (1 + (self.shift - 1) * u) for u in even]

    def step(self, x: Tensor, output: Tensor, t: float, t_next: float, exploration: float) -> Step:
        """Euler-Maruyama on the Flow-SDE dx = [v - g^2 s / 2] dt + g dw, which has the flow's marginals: score
        s = -(x + (1 - t) v) / t, g = exploration sqrt(t / (1 - t)) (paper, eq. 8; Liu et al. 2025). At t = 1, where g is infinite, 1 - t is
        taken at the end of the step."""
        dt = t_next - t
        if t_next <= 0 or exploration == 0:
            return Step(x + output * dt, 0.0)
        g2 = exploration**2 * t / (1 - (t if t < 1 else t_next))
        score = -(x + (1 - t) * output) / t
        return Step(x + (output - g2 * score / 2) * dt, (g2 * -dt) ** 0.5)


class Ddpm(Schedule):
    """alphas_cumprod: [N], of the training steps from clean to noise. Time t stands for step ceil(t N) - 1; t = 0 for the clean video."""

    def __init__(self, alphas_cumprod: Tensor) -> None:
        # levels[0] is clean; abar may reach 0 in the last (Lin et al. 2024)
        self._abar = torch.cat([torch.ones(1, dtype=torch.float64), alphas_cumprod.double().cpu()])

    @property
    def train_steps(self) -> int:
        return len(self._abar) - 1

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        abar = self._abar[self._index(t).cpu()].to(t.device)
        return abar.sqrt().to(t.dtype), (1 - abar).sqrt().to(t.dtype)

    def model_time(self, t: Tensor) -> Tensor:
        return self._index(t) - 1

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        signal, level = self.levels(t)
        return _as(signal, clean) * noise - _as(level, clean) * clean

    def clean(self, noisy: Tensor, output: Tensor, t: Tensor) -> Tensor:
        signal, level = self.levels(t)
        return _as(signal, noisy) * noisy - _as(level, noisy) * output

    def times(self, steps: int) -> list[float]:
        return [1 - k / steps for k in range(steps + 1)]

    def step(self, x: Tensor, output: Tensor, t: float, t_next: float, exploration: float) -> Step:
        """DDIM with eta = ``exploration`` (Song et al. 2021, eq. 12 and 16): DDPM's ancestral sampling at 1, deterministic at 0."""
        (a, s), (a_next, s_next) = self._levels_at(t), self._levels_at(t_next)
        z, n = a * x - s * output, s * x + a * output
        std = exploration * s_next / s * max(0.0, 1 - (a / a_next) ** 2) ** 0.5
        return Step(a_next * z + max(0.0, s_next**2 - std**2) ** 0.5 * n, std)

    def _levels_at(self, t: float) -> tuple[float, float]:
        signal, level = self.levels(torch.tensor([t], dtype=torch.float64))
        return float(signal), float(level)

    def _index(self, t: Tensor) -> Tensor:
        # the small number keeps a float32 0.8 of 1000 steps, 800.00001, at 800
        return torch.ceil(t.double() * self.train_steps - 1e-3).long().clamp(0, self.train_steps)


def _as(numbers: Tensor, like: Tensor) -> Tensor:
    return numbers.to(like).view(-1, *(1,) * (like.ndim - 1))
