"""The projection of `numba_backend/project.py`, Gaussian by Gaussian in matrices.

With W, t the rotation and translation of the camera, J the Jacobian of its map at the mean and Sigma = R diag(s)^2 R^T,

    mean2d = map(W m + t),   S0 = J W Sigma W^T J^T,   S = S0 + eps2d I,   compensation = sqrt(det S0 / det S).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BORDER = 0.3
MAX_SIGMAS = 3.33
MIN_ALPHA = 1 / 255


class ReferenceProjection(NamedTuple):
    """N Gaussians in one image."""

    means2d: Tensor
    """[N, 2] pixels."""
    depths: Tensor
    """[N] m."""
    image_covars: Tensor
    """[N, 2, 2] pixels^2, S."""
    compensations: Tensor
    """[N]."""


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] of quaternions [..., 4] wxyz of any length but zero."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def covariances(quats: Tensor, scales: Tensor) -> Tensor:
    """World covariances R diag(s)^2 R^T, [..., 3, 3] m^2."""
    M = rotation_matrices(quats) * scales[..., None, :]
    return M @ M.transpose(-1, -2)


def from_upper_triangle(covars: Tensor) -> Tensor:
    """The symmetric matrices [..., 3, 3] whose upper triangles are those of `covars`."""
    return torch.triu(covars) + torch.triu(covars, 1).transpose(-1, -2)


def _pinhole(places: Tensor, K: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Pixels [N, 2] of camera points [N, 3], and the Jacobians [N, 2, 3] at the points, held near the field of view."""
    x, y, z = places.unbind(-1)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    margin_x, margin_y = BORDER * 0.5 * width / fx, BORDER * 0.5 * height / fy
    tx = torch.clamp(x / z, min=-cx / fx - margin_x, max=(width - cx) / fx + margin_x)
    ty = torch.clamp(y / z, min=-cy / fy - margin_y, max=(height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    rows = [torch.stack([fx / z, zero, -fx * tx / z], -1), torch.stack([zero, fy / z, -fy * ty / z], -1)]
    return torch.stack([fx * x / z + cx, fy * y / z + cy], -1), torch.stack(rows, -2)


def _ortho(places: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
    """The same for parallel rays: pixels do not depend on z."""
    jacobian = torch.zeros(len(places), 2, 3, dtype=places.dtype)
    jacobian[:, 0, 0], jacobian[:, 1, 1] = K[0, 0], K[1, 1]
    return places[:, :2] * torch.stack([K[0, 0], K[1, 1]]) + K[:2, 2], jacobian


def project(
    means: Tensor,  # [N, 3]
    covars: Tensor,  # [N, 3, 3]
    viewmat: Tensor,  # [4, 4]
    K: Tensor,  # [3, 3]
    width: int,
    height: int,
    eps2d: float,
    camera_model: str,
) -> ReferenceProjection:
    """Gaussians, none of them in the camera's own plane (z = 0), in one image."""
    W, t = viewmat[:3, :3], viewmat[:3, 3]
    places = means @ W.T + t
    means2d, J = _ortho(places, K) if camera_model == "ortho" else _pinhole(places, K, width, height)
    JW = J @ W
    sharp = JW @ covars @ JW.transpose(-1, -2)
    blurred = sharp + eps2d * torch.eye(2, dtype=means.dtype)
    ratio = torch.linalg.det(sharp) / torch.linalg.det(blurred)
    return ReferenceProjection(means2d, places[:, 2], blurred, torch.sqrt(ratio.clamp_min(0)))


def seen(
    found: ReferenceProjection, opacities: Tensor, width: int, height: int, radius_clip: float
) -> Tensor:
    """Indices of the Gaussians that touch the image, nearest first; equal depths keep their order.

    `opacities` [N] are those that are drawn, after the compensation. A Gaussian reaches as far as alpha is 1/255.
    """
    sigmas = torch.sqrt(2 * torch.log((opacities / MIN_ALPHA).clamp_min(1))).clamp_max(MAX_SIGMAS)
    deviations = torch.sqrt(torch.diagonal(found.image_covars, dim1=-2, dim2=-1))
    radius = torch.ceil(sigmas[:, None] * deviations)
    size = torch.tensor([width, height], dtype=opacities.dtype)
    inside = ((found.means2d + radius > 0) & (found.means2d - radius < size)).all(-1)
    touching = inside & (opacities >= MIN_ALPHA) & (radius > radius_clip).any(-1)
    indices = torch.nonzero(touching)[:, 0]
    return indices[torch.argsort(found.depths[indices].detach(), stable=True)]
