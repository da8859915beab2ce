"""SDEdit from noise that follows the optical flow (Go-with-the-Flow; as PerpetualWonder refines its videos).

    x_k = a_k z + s_k n~,     n~ the warped noise of ``noise_warp.py``, mixed with fresh noise by ``degradation``

The model must have been tuned to read motion from its noise (the Go-with-the-Flow LoRA for CogVideoX); another takes the
grains for texture that sticks to the surfaces, the less so the nearer ``degradation`` is to 1, where this is plain SDEdit. What
``noise_warp.py`` says of a patent application holds for this guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.errors import RefinerError
from perpetua.refine.api import Layer
from perpetua.refine.diffusion.fit import resized
from perpetua.refine.diffusion.guide import Coarse
from perpetua.refine.diffusion.noise_warp import degraded, follow
from perpetua.refine.diffusion.options import Options
from perpetua.refine.diffusion.schedule import NoiseLevels

CELLS = 4
"""Cells of noise along one side of a latent: fine enough for motion of a fraction of a latent."""


class WarpedNoise:
    """The guide ``warped_noise``."""

    name: ClassVar[str] = "warped_noise"
    needs: ClassVar[frozenset[Layer]] = frozenset({"flow"})
    imposes: ClassVar[bool] = False

    def begin(self, coarse: Coarse, levels: NoiseLevels, options: Options) -> OneClock:
        if coarse.flow is None:
            raise RefinerError(
                "The guide 'warped_noise' needs the optical flow of the video, which was not rendered; "
                "use the guide 'time_to_move'."
            )
        first = levels.first_step(options.strength)
        if first >= levels.steps:
            return OneClock(first, coarse.clean)
        noise = flow_noise(
            coarse.flow, coarse.stride, tuple(coarse.clean.shape)[1:], options.degradation, coarse.seed
        )
        return OneClock(first, levels.mix(first, coarse.clean, noise))


@dataclass(frozen=True)
class OneClock:
    """A sampling that is left alone once it has begun."""

    first_step: int
    start: Tensor

    def after(self, k: int, latents: Tensor) -> Tensor:
        return latents


def flow_noise(
    flow: NDArray[np.float32], stride: int, shape: tuple[int, ...], degradation: float, seed: int
) -> Tensor:
    """[1, C, t, h, w] noise that follows ``flow`` [T - 1, H, W, 2], pixels; every latent takes the noise of its last frame."""
    channels, count, height, width = shape
    rows, columns = height * CELLS, width * CELLS
    cells_a_pixel = np.array([columns / flow.shape[2], rows / flow.shape[1]], np.float32)
    flows = np.stack([resized(frame, columns, rows) for frame in flow]) * cells_a_pixel
    generator = torch.Generator().manual_seed(seed)
    frames = follow(torch.from_numpy(flows), channels, generator, CELLS)
    noise = torch.stack([frame for number, frame in enumerate(frames) if number % stride == 0][:count], 1)
    return degraded(noise, degradation, generator)[None]
