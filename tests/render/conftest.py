"""Scenes that the renderer tests share, and gsplat's own torch code as an oracle."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

Scene = dict[str, Any]
PARAMETERS = ("means", "quats", "scales", "opacities", "colors")


def _camera(width: int, height: int, yaw: float, shift: float) -> tuple[Tensor, Tensor]:
    """A camera that is not aligned with any axis (viewmat [4,4], K [3,3], float64)."""
    focal = 0.5 * width / math.tan(math.radians(30))
    K = torch.tensor(
        [[focal, 0, width / 2 + 1.5], [0, 1.1 * focal, height / 2 - 0.7], [0, 0, 1]], dtype=torch.float64
    )
    c, s, pitch = math.cos(yaw), math.sin(yaw), -0.2
    a, b = math.cos(pitch), math.sin(pitch)
    turn = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
    tilt = torch.tensor([[1, 0, 0], [0, a, -b], [0, b, a]], dtype=torch.float64)
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, :3] = turn @ tilt
    viewmat[:3, 3] = torch.tensor([0.3 + shift, -0.1, 0.5])
    return viewmat, K


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    """Gaussians all over a view, some behind it: float64 values that float32 holds exactly, so both see the same."""

    def make(
        count: int, width: int = 80, height: int = 48, seed: int = 0, channels: int = 3, cameras: int = 1
    ) -> Scene:
        random = torch.Generator().manual_seed(seed)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=random, dtype=torch.float64)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        views = [_camera(width, height, 0.3 - 0.15 * c, 0.2 * c) for c in range(cameras)]
        viewmat, K = views[0]
        z = 2 + 8 * uniform(count)
        z[: count // 20] = -1 + 1.2 * uniform(count // 20)
        distance = z.abs().clamp_min(0.05)
        pixel = (1.2 * uniform(count, 2) - 0.1) * torch.tensor([width, height])
        x, y = ((pixel - K[:2, 2]) / torch.stack([K[0, 0], K[1, 1]]) * distance[:, None]).unbind(-1)
        scene = {
            "means": (torch.stack([x, y, z], -1) - viewmat[:3, 3]) @ viewmat[:3, :3],
            "quats": normal(count, 4),
            "scales": (3 * distance / K[0, 0])[:, None] * torch.exp(0.5 * normal(count, 3)),
            "opacities": torch.sigmoid(1.5 * normal(count)),
            "colors": uniform(count, channels),
            "viewmats": torch.stack([v for v, _ in views]),
            "Ks": torch.stack([k for _, k in views]),
        }
        rounded = {name: tensor.float().double() for name, tensor in scene.items()}
        return {**rounded, "width": width, "height": height}

    return make


@pytest.fixture(scope="session")
def both() -> Callable[..., tuple[Scene, Scene]]:
    """The scene in float64 and in float32, each with gradients on its floating point Gaussian parameters."""

    def split(scene: Scene) -> tuple[Scene, Scene]:
        def as_type(dtype: torch.dtype) -> Scene:
            made: Scene = {}
            for name, value in scene.items():
                if not isinstance(value, Tensor):
                    made[name] = value
                    continue
                made[name] = value.detach().to(dtype).clone()
                made[name].requires_grad_(name not in ("viewmats", "Ks"))
            return made

        return as_type(torch.float64), as_type(torch.float32)

    return split


@pytest.fixture(scope="session")
def pull() -> Callable[..., None]:
    """Send a fixed, uneven gradient into an image and its alpha, as a loss would."""

    def backward(image: Tensor, alpha: Tensor) -> None:
        random = torch.Generator().manual_seed(7)
        into_image = torch.randn(image.shape, generator=random, dtype=torch.float64)
        into_alpha = torch.randn(alpha.shape, generator=random, dtype=torch.float64)
        loss = (image * into_image.to(image.dtype)).sum() + (alpha * into_alpha.to(alpha.dtype)).sum()
        loss.backward()

    return backward


@pytest.fixture(scope="session")
def relative() -> Callable[[Tensor, Tensor], float]:
    """Relative L2 distance of a float32 result from a float64 one."""

    def distance(found: Tensor, expected: Tensor) -> float:
        scale = expected.norm().clamp_min(1e-12)
        return float((found.double() - expected).norm() / scale)

    return distance


def _transmittance(alphas: Tensor, rays: Tensor) -> Tensor:
    """Product of (1 - alpha) of the earlier samples of the same ray; rays are sorted."""
    logs = torch.log1p(-alphas)
    before = torch.cumsum(logs, 0) - logs
    first = torch.ones_like(rays, dtype=torch.bool)
    first[1:] = rays[1:] != rays[:-1]
    starts = torch.where(first)[0]
    ray = torch.cumsum(first.long(), 0) - 1
    return torch.exp(before - before[starts][ray])


def _nerfacc() -> types.ModuleType:
    """The two functions of nerfacc (a CUDA package) that gsplat's torch code calls, in plain torch."""

    def render_weight_from_alpha(alphas: Tensor, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
        through = _transmittance(alphas, ray_indices)
        return alphas * through, through

    def accumulate_along_rays(
        weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int
    ) -> Tensor:
        source = weights[:, None] if values is None else weights[:, None] * values
        return torch.zeros(n_rays, source.shape[-1], dtype=source.dtype).index_add(0, ray_indices, source)

    module: Any = types.ModuleType("nerfacc")
    module.render_weight_from_alpha = render_weight_from_alpha
    module.accumulate_along_rays = accumulate_along_rays
    return module


def _pairs(
    means2d: Tensor, radii: Tensor, depths: Tensor, conics: Tensor, opacities: Tensor, size: tuple[int, int]
) -> Any:
    """What `gsplat.rasterize_to_indices_in_range` (CUDA only) returns: (Gaussian, pixel) pairs, nearest first."""
    width, height = size
    order = torch.argsort(depths, stable=True)
    order = order[(radii > 0).all(-1)[order]]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2) + 0.5
    d = pixels[:, None] - means2d[order][None]
    c = conics[order]
    sigma = 0.5 * (c[:, 0] * d[..., 0] ** 2 + c[:, 2] * d[..., 1] ** 2) + c[:, 1] * d[..., 0] * d[..., 1]
    a = (opacities[order] * torch.exp(-sigma)).clamp_max(0.999)
    a = torch.where((sigma >= 0) & (a >= 1 / 255), a, torch.zeros_like(a))
    keep = (a > 0) & (torch.cumprod(1 - a, 1) > 1e-4)
    pixel, place = torch.nonzero(keep, as_tuple=True)
    return order[place], pixel


