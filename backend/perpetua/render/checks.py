"""Checks of what `rasterization` is given: each refusal is one sentence that names the argument and the remedy."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import RENDER_MODES, CameraModel, RasterizationInputs, RasterizeMode

MAX_SH_DEGREE = 4
MAX_SH_DEGREE_ON_CPU = 3
MAX_PIXELS_A_SIDE_ON_CPU = 65536  # boxes of tiles are counted in 16 bits
CAMERA_MODELS_ON_CPU = ("pinhole", "ortho")

TENSORS = ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "backgrounds", "covars")

# Options that only gsplat has, with gsplat's defaults (its RollingShutterType.GLOBAL is written None here).
_GSPLAT_DEFAULTS: dict[str, Any] = {
    "tile_size": 16,
    "sparse_grad": False,
    "distributed": False,
    "segmented": False,
    "with_ut": False,
    "with_eval3d": False,
    "radial_coeffs": None,
    "tangential_coeffs": None,
    "thin_prism_coeffs": None,
    "ftheta_coeffs": None,
    "rolling_shutter": None,
    "viewmats_rs": None,
}


def gsplat_only(**options: Any) -> dict[str, Any]:
    """Those of the options that only gsplat has which are not at gsplat's default."""
    if getattr(options["rolling_shutter"], "name", None) == "GLOBAL":
        options["rolling_shutter"] = None
    return {
        name: value
        for name, value in options.items()
        if isinstance(value, Tensor) or value != _GSPLAT_DEFAULTS[name]
    }


def refuse_what_only_gsplat_draws(given: RasterizationInputs) -> None:
    """Refuse what gsplat draws on CUDA and no other renderer does."""
    for name, value in given.gsplat_only.items():
        shown = f"a tensor {_shape(value)}" if isinstance(value, Tensor) else repr(value)
        raise RenderError(
            f"{name} ({shown}) is not supported on the CPU; leave it out, or move the tensors to CUDA, where gsplat has it"
        )
    if given.camera_model not in CAMERA_MODELS_ON_CPU:
        raise RenderError(
            f"camera_model={given.camera_model!r} is not supported on the CPU; use {' or '.join(CAMERA_MODELS_ON_CPU)}, "
            "or move the tensors to CUDA, where gsplat has it"
        )
    if given.sh_degree is not None and given.sh_degree > MAX_SH_DEGREE_ON_CPU:
        raise RenderError(
            f"sh_degree={given.sh_degree} is not supported on the CPU; use 0 to {MAX_SH_DEGREE_ON_CPU}, "
            "or move the tensors to CUDA, where gsplat has it"
        )
    if max(given.width, given.height) > MAX_PIXELS_A_SIDE_ON_CPU:
        raise RenderError(
            f"an image of {given.width} x {given.height} pixels is not supported on the CPU; draw it in parts of at most "
            f"{MAX_PIXELS_A_SIDE_ON_CPU} a side"
        )


