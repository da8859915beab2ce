"""What is left of a video's own colours and warp where objects are: learned with the motion, and thrown away.

The backdrop says what a video has of its own only around objects (``colours.py``, ``warps.py``). The rest, a gain and bias a channel
and an affine offset of places, is linear between knots in time, and pulled towards none. Colours of a single view cannot be told from
those of the splats, nor its warp from motion; so both are relative to the mean over the views, and a lone view has neither.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from perpetua.optimize.warps import hats

FRAMES_APART = 12.0
"""Between knots in time."""
COLOUR_STEP, WARP_STEP = 0.004, 0.05
"""Adam's rates: of gains and biases, and of offsets in pixels at a width of 160."""
COLOUR_WEIGHT = 2.0
"""Price of a mean squared gain or bias of one."""
WARP_WEIGHT = 0.01
"""Price of a mean squared offset of one pixel at a width of 160, which costs the picture about twice as much."""


class OwnLook:
    """Of ``views`` videos with ``frames`` frames of ``width`` pixels. colours: [V, K, 2, 3], gains and biases.  warps: [V, K, 2, 3],
    offsets right and down (pixels at a width of 160): constant, and per radius of the objects to their right and below their centre."""

    def __init__(self, views: int, frames: int, width: int, device: torch.device) -> None:
        knots = max(2, round((frames - 1) / FRAMES_APART) + 1)
        self.time = torch.from_numpy(hats(frames, knots)).float().to(device)
        self.unit = width / 160
        self.colours, self.warps = (
            torch.zeros(views, knots, 2, 3, device=device, requires_grad=views > 1) for _ in range(2)
        )

    def price(self) -> Tensor:
        """Of all views together."""
        return COLOUR_WEIGHT * self.colours.square().mean() + WARP_WEIGHT * self.warps.square().mean()

    def coloured(self, image: Tensor, view: int, frame: int) -> Tensor:
        """A rendered ``image`` [H, W, 3] in the colours of a video."""
        gain, bias = torch.tensordot(self.time[frame], _relative(self.colours, view), 1)
        return image * (1 + gain) + bias

    def straightened(self, video: Tensor, coverage: Tensor, view: int, frame: int) -> Tensor:
        """A video's frame [H, W, C] seen where its own warp leads; ``coverage`` [H, W] shows where the objects are."""
        height, width = coverage.shape
        rows, columns = torch.nonzero(coverage > 0.5, as_tuple=True)
        if len(rows) == 0:
            return video
        centre = torch.stack([columns.float().mean(), rows.float().mean()])
        radius = torch.stack([columns.float().std(), rows.float().std()]).norm().clamp_min(1.0)
        axes = (torch.arange(size, device=video.device, dtype=video.dtype) for size in (height, width))
        y, x = torch.meshgrid(*axes, indexing="ij")
        place = torch.stack([x, y], -1)
        offset = torch.tensordot(self.time[frame], _relative(self.warps, view), 1) * self.unit
        away = ((place - centre) / radius).clamp(-2, 2)
        at = place + offset[:, 0] + away @ offset[:, 1:].T
        scaled = 2 * at / at.new_tensor([width - 1, height - 1]) - 1
        sampled = functional.grid_sample(
            video.permute(2, 0, 1)[None], scaled[None], padding_mode="border", align_corners=True
        )
        return sampled[0].permute(1, 2, 0)


def _relative(own: Tensor, view: int) -> Tensor:
    """A view's part of ``own`` [V, ...], apart from what all views share."""
    return own[view] - own.mean(0)
