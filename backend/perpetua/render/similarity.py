"""How alike two images are in structure, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SSIM_WINDOW = 7
"""pixels; the uniform window of Wang et al. 2004's common implementations."""


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM map [C, H', W'] of two images [H, W, C] in [0, 1], over windows that fit into them (Wang et al. 2004)."""
    x, y = a.permute(2, 0, 1), b.permute(2, 0, 1)
    stacked = torch.cat([x, y, x * x, y * y, x * y])[None]
    rows = functional.avg_pool2d(
        stacked, (SSIM_WINDOW, 1), 1
    )  # along one axis, then the other: a third of the time
    mx, my, xx, yy, xy = functional.avg_pool2d(rows, (1, SSIM_WINDOW), 1)[0].chunk(5)
    c1, c2 = 0.01**2, 0.03**2
    covariance = xy - mx * my
    return ((2 * mx * my + c1) * (2 * covariance + c2)) / (
        (mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2)
    )
