"""Time-to-Move (Singer et al. 2025, arXiv 2511.08633): denoising on two clocks.

All of the picture begins at the noise of the first clock (``strength``). Until the second clock (``object_strength``, later, less
noise) the objects' region M is put back on the coarse video z at the noise of each step,

    x_k <- M (a_k z + s_k n) + (1 - M) x_k,

so objects keep the motion they were given while the model is freer with what is around them: contact, shadow, splashes.
It works with any image-to-video model, without training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.refine.api import Layer
from perpetua.refine.diffusion.guide import Coarse
from perpetua.refine.diffusion.options import Options
from perpetua.refine.diffusion.schedule import NoiseLevels

COVERED = 0.25
"""A latent belongs to the objects if they cover this much of it in any of its frames."""


class TimeToMove:
    """The guide ``time_to_move``."""

    name: ClassVar[str] = "time_to_move"
    needs: ClassVar[frozenset[Layer]] = frozenset({"masks"})
    imposes: ClassVar[bool] = True

    def begin(self, coarse: Coarse, levels: NoiseLevels, options: Options) -> TwoClocks:
        noise = torch.randn(coarse.clean.shape, generator=torch.Generator().manual_seed(coarse.seed))
        first = levels.first_step(options.strength)
        until = levels.first_step(min(options.object_strength, options.strength))
        start = coarse.clean if first >= levels.steps else levels.mix(first, coarse.clean, noise)
        mask = object_latents(coarse.objects, coarse.stride, tuple(coarse.clean.shape)[2:])
        return TwoClocks(first, start, until, coarse.clean, noise, mask, levels)


@dataclass(frozen=True)
class TwoClocks:
    """A sampling whose objects are held on the coarse video before every step up to ``until``."""

    first_step: int
    start: Tensor
    until: int
    clean: Tensor
    noise: Tensor
    mask: Tensor
    levels: NoiseLevels

    def after(self, k: int, latents: Tensor) -> Tensor:
        if k > self.until:
            return latents
        held = self.levels.mix(k, self.clean, self.noise).to(latents)
        return torch.where(self.mask.to(latents.device), held, latents)


def object_latents(objects: NDArray[np.float32], stride: int, shape: tuple[int, ...]) -> Tensor:
    """[1, 1, t, h, w] bool: where the objects are. objects: [T, H, W], coverage; the first latent is frame 0, every other ``stride`` frames."""
    count, height, width = shape
    covered = torch.from_numpy(objects)[None]
    small = torch.nn.functional.adaptive_avg_pool2d(covered, (height, width))[0]
    groups = [small[:1], *small[1:].split(stride)][:count]
    return torch.stack([group.amax(0) for group in groups])[None, None] >= COVERED
