"""The CUDA renderer: gsplat 1.5.3 behind this folder's API."""

from __future__ import annotations

from dataclasses import fields
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
    # The fields are named as gsplat's arguments are.
    arguments = {f.name: getattr(given, f.name) for f in fields(given) if f.name != "gsplat_only"}
    return rasterization(**arguments, **given.gsplat_only)
