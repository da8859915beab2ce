"""The one way to draw Gaussians: `rasterization`, with the meaning of gsplat 1.5.3's function of that name."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import CameraModel, RasterizationInputs, RasterizeMode, Renderer, RenderMode
from perpetua.render.checks import check_inputs, gsplat_only, refuse_what_is_no_tensor


def renderer_for(device_type: str) -> Renderer:
    """The renderer of a kind of device; imported when first asked for. Raises RenderError if there is none."""
    if device_type == "cpu":
        from perpetua.render.numba_backend.rasterize import rasterize_on_cpu

        return rasterize_on_cpu
    if device_type == "cuda":
        from perpetua.render.gsplat_backend import rasterize_on_cuda

        return rasterize_on_cuda
    raise RenderError(f"there is no renderer for tensors on '{device_type}'; move them to the CPU or to CUDA")


def rasterization(
    means: Tensor,  # [..., N, 3]
    quats: Tensor | None,  # [..., N, 4]
    scales: Tensor | None,  # [..., N, 3]
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
    packed: bool = True,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,  # [..., C, D]
    render_mode: RenderMode = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    rasterize_mode: RasterizeMode = "classic",
    channel_chunk: int = 32,
    distributed: bool = False,
    camera_model: CameraModel = "pinhole",
    segmented: bool = False,
    covars: Tensor | None = None,  # [..., N, 3, 3]
    with_ut: bool = False,
    with_eval3d: bool = False,
    radial_coeffs: Tensor | None = None,
    tangential_coeffs: Tensor | None = None,
    thin_prism_coeffs: Tensor | None = None,
    ftheta_coeffs: Any = None,
    rolling_shutter: Any = None,
    viewmats_rs: Tensor | None = None,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Draw N Gaussians through C cameras: the arguments, defaults and results of gsplat 1.5.3's `rasterization`.

    CUDA tensors go to gsplat, CPU tensors to the numba kernels. Differentiable in means, quats, scales, covars,
    opacities, colors, backgrounds and viewmats, not in Ks. Units, shapes and conventions: `RasterizationInputs`.
    `channel_chunk` bounds the channels composited at once (memory, not result).

    On the CPU there are the "pinhole" and "ortho" cameras and spherical harmonics up to degree 3; `tile_size`,
    `sparse_grad`, `distributed`, `segmented`, the unscented transform (`with_ut`, `with_eval3d`), lens distortion and the
    rolling shutter are refused by name unless they are at their defaults. `rolling_shutter=None` is a global shutter.

    Returns:
        image [..., C, H, W, X]: "RGB" gives the D colour channels, "D" accumulated depth sum(w z), "ED" expected depth
        sum(w z) / sum(w) in m, "RGB+D" and "RGB+ED" colours then depth. alpha [..., C, H, W, 1]. meta: see `Renderer`.

    Raises:
        RenderError: for shapes, types, values or options that cannot be drawn, and on the CPU for Gaussians whose mean, shape,
            opacity or colour is not finite.
    """
    refuse_what_is_no_tensor(means=means)
    given = RasterizationInputs(
        means=means,
        quats=means.new_empty(*means.shape[:-2], 0, 4) if quats is None else quats,
        scales=means.new_empty(*means.shape[:-2], 0, 3) if scales is None else scales,
        opacities=opacities,
        colors=colors,
        viewmats=viewmats,
        Ks=Ks,
        width=int(width),
        height=int(height),
        near_plane=float(near_plane),
        far_plane=float(far_plane),
        radius_clip=float(radius_clip),
        eps2d=float(eps2d),
        sh_degree=sh_degree,
        packed=bool(packed),
        backgrounds=backgrounds,
        render_mode=render_mode,
        absgrad=bool(absgrad),
        rasterize_mode=rasterize_mode,
        channel_chunk=int(channel_chunk),
        camera_model=camera_model,
        covars=covars,
        gsplat_only=gsplat_only(
            tile_size=tile_size,
            sparse_grad=sparse_grad,
            distributed=distributed,
            segmented=segmented,
            with_ut=with_ut,
            with_eval3d=with_eval3d,
            radial_coeffs=radial_coeffs,
            tangential_coeffs=tangential_coeffs,
            thin_prism_coeffs=thin_prism_coeffs,
            ftheta_coeffs=ftheta_coeffs,
            rolling_shutter=rolling_shutter,
            viewmats_rs=viewmats_rs,
        ),
    )
    check_inputs(given)
    return renderer_for(means.device.type)(given)
