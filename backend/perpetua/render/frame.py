"""One frame through one camera: colour, alpha, depth and any extra channels, in one pass over the Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.rasterize import rasterization
from perpetua.scene.cameras import Camera


class GaussiansLike(Protocol):
    """What `render_frame` reads; `perpetua.scene.Gaussians` has it."""

    @property
    def means(self) -> Tensor:
        """[N, 3] m."""

    @property
    def quats(self) -> Tensor:
        """[N, 4] wxyz."""

    @property
    def scales(self) -> Tensor:
        """[N, 3] m."""

    @property
    def opacities(self) -> Tensor:
        """[N] in [0, 1]."""

    @property
    def colors(self) -> Tensor:
        """[N, 3] in [0, 1]."""


@dataclass(frozen=True)
class RenderedFrame:
    """What one camera sees; every field is in the graph of the Gaussians."""

    rgb: Tensor
    """[H, W, 3], in the colours' own encoding, over the background."""
    alpha: Tensor
    """[H, W] in [0, 1]."""
    depth: Tensor
    """[H, W] expected depth along the optical axis, m; 0 where nothing is."""
    extra: Tensor | None
    """[H, W, c] alpha-weighted sums of the extra channels (divide by alpha for their mean), or None."""


def camera_tensors(camera: Camera, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """(viewmats [1, 4, 4], Ks [1, 3, 3]) of a camera as float32 tensors, as `rasterization` takes them."""
    viewmat = torch.as_tensor(camera.world_to_camera, dtype=torch.float32, device=device)
    K = torch.as_tensor(camera.K, dtype=torch.float32, device=device)
    return viewmat[None], K[None]


def render_frame(
    gaussians: GaussiansLike,
    camera: Camera,
    background: Tensor | Sequence[float] | None = None,
    channels: Tensor | None = None,
    *,
    near: float = 0.01,
    far: float = 1e10,
) -> RenderedFrame:
    """Draw `gaussians` through `camera`.

    Args:
        gaussians: means, quats, scales, opacities, colors (N Gaussians, float32, one device).
        camera: the engine's camera (OpenCV axes, pixels).
        background: [3], behind the colours; black when None. The extra channels have zero behind them.
        channels: [N, c] further values to draw in the same pass: masks, flow, features.
        near, far: m, what is drawn.

    Raises:
        RenderError: what `rasterization` refuses, or a background that is not three numbers.
    """
    colors = gaussians.colors
    extra_count = 0 if channels is None else channels.shape[-1]
    values = colors if channels is None else torch.cat([colors, channels], -1)
    behind = None
    if background is not None:
        behind = torch.as_tensor(background, dtype=colors.dtype, device=colors.device).reshape(-1)
        if behind.shape != (colors.shape[-1],):
            raise RenderError(f"background must be {colors.shape[-1]} numbers, not {behind.shape[0]}")
        behind = torch.cat([behind, behind.new_zeros(extra_count)])[None]
    viewmats, Ks = camera_tensors(camera, colors.device)
    image, alpha, _ = rasterization(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        values,
        viewmats,
        Ks,
        camera.width,
        camera.height,
        near_plane=near,
        far_plane=far,
        backgrounds=behind,
        render_mode="RGB+ED",
    )
    count = colors.shape[-1]
    extra = image[0, :, :, count : count + extra_count] if extra_count else None
    return RenderedFrame(image[0, :, :, :count], alpha[0, :, :, 0], image[0, :, :, -1], extra)
