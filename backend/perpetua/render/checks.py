"""Checks of what `rasterization` is given: each refusal is one sentence that names the argument and the remedy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import RENDER_MODES, RasterizationInputs

MAX_SH_DEGREE = 3

# gsplat options that change nothing here at these values, and are refused at any other.
_GSPLAT_OPTIONS: dict[str, tuple[Any, ...]] = {
    "packed": (True, False),
    "tile_size": (16,),
    "sparse_grad": (False,),
    "absgrad": (False,),
    "rasterize_mode": ("classic",),
    "distributed": (False,),
    "camera_model": ("pinhole",),
    "segmented": (False,),
    "with_ut": (False,),
    "with_eval3d": (False,),
    "radial_coeffs": (None,),
    "tangential_coeffs": (None,),
    "thin_prism_coeffs": (None,),
    "ftheta_coeffs": (None,),
    "viewmats_rs": (None,),
}


def check_options(options: dict[str, Any]) -> None:
    """Refuse options of gsplat's `rasterization` that this renderer does not have."""
    for name, value in options.items():
        if name not in _GSPLAT_OPTIONS:
            raise RenderError(f"rasterization has no option '{name}'")
        allowed = _GSPLAT_OPTIONS[name]
        if value not in allowed:
            choices = " or ".join(repr(v) for v in allowed)
            raise RenderError(
                f"{name}={value!r} is not supported by this renderer; leave it out or use {choices}"
            )


def _shape(tensor: Tensor) -> str:
    return "[" + ", ".join(str(n) for n in tensor.shape) + "]"


def _expect(name: str, tensor: Tensor, *shapes: tuple[int | None, ...]) -> None:
    """Refuse a tensor that has none of `shapes` (None: any size)."""
    for shape in shapes:
        if tensor.dim() == len(shape) and all(n in (None, m) for n, m in zip(shape, tensor.shape)):
            return
    wanted = " or ".join("[" + ", ".join("any" if n is None else str(n) for n in s) + "]" for s in shapes)
    raise RenderError(f"{name} must have shape {wanted}, not {_shape(tensor)}")


def check_inputs(given: RasterizationInputs) -> None:
    """Refuse inputs whose shapes, types, devices or values no renderer can draw."""
    n, c = given.means.shape[0], given.viewmats.shape[0]
    _expect("means", given.means, (None, 3))
    if given.covars is None:
        _expect("quats", given.quats, (n, 4))
        _expect("scales", given.scales, (n, 3))
    else:
        _expect("covars", given.covars, (n, 3, 3))
    _expect("opacities", given.opacities, (n,))
    _expect("viewmats", given.viewmats, (None, 4, 4))
    _expect("Ks", given.Ks, (c, 3, 3))
    if c == 0:
        raise RenderError("viewmats has no cameras; give at least one")
    if given.sh_degree is None:
        _expect("colors", given.colors, (n, None), (c, n, None))
        channels = given.colors.shape[-1]
    else:
        if not 0 <= given.sh_degree <= MAX_SH_DEGREE:
            raise RenderError(f"sh_degree must be 0 to {MAX_SH_DEGREE}, not {given.sh_degree}")
        _expect("colors (with sh_degree)", given.colors, (n, None, 3), (c, n, None, 3))
        needed = (given.sh_degree + 1) ** 2
        if given.colors.shape[-2] < needed:
            raise RenderError(
                f"sh_degree={given.sh_degree} needs {needed} coefficients a channel; colors {_shape(given.colors)} has "
                f"{given.colors.shape[-2]}"
            )
        channels = 3
    if given.render_mode not in RENDER_MODES:
        raise RenderError(f"render_mode must be one of {', '.join(RENDER_MODES)}, not {given.render_mode!r}")
    if channels == 0 and given.render_mode.startswith("RGB"):
        raise RenderError(f"colors has no channels; render_mode {given.render_mode!r} needs at least one")
    if given.backgrounds is not None and given.render_mode.startswith("RGB"):
        _expect("backgrounds", given.backgrounds, (c, channels))
    _check_types(given)
    _check_values(given)


def _check_types(given: RasterizationInputs) -> None:
    for name in (
        "means",
        "quats",
        "scales",
        "opacities",
        "colors",
        "viewmats",
        "Ks",
        "backgrounds",
        "covars",
    ):
        tensor = getattr(given, name)
        if tensor is None or (given.covars is not None and name in ("quats", "scales")):
            continue
        if tensor.dtype != torch.float32:
            raise RenderError(f"{name} is {tensor.dtype}; renderers take float32, call .float() on it")
        if tensor.device != given.means.device:
            raise RenderError(
                f"{name} is on {tensor.device} and means on {given.means.device}; move them together"
            )


def _check_values(given: RasterizationInputs) -> None:
    if given.width < 1 or given.height < 1:
        raise RenderError(f"an image needs at least one pixel, not {given.width} x {given.height}")
    if not 0 < given.near_plane < given.far_plane:
        raise RenderError(
            f"the planes must satisfy 0 < near < far, not near_plane={given.near_plane}, far_plane={given.far_plane}"
        )
    if given.channel_chunk < 1:
        raise RenderError(f"channel_chunk must be at least 1, not {given.channel_chunk}")
    if given.eps2d < 0:
        raise RenderError(f"eps2d is a variance in pixels^2 and cannot be {given.eps2d}")
    if given.viewmats.requires_grad or given.Ks.requires_grad:
        raise RenderError(
            "viewmats and Ks get no gradient from the renderer; detach them and move the Gaussians in place of the camera"
        )
    K = given.Ks.detach()
    if K.numel() and not bool((K[:, 0, 0] > 0).all() & (K[:, 1, 1] > 0).all()):
        raise RenderError("the focal lengths in Ks must be positive")
    if bool((K[:, 0, 1] != 0).any()):
        raise RenderError("Ks has skew (entry [0, 1]); only pinhole cameras without skew are drawn")