@pytest.fixture
def gsplat_reference(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Tensor, Tensor]]:
    """gsplat 1.5.3's unmodified torch projection, harmonics and accumulation for one camera, on the CPU."""
    monkeypatch.setitem(sys.modules, "nerfacc", _nerfacc())
    from gsplat.cuda import _torch_impl as gsplat

    def rasterize(
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        colors: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        width: int,
        height: int,
        backgrounds: Tensor | None = None,
        render_mode: str = "RGB",
        sh_degree: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        covars, _ = gsplat._quat_scale_to_covar_preci(quats, scales, True, False)
        radii, means2d, depths, conics, _ = gsplat._fully_fused_projection(
            means, covars, viewmats, Ks, width, height
        )
        if sh_degree is not None:
            directions = means - torch.linalg.inv(viewmats[0])[:3, 3]
            colors = (gsplat._spherical_harmonics(sh_degree, directions, colors) + 0.5).clamp_min(0)
        values = torch.cat([colors, depths[0][:, None]], -1) if render_mode != "RGB" else colors
        with torch.no_grad():
            found = (means2d[0], radii[0], depths[0], conics[0], opacities)
            gaussians, pixels = _pairs(*found, (width, height))
        image, alpha = gsplat.accumulate(
            means2d,
            conics,
            opacities[None],
            values[None],
            gaussians,
            pixels,
            torch.zeros_like(gaussians),
            width,
            height,
        )
        if backgrounds is not None:
            missing = values.shape[-1] - backgrounds.shape[-1]
            behind = torch.cat([backgrounds, backgrounds.new_zeros(1, missing)], -1)
            image = image + (1 - alpha) * behind[:, None, None]
        if render_mode == "RGB+ED":
            image = torch.cat([image[..., :-1], image[..., -1:] / alpha.clamp_min(1e-10)], -1)
        return image, alpha

    return rasterize
