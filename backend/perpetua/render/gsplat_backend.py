"""The CUDA renderer: gsplat 1.5.3 behind this folder's API."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import RasterizationInputs


def rasterize_on_cuda(given: RasterizationInputs) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render checked inputs with gsplat. Raises RenderError when gsplat cannot be imported."""
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise RenderError(f"CUDA tensors are drawn by gsplat, which does not import here: {error}") from error
    # packed=False: `meta` then has a row for each Gaussian, as the CPU renderer's has.
    return rasterization(
        given.means,
        given.quats,
        given.scales,
        given.opacities,
        given.colors,
        given.viewmats,
        given.Ks,
        given.width,
        given.height,
        near_plane=given.near_plane,
        far_plane=given.far_plane,
        radius_clip=given.radius_clip,
        eps2d=given.eps2d,
        sh_degree=given.sh_degree,
        packed=False,
        backgrounds=given.backgrounds,
        render_mode=given.render_mode,
        covars=given.covars,
        channel_chunk=given.channel_chunk,
    )
