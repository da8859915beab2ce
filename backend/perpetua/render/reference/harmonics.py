"""The spherical harmonics of `numba_backend/harmonics.py`: colour = max(0, 1/2 + sum_k Y_k(n) c_k)."""

from __future__ import annotations

import torch
from torch import Tensor

from perpetua.scene.harmonics import bases


def harmonic_colors(means: Tensor, coefficients: Tensor, viewmat: Tensor, degree: int) -> Tensor:
    """Colours [N, 3] of spherical harmonics [N, K, 3] seen from the camera of `viewmat` [4, 4]."""
    position = torch.linalg.inv(viewmat)[:3, 3]
    Y = bases(torch.nn.functional.normalize(means - position, dim=-1), degree)
    return (0.5 + (Y[..., None] * coefficients[:, : Y.shape[-1]]).sum(-2)).clamp_min(0)