def refuse_what_is_no_tensor(**tensors: Any) -> None:
    """Refuse arguments that are no tensors; backgrounds and covars may be left out."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor) and not (value is None and name in ("backgrounds", "covars")):
            raise RenderError(f"{name} must be a tensor of torch's, not {type(value).__name__}")


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
    refuse_what_is_no_tensor(**{name: getattr(given, name) for name in TENSORS})
    if given.means.dim() < 2:
        _expect("means", given.means, (None, 3))
    batch = tuple(given.means.shape[:-2])
    n = given.means.shape[-2]
    _expect("means", given.means, (*batch, None, 3))
    if 0 in batch:
        raise RenderError(
            f"means {_shape(given.means)} has no batches; give at least one, or no batch dimension"
        )
    if given.covars is None:
        if given.quats.shape[-2:-1] == (0,) != (n,) or given.scales.shape[-2:-1] == (0,) != (n,):
            raise RenderError("the Gaussians have no shape; give quats and scales, or covars")
        _expect("quats", given.quats, (*batch, n, 4))
        _expect("scales", given.scales, (*batch, n, 3))
    else:
        _expect("covars", given.covars, (*batch, n, 3, 3))
    _expect("opacities", given.opacities, (*batch, n))
    _expect("viewmats", given.viewmats, (*batch, None, 4, 4))
    c = given.viewmats.shape[-3]
    _expect("Ks", given.Ks, (*batch, c, 3, 3))
    if c == 0:
        raise RenderError("viewmats has no cameras; give at least one")
    channels = _check_colors(given, batch, n, c)
    if given.backgrounds is not None and given.render_mode.startswith("RGB"):
        _expect("backgrounds", given.backgrounds, (*batch, c, channels))
    _check_types(given)
    _check_values(given)


def _check_colors(given: RasterizationInputs, batch: tuple[int, ...], n: int, c: int) -> int:
    """Refuse colours that cannot be drawn; the number of channels of those that can."""
    if given.render_mode not in RENDER_MODES:
        raise RenderError(f"render_mode must be one of {', '.join(RENDER_MODES)}, not {given.render_mode!r}")
    if given.sh_degree is None:
        _expect("colors", given.colors, (*batch, n, None), (*batch, c, n, None))
        channels = given.colors.shape[-1]
        if channels == 0 and given.render_mode.startswith("RGB"):
            raise RenderError(f"colors has no channels; render_mode {given.render_mode!r} needs at least one")
        return channels
    if not isinstance(given.sh_degree, int) or not 0 <= given.sh_degree <= MAX_SH_DEGREE:
        raise RenderError(f"sh_degree must be 0 to {MAX_SH_DEGREE}, not {given.sh_degree!r}")
    _expect("colors (with sh_degree)", given.colors, (*batch, n, None, 3), (*batch, c, n, None, 3))
    needed = (given.sh_degree + 1) ** 2
    if given.colors.shape[-2] < needed:
        raise RenderError(
            f"sh_degree={given.sh_degree} needs {needed} coefficients a channel; colors {_shape(given.colors)} has "
            f"{given.colors.shape[-2]}"
        )
    return 3


def _check_types(given: RasterizationInputs) -> None:
    for name in TENSORS:
        tensor = getattr(given, name)
        if tensor is None or (given.covars is not None and name in ("quats", "scales")):
            continue
        if tensor.dtype != torch.float32:
            raise RenderError(f"{name} is {tensor.dtype}; renderers take float32, call .float() on it")
        if tensor.device != given.means.device:
            raise RenderError(
                f"{name} is on {tensor.device} and means on {given.means.device}; move them together"
            )


def _all_finite(values: Tensor) -> bool:
    """Whether no value is NaN or infinite. Asked of numpy: torch would wake its threads, which takes longer than to look."""
    return bool(np.isfinite(values.detach().numpy()).all())


def _check_values(given: RasterizationInputs) -> None:
    if given.width < 1 or given.height < 1:
        raise RenderError(f"an image needs at least one pixel, not {given.width} x {given.height}")
    if not 0 < given.near_plane < given.far_plane:
        raise RenderError(
            f"the planes must satisfy 0 < near < far, not near_plane={given.near_plane}, far_plane={given.far_plane}"
        )
    if given.channel_chunk < 1:
        raise RenderError(f"channel_chunk must be at least 1, not {given.channel_chunk}")
    if not 0 <= given.eps2d < math.inf:
        raise RenderError(f"eps2d is a variance in pixels^2 and cannot be {given.eps2d}")
    if not 0 <= given.radius_clip < math.inf:
        raise RenderError(f"radius_clip is a radius in pixels and cannot be {given.radius_clip}")
    for name, choices in (
        ("rasterize_mode", get_args(RasterizeMode)),
        ("camera_model", get_args(CameraModel)),
    ):
        if getattr(given, name) not in choices:
            raise RenderError(f"{name} must be one of {', '.join(choices)}, not {getattr(given, name)!r}")
    if given.Ks.requires_grad:
        raise RenderError("Ks gets no gradient from the renderer (nor from gsplat); detach it")
    if given.means.device.type != "cpu":
        return  # looking at values would make the processor wait for all that the device has been given to do
    for name, meaning in (
        ("viewmats", "world-to-camera transforms"),
        ("Ks", "camera matrices in pixels"),
        ("colors", "numbers, for one that is none would blacken pixels beside it too"),
        ("backgrounds", "numbers"),
    ):
        values = getattr(given, name)
        if values is not None and not _all_finite(values):
            raise RenderError(f"{name} has entries that are NaN or infinite; give {meaning}")
    K = given.Ks.detach().numpy()  # a few numbers, and each question to torch costs microseconds
    if not ((K[..., 0, 0] > 0).all() and (K[..., 1, 1] > 0).all()):
        raise RenderError("the focal lengths in Ks must be positive")
    if (K[..., 0, 1] != 0).any():
        raise RenderError("Ks has skew (entry [0, 1]); only cameras without skew are drawn")
