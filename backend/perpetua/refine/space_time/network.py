"""A U-Net over space and time: convolutions only, so that it takes any size and length.

A block convolves within frames, then across them. Sides are made half as long at the entrance (pixels to channels) and at each level; time keeps
its length. What it says of the picture is a step from the coarse one towards the first frame carried along, wherever that is known, and a
bounded change on top. Its output is zero before training: the refiner begins by changing nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from perpetua.refine.space_time.signal import CARRIED, CONDITION, PICTURE, SIGNAL

PATCH = 2
GROUPS = 8
TIME_WAVES = 32
MOST_CHANGE = 0.6
"""Of the picture, which goes from -1 to 1, beyond what the first frame carried along shows."""


@dataclass(frozen=True)
class Shape:
    """widths: channels of each level.  blocks: of each level on the way down, and on the way up.  pixels: of the frames that it learned
    from; larger ones are refined at that size."""

    widths: tuple[int, ...] = (64, 128, 256)
    blocks: int = 2
    pixels: int = 160 * 96

    @property
    def multiple(self) -> int:
        """Pixels that a side must be a multiple of."""
        return int(PATCH * 2 ** (len(self.widths) - 1))


class Block(nn.Module):
    """Two convolutions, in space and in time, around which the input goes on; the noise's level shifts and scales between them."""

    def __init__(self, given: int, made: int, level: int) -> None:
        super().__init__()
        self.before = nn.GroupNorm(math.gcd(GROUPS, given), given)
        self.space = nn.Conv3d(given, made, (1, 3, 3), padding=(0, 1, 1))
        self.between = nn.GroupNorm(math.gcd(GROUPS, made), made)
        self.time = nn.Conv3d(made, made, (3, 1, 1), padding=(1, 0, 0))
        self.space_again = nn.Conv3d(made, made, (1, 3, 3), padding=(0, 1, 1))
        self.level = nn.Linear(level, 2 * made)
        self.past = nn.Conv3d(given, made, 1) if given != made else nn.Identity()

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        scale, shift = self.level(level)[:, :, None, None, None].chunk(2, 1)
        y = self.space(functional.silu(self.before(x)))
        y = functional.silu(self.between(y) * (1 + scale) + shift)
        y = self.space_again(functional.silu(self.time(y)))
        return self.past(x) + y


class SpaceTimeUNet(nn.Module):
    """x [B, 6, T, H, W] and conditions [B, 11, T, H, W] at noise levels s [B] in [0, 1] -> what is to be added to the coarse signal."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        widths, blocks = self.shape.widths, self.shape.blocks
        level = 4 * TIME_WAVES
        self.level = nn.Sequential(nn.Linear(2 * TIME_WAVES, level), nn.SiLU(), nn.Linear(level, level))
        self.enter = nn.Conv3d((SIGNAL + CONDITION) * PATCH**2, widths[0], (1, 3, 3), padding=(0, 1, 1))
        self.down, self.narrow, self.up, self.widen = (nn.ModuleList() for _ in range(4))
        for number, width in enumerate(widths):
            self.down.append(nn.ModuleList([Block(width, width, level) for _ in range(blocks)]))
            if number + 1 < len(widths):
                self.narrow.append(nn.Conv3d(width, widths[number + 1], (1, 2, 2), stride=(1, 2, 2)))
                self.widen.append(nn.Conv3d(widths[number + 1], width, 1))
                self.up.append(
                    nn.ModuleList(
                        [Block(2 * width if i == 0 else width, width, level) for i in range(blocks)]
                    )
                )
        self.leave = nn.Conv3d(widths[0], (SIGNAL + 1) * PATCH**2, (1, 3, 3), padding=(0, 1, 1))
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, condition: Tensor, s: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        across, below = (-side % self.shape.multiple for side in (width, height))
        given = functional.pad(torch.cat([x, condition], 1), (0, across, 0, below, 0, 0), mode="replicate")
        level = self.level(_waves(s))
        y = self.enter(_to_channels(given))
        kept = []
        for number, blocks in enumerate(self.down):
            for block in blocks:  # type: ignore[attr-defined]
                y = block(y, level)
            if number < len(self.narrow):
                kept.append(y)
                y = self.narrow[number](y)
        for number in reversed(range(len(self.up))):
            y = functional.interpolate(self.widen[number](y), scale_factor=(1, 2, 2), mode="nearest")
            y = torch.cat([y, kept[number]], 1)
            for block in self.up[number]:  # type: ignore[attr-defined]
                y = block(y, level)
        said = _to_pixels(self.leave(functional.silu(y)))[..., :height, :width]
        return _change(said, condition)


def _change(said: Tensor, condition: Tensor) -> Tensor:
    """What is to be added to the coarse signal [B, 6, T, H, W]; said: [B, 7, T, H, W], of which the last is how far to go towards the first
    frame carried along."""
    towards = condition[:, CARRIED] - condition[:, PICTURE]
    picture = torch.tanh(said[:, SIGNAL:]) * towards + MOST_CHANGE * torch.tanh(
        said[:, PICTURE] / MOST_CHANGE
    )
    return torch.cat([picture, said[:, PICTURE.stop : SIGNAL]], 1)


def _waves(s: Tensor) -> Tensor:
    """[B, 2 TIME_WAVES]: sines and cosines of levels [B], as of positions (Vaswani et al. 2017)."""
    rates = torch.exp(torch.linspace(0, math.log(1000.0), TIME_WAVES, device=s.device, dtype=s.dtype))
    angles = s[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def _to_channels(x: Tensor) -> Tensor:
    """[B, C, T, H, W] -> [B, 4 C, T, H / 2, W / 2]."""
    b, c, t, h, w = x.shape
    folded = functional.pixel_unshuffle(x.transpose(1, 2).reshape(b * t, c, h, w), PATCH)
    return folded.reshape(b, t, *folded.shape[1:]).transpose(1, 2)


def _to_pixels(x: Tensor) -> Tensor:
    """The opposite of ``_to_channels``."""
    b, c, t, h, w = x.shape
    folded = functional.pixel_shuffle(x.transpose(1, 2).reshape(b * t, c, h, w), PATCH)
    return folded.reshape(b, t, *folded.shape[1:]).transpose(1, 2)
