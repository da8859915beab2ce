"""gsplat 1.5.3's own torch code, run on a CPU: what the renderers must agree with, and the slow end of the benchmark.

gsplat's projection, harmonics and accumulation run as they are, in any float type, with gradients by autograd. Three
functions they call exist for CUDA only and are written here in plain torch: the list of (Gaussian, pixel) pairs that
are composited, and the two of nerfacc that composite them.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

PIXELS_AT_ONCE = 1024
"""Pixels whose pairs are looked for together; bounds memory, not the result."""


def _transmittance(alphas: Tensor, rays: Tensor) -> Tensor:
    """Product of (1 - alpha) of the earlier samples of the same ray; rays are sorted."""
    logs = torch.log1p(-alphas)
    before = torch.cumsum(logs, 0) - logs
    first = torch.ones_like(rays, dtype=torch.bool)
    first[1:] = rays[1:] != rays[:-1]
    starts = torch.where(first)[0]
    ray = torch.cumsum(first.long(), 0) - 1
    return torch.exp(before - before[starts][ray])


def _weights(alphas: Tensor, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
    """nerfacc's `render_weight_from_alpha`."""
    through = _transmittance(alphas, ray_indices)
    return alphas * through, through


def _accumulate(weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int) -> Tensor:
    """nerfacc's `accumulate_along_rays`."""
    source = weights[:, None] if values is None else weights[:, None] * values
    return torch.zeros(n_rays, source.shape[-1], dtype=source.dtype).index_add(0, ray_indices, source)


@contextlib.contextmanager
def _nerfacc() -> Iterator[None]:
    """While this lasts, `import nerfacc` (a CUDA package) finds the two functions that gsplat's torch code calls."""
    module: Any = types.ModuleType("nerfacc")
    module.render_weight_from_alpha = _weights
    module.accumulate_along_rays = _accumulate
    before = sys.modules.get("nerfacc")
    sys.modules["nerfacc"] = module
    try:
        yield
    finally:
        if before is None:
            del sys.modules["nerfacc"]
        else:
            sys.modules["nerfacc"] = before


@torch.no_grad()
def _pairs(
    means2d: Tensor, radii: Tensor, depths: Tensor, conics: Tensor, opacities: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """What `gsplat.rasterize_to_indices_in_range` returns: Gaussians and pixels, by pixel, nearest first."""
    width, height = size
    order = torch.argsort(depths, stable=True)
    order = order[(radii > 0).all(-1)[order]]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2) + 0.5
    gaussians, places = [], []
    c = conics[order]
    for begin in range(0, len(pixels), PIXELS_AT_ONCE):
        d = pixels[begin : begin + PIXELS_AT_ONCE, None] - means2d[order][None]
        sigma = 0.5 * (c[:, 0] * d[..., 0] ** 2 + c[:, 2] * d[..., 1] ** 2) + c[:, 1] * d[..., 0] * d[..., 1]
        a = (opacities[order] * torch.exp(-sigma)).clamp_max(0.999)
        a = torch.where((sigma >= 0) & (a >= 1 / 255), a, torch.zeros_like(a))
        keep = (a > 0) & (torch.cumprod(1 - a, 1) > 1e-4)
        pixel, place = torch.nonzero(keep, as_tuple=True)
        gaussians.append(order[place])
        places.append(begin + pixel)
    return torch.cat(gaussians), torch.cat(places)


def rasterize_with_gsplat_torch(
    means: Tensor,  # [N, 3]
    quats: Tensor | None,  # [N, 4]
    scales: Tensor | None,  # [N, 3]
    opacities: Tensor,  # [N]
    colors: Tensor,  # [(C,) N, D] or [(C,) N, K, 3]
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,  # [C, D]
    render_mode: str = "RGB",
    rasterize_mode: str = "classic",
    camera_model: str = "pinhole",
    covars: Tensor | None = None,  # [N, 3, 3]
    listed: list[tuple[Tensor, Tensor]] | None = None,
) -> tuple[Tensor, Tensor]:
    """Image [C, H, W, X] and alpha [C, H, W, 1], as `perpetua.render.rasterization` defines them.

    Time and memory grow as N x H x W. Leave no Gaussian in a camera's own plane: gsplat divides by its depth. An empty list
    given as `listed` is filled with what is composited; given again for the same scene it spares finding that anew.
    """
    from gsplat.cuda import _torch_impl as gsplat

    if covars is None:
        covars, _ = gsplat._quat_scale_to_covar_preci(quats, scales, True, False)
    antialiased = rasterize_mode == "antialiased"
    radii, means2d, depths, conics, compensations = gsplat._fully_fused_projection(
        means, covars, viewmats, Ks, width, height, eps2d, near_plane, far_plane, antialiased, camera_model
    )
    shown = opacities[None] * compensations if antialiased else opacities.expand(len(viewmats), -1)
    if sh_degree is not None:
        directions = means - torch.linalg.inv(viewmats)[:, None, :3, 3]
        coefficients = colors.expand(len(viewmats), *colors.shape[-3:])
        colors = (gsplat._spherical_harmonics(sh_degree, directions, coefficients) + 0.5).clamp_min(0)
    colors = colors.expand(len(viewmats), *colors.shape[-2:])
    if not render_mode.startswith("RGB"):
        colors = colors[..., :0]
    values = torch.cat([colors, depths[..., None]], -1) if render_mode.endswith("D") else colors
    pairs = listed or [
        _pairs(means2d[c], radii[c], depths[c], conics[c], shown[c], (width, height))
        for c in range(len(viewmats))
    ]
    if listed == []:
        listed.extend(pairs)
    gaussians, pixels = (torch.cat(parts) for parts in zip(*pairs))
    cameras = torch.repeat_interleave(
        torch.arange(len(viewmats)), torch.tensor([len(seen) for seen, _ in pairs])
    )
    with _nerfacc():
        image, alpha = gsplat.accumulate(
            means2d, conics, shown, values, gaussians, pixels, cameras, width, height
        )
    if backgrounds is not None:
        behind = backgrounds[..., : colors.shape[-1]]
        missing = behind.new_zeros(len(viewmats), values.shape[-1] - behind.shape[-1])
        image = image + (1 - alpha) * torch.cat([behind, missing], -1)[:, None, None]
    if render_mode.endswith("ED"):
        image = torch.cat([image[..., :-1], image[..., -1:] / alpha.clamp_min(1e-10)], -1)
    return image, alpha
