"""Noise levels of a sampling schedule, and schedulers that begin in the middle of theirs.

Both kinds of model that are used here see latents that mix a clean video z with noise n,

    z_k = a_k z + s_k n,        k = 0 (noisiest) ... S (clean),

flow matching with a = 1 - sigma, s = sigma (Lipman et al. 2023), DDPM with a = sqrt(abar), s = sqrt(1 - abar) (Ho et al. 2020).
Starting at a later k from such a mix instead of from noise is SDEdit (Meng et al. 2022).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class NoiseLevels:
    """signal, noise: [S + 1] each, a_k and s_k before step k; the last is what the last step leaves."""

    signal: Tensor
    noise: Tensor

    @property
    def steps(self) -> int:
        return len(self.signal) - 1

    def mix(self, k: int, clean: Tensor, noise: Tensor) -> Tensor:
        """``clean`` with as much noise as a sample has before step ``k``."""
        return self.signal[k].to(clean) * clean + self.noise[k].to(clean) * noise

    def first_step(self, strength: float) -> int:
        """The step at which a sampling begins that runs the last ``strength`` (0 to 1) of the steps."""
        return self.steps - round(self.steps * strength)


def flow_levels(scheduler: Any) -> NoiseLevels:
    """Levels of a flow-matching scheduler whose timesteps are set."""
    sigmas = scheduler.sigmas.detach().cpu().double()
    return NoiseLevels(1 - sigmas, sigmas)


def ddpm_levels(scheduler: Any) -> NoiseLevels:
    """Levels of a scheduler with cumulative alphas whose timesteps are set."""
    kept = scheduler.alphas_cumprod.detach().cpu().double()
    last = scheduler.final_alpha_cumprod.detach().cpu().double().reshape(1)
    abar = kept[scheduler.timesteps.detach().cpu()].new_zeros(len(scheduler.timesteps) + 1)
    abar[:-1], abar[-1:] = kept[scheduler.timesteps.detach().cpu()], last
    return NoiseLevels(abar.sqrt(), (1 - abar).sqrt())


def beginning_at(scheduler: Any, first_step: int, **changes: Any) -> Any:
    """A scheduler of the same class and settings that leaves out its first ``first_step`` steps.

    Image-to-video pipelines of diffusers have no ``strength``; what they do have is a scheduler that tells them which steps
    there are.
    """
    kind = type(scheduler)
    origin = getattr(kind, "_whole", kind)

    class Beginning(origin):  # type: ignore[misc, valid-type]
        _whole = origin

        @functools.wraps(origin.set_timesteps)  # pipelines look at its signature
        def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
            origin.set_timesteps(self, *args, **kwargs)
            self.timesteps = self.timesteps[first_step:]
            if hasattr(self, "sigmas") and len(self.sigmas) > len(self.timesteps):
                self.sigmas = self.sigmas[first_step:]

    Beginning.__name__ = origin.__name__
    return Beginning.from_config(dict(scheduler.config), **changes)
