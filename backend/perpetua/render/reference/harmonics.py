"""The spherical harmonics of `numba_backend/harmonics.py`: colour = max(0, 1/2 + sum_k Y_k(n) c_k)."""

from __future__ import annotations

import torch
from torch import Tensor


def bases(directions: Tensor, degree: int) -> Tensor:
    """The (degree + 1)^2 real basis functions at unit directions [N, 3], [N, bases], degree 0 to 3."""
    x, y, z = directions.unbind(-1)
    Y = [torch.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        Y += [-0.48860251190292 * y, 0.48860251190292 * z, -0.48860251190292 * x]
    if degree >= 2:
        a = 1.0925484305920792
        Y += [a * x * y, -a * y * z, 0.9461746957575601 * z * z - 0.3153915652525201, -a * x * z]
        Y += [0.5 * a * (x * x - y * y)]
    if degree >= 3:
        a, b, c = 0.5900435899266435, 1.445305721320277, 0.4570457994644658 - 2.285228997322329 * z * z
        Y += [-a * y * (3 * x * x - y * y), 2 * b * x * y * z, c * y]
        Y += [z * (1.865881662950577 * z * z - 1.119528997770346)]
        Y += [c * x, b * z * (x * x - y * y), -a * x * (x * x - 3 * y * y)]
    return torch.stack(Y, -1)


def harmonic_colors(means: Tensor, coefficients: Tensor, viewmat: Tensor, degree: int) -> Tensor:
    """Colours [N, 3] of spherical harmonics [N, K, 3] seen from the camera of `viewmat` [4, 4]."""
    position = torch.linalg.inv(viewmat)[:3, 3]
    Y = bases(torch.nn.functional.normalize(means - position, dim=-1), degree)
    return (0.5 + (Y[..., None] * coefficients[:, : Y.shape[-1]]).sum(-2)).clamp_min(0)
