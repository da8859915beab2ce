"""Training flat Gaussians (2D Gaussian Splatting, Huang et al. 2024), whose depth is that of surfaces: on CUDA only."""

from __future__ import annotations

import torch
from torch import Tensor

from perpetua.errors import ReconstructionError

NORMAL_WEIGHT = 0.05
DISTORTION_WEIGHT = 0.01
"""The paper's normal consistency, and its depth distortion for scenes of about a unit's size."""
THICKNESS = 0.02
"""Of the lesser of a disc's two sizes: what it has when drawn as an ellipsoid."""


def check_can_be_flat(device: str) -> None:
    """Raise ``ReconstructionError`` where flat Gaussians cannot be drawn."""
    if not device.startswith("cuda"):
        raise ReconstructionError(
            f"Flat splats (splats: 2dgs) are trained on a CUDA GPU only, and the fit runs on '{device}'; leave `splats` out to train "
            "ellipsoids (3dgs), which the CPU can."
        )


def unevenness(normals: Tensor, of_depth: Tensor, alpha: Tensor, distortion: Tensor) -> Tensor:
    """The loss of discs that do not lie in one surface: their normals [..., H, W, 3] against those of the surface that their depth makes,
    where they cover (alpha [..., H, W, 1]), and how far apart in depth [..., H, W, 1] they lie along a ray."""
    cover = alpha.detach()
    apart = cover * (1 - (normals * of_depth).sum(-1, keepdim=True))
    return NORMAL_WEIGHT * apart.mean() + DISTORTION_WEIGHT * distortion.mean()


def flattened(scales: Tensor) -> Tensor:
    """Scales [N, 3] with the third, which no flat Gaussian uses, thin."""
    thin = THICKNESS * scales[:, :2].min(1, keepdim=True).values
    return torch.cat([scales[:, :2], thin], 1)
