"""Scenes that the renderer tests share, and gsplat's own torch code as an oracle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from perpetua.render.gsplat_reference import rasterize_with_gsplat_torch

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


@pytest.fixture(scope="session")
def gsplat_reference() -> Callable[..., tuple[Tensor, Tensor]]:
    """gsplat 1.5.3's unmodified torch projection, harmonics and accumulation for one camera, on the CPU."""
    return rasterize_with_gsplat_torch
