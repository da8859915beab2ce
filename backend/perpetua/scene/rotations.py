"""Rotations: quaternions (wxyz) and matrices."""

from __future__ import annotations

import torch
from torch import Tensor


def matrix_from_quaternion(quats: Tensor) -> Tensor:
    """[..., 4] wxyz (any length) -> [..., 3, 3]."""
    # Components lie apart in memory while they are computed, which is several times faster for many small matrices.
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).movedim(-1, 0).contiguous()
    entries = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ]
    )  # fmt: skip
    return entries.movedim(0, -1).unflatten(-1, (3, 3))


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
    best = diagonal.argmax(-1)[..., None, None].expand(*candidates.shape[:-2], 1, 4)
    quats = torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quats[..., :1] < 0, -quats, quats)
