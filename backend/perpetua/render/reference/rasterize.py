"""The stages of the twin in order: gsplat's `rasterization` in plain torch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from perpetua.render.api import RasterizeMode, RenderMode
from perpetua.render.reference.composite import alphas, composite
from perpetua.render.reference.harmonics import harmonic_colors
from perpetua.render.reference.project import covariances, from_upper_triangle, project, seen


def rasterize_reference(
    means: Tensor,  # [..., N, 3]
    quats: Tensor | None,  # [..., N, 4]
    scales: Tensor | None,  # [..., N, 3]
    opacities: Tensor,  # [..., N]
    colors: Tensor,  # [..., (C,) N, D] or [..., (C,) N, K, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,  # [..., C, D]
    render_mode: RenderMode = "RGB",
    rasterize_mode: RasterizeMode = "classic",
    camera_model: str = "pinhole",
    covars: Tensor | None = None,  # [..., N, 3, 3]
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Image [..., C, H, W, X] and alpha [..., C, H, W, 1] as `perpetua.render.rasterization` defines them.

    The dictionary has, for each image in order, `seen`: the indices [V] of the Gaussians it shows, nearest first, and
    `means2d`: their means for each pixel [V, H, W, 2], whose gradients tell what each pixel asks of a mean.
    """
    if covars is None:
        if quats is None or scales is None:
            raise ValueError("give quats and scales, or covars")
        covars = covariances(quats, scales)
    else:
        covars = from_upper_triangle(covars)
    dims, cameras = means.shape[:-2], viewmats.shape[-3]
    batches, count = math.prod(dims), means.shape[-2]
    per_camera = colors.dim() == len(dims) + (3 if sh_degree is None else 4)
    values_of = colors.reshape(batches, -1, count, *colors.shape[len(dims) + (2 if per_camera else 1) :])
    scene = (means, covars, opacities, viewmats, Ks)
    means, covars, opacities, viewmats, Ks = (t.reshape(batches, *t.shape[len(dims) :]) for t in scene)
    behind = None if backgrounds is None else backgrounds.reshape(batches, cameras, -1)

    images, covers = [], []
    meta: dict[str, Any] = {"seen": [], "means2d": []}
    for b in range(batches):
        for c in range(cameras):
            V = viewmats[b, c]
            z = means[b] @ V[2, :3] + V[2, 3]
            front = torch.nonzero((z >= near_plane) & (z <= far_plane))[:, 0]
            found = project(
                means[b, front], covars[b, front], V, Ks[b, c], width, height, eps2d, camera_model
            )
            shown = opacities[b, front]
            if rasterize_mode == "antialiased":
                shown = shown * found.compensations
            order = seen(found, shown, width, height, radius_clip)
            means2d = found.means2d[order][:, None, None].expand(-1, height, width, -1)
            a = alphas(means2d, torch.linalg.inv(found.image_covars[order]), shown[order], width, height)

            if render_mode.startswith("RGB"):
                values = values_of[b, c if per_camera else 0, front[order]]
            else:
                values = means.new_empty(len(order), 0)
            if sh_degree is not None and render_mode.startswith("RGB"):
                values = harmonic_colors(means[b, front[order]], values, V, sh_degree)
            background = means.new_zeros(values.shape[-1])
            if behind is not None:
                background = behind[b, c, : values.shape[-1]]
            if render_mode.endswith("D"):  # the depth is a channel with nothing behind it
                values = torch.cat([values, found.depths[order][:, None]], -1)
                background = torch.cat([background, background.new_zeros(1)])
            image, alpha = composite(a, values, background, render_mode.endswith("ED"))
            images.append(image)
            covers.append(alpha)
            meta["seen"].append(front[order])
            meta["means2d"].append(means2d)
    shape = (*dims, cameras, height, width, -1)
    return torch.stack(images).reshape(shape), torch.stack(covers).reshape(shape), meta
