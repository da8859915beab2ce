"""The depth head: a dense prediction transformer (Ranftl et al. 2021) with four temporal attention layers, as Video Depth Anything has them
(Chen et al. 2025; paper, B.1).

Features of four blocks become maps of four resolutions, are fused from the coarsest to the finest, and see each other across time where
they are coarse.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpetua.phys4d.train.heads.tokens import Grid, maps

SCALES = (4.0, 2.0, 1.0, 0.5)
"""Resolution of each block's map, tokens being 1, from the earliest block to the last; all of them less by one factor where fewer predictions
a token are asked for than the finest has."""
ATTENTION_HEADS = 4
START_M = 2.0
"""Depth that an untrained head sees everywhere."""
LOG_DEPTH_RANGE = (-5.0, 7.0)
"""7 mm to 1.1 km: keeps an early wrong step from overflowing."""


class DepthHead(nn.Module):
    """width: of the features.  channels: of the maps.  frames: that a token stands for.  cells: predictions a token across and down."""

    def __init__(self, width: int, channels: int, frames: int, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.scales = [scale * min(1.0, cells / SCALES[0]) for scale in SCALES]
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in SCALES)
        self.reassemble = nn.ModuleList(nn.Linear(width, channels) for _ in SCALES)
        self.fuse = nn.ModuleList(Fusion(channels) for _ in SCALES)
        # two on the coarsest maps, two on what they are fused to
        self.across_maps = nn.ModuleList(TemporalAttention(channels) for _ in range(2))
        self.across_fused = nn.ModuleList(TemporalAttention(channels) for _ in range(2))
        self.narrow = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.refine = nn.Conv2d(channels // 2, channels // 2, 3, padding=1)
        self.out = nn.Conv2d(channels // 2, frames, 1)
        nn.init.normal_(self.out.weight, std=1e-3)
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias, math.log(START_M))

    def forward(self, features: list[Tensor], grid: Grid, size: tuple[int, int, int]) -> Tensor:
        """[B, T, H, W] m from the features [B, N, width] of four blocks; size: (T, H, W)."""
        T, H, W = size
        levels = [self._reassembled(k, tokens, grid) for k, tokens in enumerate(features)]
        for k, attend in zip((2, 3), self.across_maps):
            levels[k] = attend(levels[k], grid.times)
        path = self.fuse[3](levels[3], None)
        path = self.across_fused[0](path, grid.times)
        path = self.fuse[2](levels[2], path)
        path = self.across_fused[1](path, grid.times)
        path = self.fuse[1](levels[1], path)
        path = self.fuse[0](levels[0], path)
        fine = (grid.rows * self.cells, grid.columns * self.cells)
        path = F.interpolate(self.narrow(path), fine, mode="bilinear", align_corners=False)
        log_depth = self.out(F.gelu(self.refine(path))).clamp(*LOG_DEPTH_RANGE)  # [B times, frames, ...]
        video = log_depth.reshape(-1, grid.times * grid.frames, *fine)[:, -T:]
        return F.interpolate(video, size=(H, W), mode="bilinear", align_corners=False).exp()

    def _reassembled(self, k: int, tokens: Tensor, grid: Grid) -> Tensor:
        level = maps(self.reassemble[k](self.norm[k](tokens.float())), grid)
        scale = self.scales[k]
        size = [max(1, round(side * scale)) for side in (grid.rows, grid.columns)]
        return level if scale == 1 else F.interpolate(level, size, mode="bilinear", align_corners=False)


class Fusion(nn.Module):
    """Adds a finer map to the path and refines the sum, with residual convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.after = Residual(channels), Residual(channels)

    def forward(self, level: Tensor, path: Tensor | None) -> Tensor:
        """Both [M, C, h, w]; the path is scaled to the level's size."""
        x = self.before(level)
        if path is not None:
            x = x + F.interpolate(path, level.shape[-2:], mode="bilinear", align_corners=False)
        return self.after(x)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.gelu(self.first(F.gelu(x))))


class TemporalAttention(nn.Module):
    """Self-attention of each place over time, with absolute sinusoidal positions (Vaswani et al. 2017), so that any length will do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, ATTENTION_HEADS, batch_first=True)
        nn.init.zeros_(self.attention.out_proj.weight)  # begins frame by frame

    def forward(self, x: Tensor, times: int) -> Tensor:
        """x: [B times, C, h, w]."""
        _, C, h, w = x.shape
        places = x.reshape(-1, times, C, h * w).permute(0, 3, 1, 2).reshape(-1, times, C)
        query = self.norm(places) + sinusoids(times, C).to(places)
        places = places + self.attention(query, query, query, need_weights=False)[0]
        return places.reshape(-1, h * w, times, C).permute(0, 2, 3, 1).reshape(-1, C, h, w)


def sinusoids(times: int, channels: int) -> Tensor:
    """[times, channels], channels even."""
    angle = torch.arange(times)[:, None] * torch.exp(
        torch.arange(0, channels, 2) * (-math.log(1e4) / channels)
    )
    return torch.cat([angle.sin(), angle.cos()], 1)
