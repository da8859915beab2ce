"""Colours that change with the direction they are seen from, as real spherical harmonics (Kerbl et al. 2023).

A splat seen along the unit direction d, from the eye to it, has the colour  1/2 + sum_k Y_k(d) c_k.  Its coefficients stand in the
world's axes; where its matter turns, they turn with it.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from perpetua.scene.rotations import quaternion_from_matrix

MAX_DEGREE = 3
POLAR_STEPS = 8
"""Newton steps of the polar decomposition, which converge quadratically from any stretch that matter is bounded to."""


def bases(directions: Tensor, degree: int) -> Tensor:
    """The (degree + 1)^2 real basis functions at unit directions [..., 3], [..., bases], degree 0 to 3."""
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


def degree_of(count: int) -> int:
    """The degree of ``count`` = (degree + 1)^2 coefficients."""
    return math.isqrt(count) - 1


def colors_from(means: Tensor, coefficients: Tensor, position: Tensor) -> Tensor:
    """Colours [N, 3] of coefficients [N, K, 3] of splats at ``means`` [N, 3] seen from ``position`` [3]. Differentiable in the
    coefficients."""
    directions = torch.nn.functional.normalize(means.detach() - position, dim=-1)
    Y = bases(directions, degree_of(coefficients.shape[1]))
    return (0.5 + torch.einsum("nk,nkc->nc", Y, coefficients)).clamp_min(0)


def turned(coefficients: Tensor, rotation: Tensor) -> Tensor:
    """Coefficients [N, K, 3] of what is turned by ``rotation`` ([N, 3, 3] or [3, 3]): it looks along R d as it did along d.

    Each band l turns in itself, so its new coefficients follow from what it says along 2l + 1 fixed directions.
    """
    parts, first = [coefficients[:, :1]], 1
    rotation = rotation.to(coefficients).expand(len(coefficients), 3, 3)
    for band in range(1, degree_of(coefficients.shape[1]) + 1):
        last = (band + 1) ** 2
        directions, inverse = _probes(band, coefficients.device)
        # along n the turned one is what it was along R^T n; sums run along memory
        before = bases(torch.einsum("mj,nji->mni", directions, rotation), band)[..., first:last].movedim(
            -1, 0
        )
        own = coefficients[:, first:last].permute(1, 2, 0).contiguous()
        seen = before[0][:, None] * own[0]  # [2 band + 1, 3, N]
        for each, coefficient in zip(before[1:], own[1:], strict=True):
            seen = torch.addcmul(seen, each[:, None], coefficient)
        parts.append((inverse @ seen.flatten(1)).view_as(seen).permute(2, 0, 1))
        first = last
    return torch.cat(parts, 1)


def turn_of(F: Tensor) -> Tensor:
    """[N, 3, 3]: the rotation in each deformation [N, 3, 3], F = R U (polar decomposition, Newton's iteration: Higham 1986). The identity
    where no matter is, F being zero, or where F is flat."""
    eye = torch.eye(3, dtype=F.dtype, device=F.device)
    whole = (torch.linalg.det(F) > 1e-6)[:, None, None]
    R = torch.where(whole, F, eye)
    rows = R.permute(1, 2, 0).contiguous()  # three of [3, N]
    for _ in range(POLAR_STEPS):
        # R^-T, whose rows are the cross products of R's over the determinant
        a, b, c = rows
        across = torch.stack([torch.linalg.cross(u, v, dim=0) for u, v in ((b, c), (c, a), (a, b))])
        inverse = across / (a * across[0]).sum(0)
        # scaled so that the first steps shrink large stretches as quickly as small ones
        scale = (inverse.square().sum((0, 1)) / rows.square().sum((0, 1))) ** 0.25
        rows = 0.5 * (scale * rows + inverse / scale)
    return rows.permute(2, 0, 1)


def turn_quats(F: Tensor) -> Tensor:
    """The same as quaternions [N, 4] wxyz."""
    return quaternion_from_matrix(turn_of(F))


@cache
def _probes(band: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Unit directions [2 band + 1, 3], and the inverse of the band's functions along them."""
    count = 2 * band + 1
    place = torch.arange(count, dtype=torch.float64) + 0.5
    height, angle = (
        1 - place / count,
        math.pi * (3 - math.sqrt(5)) * place,
    )  # half a sphere: the other half says the same
    flat = (1 - height**2).sqrt()
    directions = torch.stack([flat * angle.cos(), flat * angle.sin(), height], -1)
    Y = bases(directions, band)[:, band**2 :]
    return directions.float().to(device), torch.linalg.inv(Y).float().to(device)
