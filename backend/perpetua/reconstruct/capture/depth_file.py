"""Depth maps on disk: EXR (metres), and 16-bit PNG (whole numbers of a unit, millimetres unless said otherwise)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import distance_transform_edt

from perpetua.errors import CaptureError
from perpetua.exr import read_exr_depth
from perpetua.reconstruct.capture.capture import FAR_M

MILLIMETRE = 1e-3
GAP = 0.01
"""Of a map's longer side: what a sensor or a matcher missed is filled from beside it, where it is no wider than twice this. Wider gaps are
taken for nothing, as the sky is in maps that write it as zero."""


def read_depth(path: Path, unit: float = MILLIMETRE) -> NDArray[np.float32]:
    """[H, W] m along the optical axis, infinite where nothing is (zero, not finite, or beyond FAR_M). Small gaps (zero, negative, or no
    number) are filled with the nearest depth.

    unit: m of a count of a PNG. Raises ``CaptureError`` or ``ExrError``.
    """
    if not path.is_file():
        raise CaptureError(f"There is no depth map at {path}; check its path.")
    kind = path.suffix.lower()
    if kind == ".exr":
        depth = read_exr_depth(path)
    elif kind == ".png":
        depth = _png(path) * np.float32(unit)
    else:
        raise CaptureError(
            f"{path.name} is no depth map that is read here; write depth as EXR or as 16-bit PNG."
        )
    nothing = ~np.isfinite(depth) | (depth <= 0) | (depth > FAR_M)
    if nothing.all():
        raise CaptureError(
            f"The depth map {path.name} holds no depth; write metres along the optical axis (PNG: millimetres)."
        )
    gaps = np.isnan(depth) | (depth <= 0)
    return _filled(np.where(nothing, np.float32(np.inf), depth).astype(np.float32), gaps)


def _filled(depth: NDArray[np.float32], gaps: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``depth`` [H, W] with its narrow ``gaps`` [H, W] closed."""
    if not gaps.any():
        return depth
    reach = GAP * max(depth.shape)
    away, (rows, columns) = distance_transform_edt(gaps, return_indices=True)
    narrow = gaps
    if (wide := away > reach).any():
        narrow = gaps & (distance_transform_edt(~wide) > reach)
    return np.where(narrow, depth[rows, columns], depth)


def _png(path: Path) -> NDArray[np.float32]:
    try:
        with Image.open(path) as image:
            if image.mode not in ("I;16", "I;16B", "I"):
                raise CaptureError(
                    f"{path.name} has 8 bits a pixel or colours, too coarse for depth; write it as 16-bit grey PNG, or EXR."
                )
            return np.asarray(image, dtype=np.float32)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise CaptureError(
            f"{path.name} cannot be read as a picture ({error}); write it again as PNG."
        ) from error
