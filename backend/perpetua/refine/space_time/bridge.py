"""From the coarse video to the fine one: a rectified flow whose source is the coarse signal with noise, not noise alone.

At level s the signal is  x_s = (1 - s) fine + s (coarse + sigma z),  z normally distributed. The network predicts the fine signal as coarse + network(x_s, s), and the
flow dx/ds = (x_s - fine) / s is followed from s = 1 to 0 in a few steps, the last of which is the prediction itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perpetua.refine.space_time.network import SpaceTimeUNet
from perpetua.refine.space_time.signal import FLOW, NEARNESS, PICTURE, SIGNAL

PICTURE_SIGMA, MOTION_SIGMA = 0.25, 0.05
"""Of the source's noise: in the picture, and in nearness and flow."""


def sigma(like: Tensor) -> Tensor:
    """[1, 6, 1, 1, 1] of the source's noise, by channel."""
    out = like.new_empty(SIGNAL)
    out[PICTURE], out[NEARNESS], out[FLOW] = PICTURE_SIGMA, MOTION_SIGMA, MOTION_SIGMA
    return out[None, :, None, None, None]


def between(fine: Tensor, coarse: Tensor, noise: Tensor, s: Tensor) -> Tensor:
    """x_s [B, 6, T, H, W] at levels s [B]."""
    at = s[:, None, None, None, None]
    return (1 - at) * fine + at * (coarse + sigma(coarse) * noise)


def predict(network: SpaceTimeUNet, x: Tensor, coarse: Tensor, condition: Tensor, s: Tensor) -> Tensor:
    """The fine signal [B, 6, T, H, W] as the network sees it at levels s [B]."""
    return coarse + network(x, condition, s)


@torch.no_grad()
def refine(
    network: SpaceTimeUNet, coarse: Tensor, condition: Tensor, steps: int, generator: torch.Generator | None
) -> Tensor:
    """The fine signal after ``steps`` steps, from the coarse one, with noise that is drawn on the CPU from ``generator`` if there is one."""
    x = coarse
    if generator is not None:
        noise = torch.randn(coarse.shape, generator=generator, dtype=torch.float32).to(coarse)
        x = coarse + sigma(coarse) * noise
    levels = torch.linspace(1.0, 0.0, steps + 1)
    for s, following in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        fine = predict(
            network, x, coarse, condition, torch.full((len(x),), s, dtype=x.dtype, device=x.device)
        )
        x = fine + (following / s) * (x - fine)
    return x
