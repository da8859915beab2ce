"""What a guide is: how a model's sampling begins from the coarse video, and what is imposed on it again while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perpetua.refine.api import Layer
from perpetua.refine.diffusion.options import Options
from perpetua.refine.diffusion.schedule import NoiseLevels


@dataclass(frozen=True)
class Coarse:
    """A window of the coarse video as the model sees it. clean: [1, C, t, h, w], its latents; objects: [T, H, W], coverage by
    objects, and flow: [T - 1, H, W, 2], model pixels, both at the model's size; stride: frames in a latent; seed: of this window."""

    clean: Tensor
    objects: NDArray[np.float32]
    flow: NDArray[np.float32] | None
    stride: int
    seed: int


class Sampling(Protocol):
    """One guided sampling of one window."""

    @property
    def first_step(self) -> int:
        """The sampling begins before this step; ``levels.steps`` or more: there is nothing to do."""
        ...

    @property
    def start(self) -> Tensor:
        """[1, C, t, h, w], the latents before ``first_step``."""
        ...

    def after(self, k: int, latents: Tensor) -> Tensor:
        """The latents to go on with, given those that are there before step ``k``."""
        ...


class Guide(Protocol):
    """Makes samplings. ``imposes``: changes latents between steps, so the sampler must not look further back than one."""

    name: ClassVar[str]
    needs: ClassVar[frozenset[Layer]]
    imposes: ClassVar[bool]

    def begin(self, coarse: Coarse, levels: NoiseLevels, options: Options) -> Sampling: ...


def guide_named(name: str) -> Guide:
    """The guide called ``name``; options refuse any other."""
    from perpetua.refine.diffusion.guide_time_to_move import TimeToMove
    from perpetua.refine.diffusion.guide_warped_noise import WarpedNoise

    guides: tuple[Guide, ...] = (TimeToMove(), WarpedNoise())
    return next(guide for guide in guides if guide.name == name)
