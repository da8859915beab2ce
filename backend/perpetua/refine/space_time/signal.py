"""A video as the network sees it: picture, nearness and flow side by side, all of size one.

Nearness is 1 / depth over its median in the coarse video's first frame, less one, so that it knows no unit and a scene seen from twice as far
is the same. Flow is in units of FLOW_PIXELS.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perpetua.refine.space_time.carry import carried

SIGNAL = 6
"""Channels: red, green, blue, nearness, flow right and down."""
CONDITION = 11
"""Channels: the coarse signal, the coverage by objects, the fine first frame's picture carried along the coarse flow, and where it was in
sight then; elsewhere the coarse picture stands in its place."""
FLOW_PIXELS = 8.0
NEARNESS = slice(3, 4)
PICTURE = slice(0, 3)
FLOW = slice(4, 6)
CARRIED, IN_SIGHT = slice(7, 10), slice(10, 11)
"""Of the condition."""


def nearness_unit(depth: Tensor) -> Tensor:
    """[B] 1/m: the median of 1 / depth in the first frame of depth [B, T, H, W] m, 0 where there is none; 1 where nothing is seen."""
    units = []
    for first in depth[:, 0].flatten(1):
        there = first[first > 0]
        units.append((1 / there).median() if len(there) else depth.new_ones(()))
    return torch.stack(units)


def signal_of(rgb: Tensor, depth: Tensor, flow: Tensor, unit: Tensor) -> Tensor:
    """[B, 6, T, H, W].

    rgb: [B, T, H, W, 3] in [0, 1].  depth: [B, T, H, W] m, 0 for none.  flow: [B, T - 1, H, W, 2] pixels; the last frame has none, and
    gets zeros.  unit: [B] 1/m, of ``nearness_unit``.
    """
    near = torch.where(depth > 0, 1 / depth.clamp_min(1e-6), 0.0) / unit[:, None, None, None] - 1
    near = torch.where(depth > 0, near, -1.0)
    whole = torch.cat([flow, torch.zeros_like(rgb[:, :1, ..., :2])], 1) / FLOW_PIXELS
    parts = [2 * rgb - 1, near[..., None], whole]
    return torch.cat(parts, -1).permute(0, 4, 1, 2, 3).contiguous()


def picture_of(signal: Tensor) -> Tensor:
    """[B, T, H, W, 3] in [0, 1]."""
    return (0.5 * signal[:, PICTURE] + 0.5).clamp(0, 1).permute(0, 2, 3, 4, 1)


def depth_of(signal: Tensor, unit: Tensor) -> Tensor:
    """[B, T, H, W] m; 0 where the nearness says nothing is."""
    near = (signal[:, 3] + 1) * unit[:, None, None, None]
    return torch.where(near > 1e-4, 1 / near.clamp_min(1e-4), 0.0)


def flow_of(signal: Tensor) -> Tensor:
    """[B, T - 1, H, W, 2] pixels."""
    return FLOW_PIXELS * signal[:, FLOW, :-1].permute(0, 2, 3, 4, 1)


def condition_of(coarse: Tensor, alpha: Tensor, first: Tensor) -> Tensor:
    """[B, 11, T, H, W] from the coarse signal [B, 6, T, H, W], coverage [B, T, H, W] and the fine first frame [B, H, W, 3] in [0, 1]."""
    begins = (2 * first - 1).permute(0, 3, 1, 2)
    flow = FLOW_PIXELS * coarse[:, FLOW, :-1].transpose(1, 2)
    picture, in_sight = carried(begins, flow, coarse[:, 3] + 1, alpha)
    shown = torch.where(in_sight > 0, picture, coarse[:, PICTURE])
    return torch.cat([coarse, alpha[:, None], shown, in_sight], 1)
