"""The scenes that are timed: random anisotropic Gaussians all over a view of 60 degrees, some behind or very near the camera."""

from __future__ import annotations

import math
from typing import Any

import torch

WIDTH, HEIGHT = 640, 360  # pixels
FIELD_OF_VIEW = math.radians(60)
BEHIND = 50
"""One Gaussian of so many lies behind the camera or very near it."""
LEAVES = ("means", "quats", "scales", "opacities", "colors")
"""What gradients are taken to."""


def size_of(count: int) -> float:
    """Standard deviation in pixels at 640 x 360 of `count` Gaussians that cover the view about as real scenes do."""
    return 3.0 if count <= 20_000 else 2.0 if count <= 100_000 else 1.5


def view(
    count: int, width: int = WIDTH, height: int = HEIGHT, sigma: float | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Arguments of `rasterization`, always the same for the same numbers; `LEAVES` ask for gradients.

    sigma: median standard deviation, pixels at a width of 640; by `size_of` when None. At another size of the image the
    same scene is seen.
    """
    random = torch.Generator().manual_seed(0)
    focal = 0.5 * WIDTH / math.tan(FIELD_OF_VIEW / 2)
    z = 2.0 + 8.0 * torch.rand(count, generator=random)
    near = count // BEHIND
    z[:near] = -1.0 + 1.2 * torch.rand(near, generator=random)
    distance = z.abs().clamp_min(0.05)
    place = 1.2 * torch.rand(count, 2, generator=random) - 0.6
    spread = torch.exp(0.5 * torch.randn(count, 3, generator=random))
    zoom = width / WIDTH
    scene = {
        "means": torch.cat(
            [place * torch.tensor([WIDTH, HEIGHT]) / focal * distance[:, None], z[:, None]], 1
        ),
        "quats": torch.randn(count, 4, generator=random),
        "scales": ((sigma or size_of(count)) * distance / focal)[:, None] * spread,
        "opacities": torch.sigmoid(1.5 * torch.randn(count, generator=random)),
        "colors": torch.rand(count, 3, generator=random),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[zoom * focal, 0, width / 2], [0, zoom * focal, height / 2], [0, 0, 1]]]),
    }
    scene = {name: tensor.to(device) for name, tensor in scene.items()}
    for name in LEAVES:
        scene[name].requires_grad_(True)
    return {**scene, "width": width, "height": height}
