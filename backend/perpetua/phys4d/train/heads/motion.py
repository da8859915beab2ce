"""The motion head: LayerNorm and a linear layer on the features before the output layer, unpatchified to four channels (paper, B.1).

The paper leaves two of the channels open. Here they are what the other terms can use: how much the depth of what a pixel sees grows until
the next frame, and whether it is hidden there. The features are taken after the transformer's own modulation by time.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from perpetua.phys4d.train.heads.tokens import Grid, unpatchify

CHANNELS = 4
"""flow x, flow y, rise, occluded"""
FLOW_UNIT = 0.01
"""The layer predicts flow in hundredths of the picture's width."""


class MotionHead(nn.Module):
    """width: of the features.  frames: that a token stands for.  cells: predictions a token across and down."""

    def __init__(self, width: int, frames: int, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, CHANNELS * frames * cells * cells)
        nn.init.zeros_(self.project.weight)  # begins with a still world
        nn.init.zeros_(self.project.bias)

    def forward(
        self, features: Tensor, grid: Grid, size: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """flow [B, T-1, 2, H, W] px, rise [B, T-1, H, W] m and the logit of occlusion [B, T-1, H, W] from features [B, N, width];
        size: (T, H, W)."""
        T, H, W = size
        coarse = unpatchify(self.project(self.norm(features.float())), grid, self.cells, T)[:, :-1]
        field = F.interpolate(coarse.flatten(0, 1), size=(H, W), mode="bilinear", align_corners=False)
        field = field.unflatten(0, (-1, T - 1))
        return field[:, :, :2] * (FLOW_UNIT * W), field[:, :, 2], field[:, :, 3]
