"""The compositing of `numba_backend/composite.py`, every Gaussian at every pixel.

    alpha_i = min(0.999, opacity_i exp(-d^T conic_i d / 2)),        0 where alpha_i < 1/255,
    C = sum_i c_i alpha_i T_i + T_end background,   T_i = prod_{j<i} (1 - alpha_j),   alpha = 1 - T_end,

and a pixel is finished before the Gaussian that would bring T to 1e-4 or less.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perpetua.render.reference.project import MIN_ALPHA

MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4
MIN_EXPECTED_ALPHA = 1e-10


def alphas(means2d: Tensor, conics: Tensor, opacities: Tensor, width: int, height: int) -> Tensor:
    """[V, H, W] of V Gaussians, nearest first: zero where they are too faint or the pixel is finished.

    means2d [V, 2], or [V, H, W, 2] to give each pixel its own; conics [V, 2, 2]; opacities [V].
    """
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = torch.stack([x, y], -1).to(means2d.dtype) + 0.5
    d = (means2d if means2d.dim() == 4 else means2d[:, None, None]) - centres
    sigma = 0.5 * torch.einsum("vhwi,vij,vhwj->vhw", d, conics, d)
    a = (opacities[:, None, None] * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
    a = torch.where(a >= MIN_ALPHA, a, torch.zeros_like(a))
    # The transmittance only falls, so the first Gaussian to bring it to the limit hides all behind it.
    finished = torch.cumprod(1 - a.detach(), 0) <= MIN_TRANSMITTANCE
    return torch.where(finished, torch.zeros_like(a), a)


def composite(a: Tensor, values: Tensor, background: Tensor, expected_depth: bool) -> tuple[Tensor, Tensor]:
    """Image [H, W, D] and alpha [H, W, 1] of alphas [V, H, W], values [V, D] and background [D].

    With `expected_depth` the last channel is divided by alpha.
    """
    after = torch.cumprod(1 - a, 0)
    ones = torch.ones_like(a[:1]) if len(a) else a.new_ones(1, *a.shape[1:])
    before = torch.cat([ones, after])[:-1]
    through = torch.cat([ones, after])[-1][..., None]
    image = torch.einsum("vhw,vd->hwd", a * before, values) + through * background
    alpha = 1 - through
    if expected_depth:
        image = torch.cat([image[..., :-1], image[..., -1:] / alpha.clamp_min(MIN_EXPECTED_ALPHA)], -1)
    return image, alpha
