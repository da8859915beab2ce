"""2D Gaussian Splatting (Huang et al. 2024): Gaussians as flat discs that rays meet exactly, for geometry. CUDA only."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import RenderMode


def rasterization_2dgs(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
    opacities: Tensor,  # [..., N]
    colors: Tensor,  # [..., (C,) N, D] or [..., (C,) N, K, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    packed: bool = False,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,
    render_mode: RenderMode = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    distloss: bool = False,
    depth_mode: Literal["expected", "median"] = "expected",
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
    """Draw N flat Gaussians through C cameras: the arguments, defaults and results of gsplat 1.5.3's `rasterization_2dgs`.

    A Gaussian lies in the plane of its first two axes; the third scale is not used. Units and shapes as in `rasterization`.
    `distloss` (with a mode that has depth) also draws the distortion along each ray; `depth_mode` says from which depth
    the surface normals are made.

    Returns:
        image [..., C, H, W, X] as of `rasterization`; alpha [..., C, H, W, 1]; normals [..., C, H, W, 3], world axes;
        normals of the surface of depth [..., C, H, W, 3] (None without depth); distortion [..., C, H, W, 1];
        median depth [..., C, H, W, 1] m; meta, whose `gradient_2dgs` `DefaultStrategy(key_for_gradient=...)` follows.

    Raises:
        RenderError: for tensors that are not on CUDA, and where gsplat cannot be imported.
    """
    if means.device.type != "cuda":
        raise RenderError(
            f"rasterization_2dgs draws CUDA tensors only, and means is on '{means.device.type}'; move the tensors to CUDA, "
            "or draw flat Gaussians with rasterization, which renders on the CPU too"
        )
    try:
        import gsplat
    except ImportError as error:
        raise RenderError(f"CUDA tensors are drawn by gsplat, which does not import here: {error}") from error
    return gsplat.rasterization_2dgs(
        means,
        quats,
        scales,
        opacities,
        colors,
        viewmats,
        Ks,
        width,
        height,
        near_plane=near_plane,
        far_plane=far_plane,
        radius_clip=radius_clip,
        eps2d=eps2d,
        sh_degree=sh_degree,
        packed=packed,
        tile_size=tile_size,
        backgrounds=backgrounds,
        render_mode=render_mode,
        sparse_grad=sparse_grad,
        absgrad=absgrad,
        distloss=distloss,
        depth_mode=depth_mode,
    )
