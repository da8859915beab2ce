"""Carries images backward along optical flow, differentiably in both. The centre of pixel (i, j) of [H, W] is at (j, i) here."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """image(p + flow(p)), bilinear, 0 outside. image: [N, C, H, W], of the next frame.  flow: [N, 2, H, W] px (x, y) from this frame."""
    x, y = _targets(flow)
    height, width = image.shape[-2:]
    grid = torch.stack([2 * x / max(1, width - 1) - 1, 2 * y / max(1, height - 1) - 1], -1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def inside(flow: Tensor) -> Tensor:
    """[N, H, W]: what is still within the image in the next frame."""
    x, y = _targets(flow.detach())
    height, width = flow.shape[-2:]
    return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)


def _targets(flow: Tensor) -> tuple[Tensor, Tensor]:
    height, width = flow.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device, dtype=flow.dtype),
        torch.arange(width, device=flow.device, dtype=flow.dtype),
        indexing="ij",
    )
    return x + flow[:, 0], y + flow[:, 1]
