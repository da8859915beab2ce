"""Rotations: quaternions (wxyz), matrices, and the rotation inside a deformation gradient."""

from __future__ import annotations

import torch
from torch import Tensor

POLAR_ITERATIONS = 8
"""Newton's iteration for the polar factor converges quadratically; 8 reach float32 for stretches in [0.1, 10]."""


def matrix_from_quaternion(quats: Tensor) -> Tensor:
    """[..., 4] wxyz (any length) -> [..., 3, 3]."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        -1,
    ).unflatten(-1, (3, 3))  # fmt: skip


def quaternion_from_matrix(matrix: Tensor) -> Tensor:
    """[..., 3, 3] rotations -> [..., 4] wxyz with w >= 0 where it can be (Shepperd's method, the largest of four)."""
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    candidates = torch.stack(
        [
            torch.stack([1 + trace, m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1),
            torch.stack([m[..., 2, 1] - m[..., 1, 2], 1 + 2 * m[..., 0, 0] - trace, m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0]], -1),
            torch.stack([m[..., 0, 2] - m[..., 2, 0], m[..., 0, 1] + m[..., 1, 0], 1 + 2 * m[..., 1, 1] - trace, m[..., 1, 2] + m[..., 2, 1]], -1),
            torch.stack([m[..., 1, 0] - m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1], 1 + 2 * m[..., 2, 2] - trace], -1),
        ],
        -2,
    )  # fmt: skip
    diagonal = torch.diagonal(candidates, dim1=-2, dim2=-1)
    best = diagonal.argmax(-1)[..., None, None].expand(*best_shape(candidates))
    quats = torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def best_shape(candidates: Tensor) -> tuple[int, ...]:
    """Shape of the index that picks one of the four candidates."""
    return (*candidates.shape[:-2], 1, 4)


def quaternion_multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of [..., 4] wxyz: first ``b``'s rotation, then ``a``'s."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def polar_rotation(F: Tensor) -> Tensor:
    """Rotation R of the polar decomposition F = R S, [..., 3, 3] (Higham 1986, Newton's iteration with scaling).

    A singular or inverted F has no such rotation near it; those entries give the nearest of their SVD instead.
    """
    R = F
    for _ in range(POLAR_ITERATIONS):
        inverse_t = torch.linalg.inv_ex(R)[0].mT
        scale = (torch.linalg.matrix_norm(inverse_t) / torch.linalg.matrix_norm(R).clamp_min(1e-12)).sqrt()[
            ..., None, None
        ]
        R = 0.5 * (scale * R + inverse_t / scale)
    bad = ~torch.isfinite(R).all(-1).all(-1) | (torch.linalg.det(F) <= 1e-6)
    if bad.any():
        U, _, Vh = torch.linalg.svd(F[bad].nan_to_num(0.0))
        flip = torch.ones_like(U[..., 0])
        flip[..., 2] = torch.linalg.det(U @ Vh)
        R = R.clone()
        R[bad] = (U * flip[..., None, :]) @ Vh
    return R
