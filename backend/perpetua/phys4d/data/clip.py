"""One camera's clip of a scene, coarse and fine, as arrays in the types they are kept in."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import DataError

COUNTS = 65535
"""Largest count of a 16-bit inverse depth."""


@dataclass(frozen=True)
class ClipArrays:
    """T frames of H x W pixels. What begins with ``coarse`` is the coarse simulation's, by our renderer; the rest is the truth.

    Depths are counts of inverse depth, 0 for none; 1/m a count stands in ``inverse_depth_per_count`` [2], truth's and coarse's.
    """

    rgb: NDArray[np.uint8]
    """[T, H, W, 3] sRGB"""
    inverse_depth: NDArray[np.uint16]
    """[T, H, W]"""
    flow: NDArray[np.float16]
    """[T - 1, H, W, 2] pixels to the next frame"""
    scene_flow: NDArray[np.float16]
    """[T - 1, H, W, 3] m, camera axes of frame t"""
    occluded: NDArray[np.bool_]
    """[T - 1, H, W]"""
    masks: NDArray[np.uint8]
    """[T, H, W] the thing's number, 0 for the room"""
    track_position: NDArray[np.float32]
    """[T, N, 3] m, world"""
    track_visible: NDArray[np.bool_]
    """[T, N]"""
    K: NDArray[np.float64]
    """[T, 3, 3] pixels"""
    world_to_camera: NDArray[np.float64]
    """[T, 4, 4] OpenCV, m"""
    coarse_rgb: NDArray[np.uint8]
    """[T, H, W, 3] sRGB"""
    coarse_inverse_depth: NDArray[np.uint16]
    """[T, H, W]"""
    coarse_flow: NDArray[np.float16]
    """[T - 1, H, W, 2] pixels"""
    coarse_alpha: NDArray[np.uint8]
    """[T, H, W], coverage by things, of 255"""
    inverse_depth_per_count: NDArray[np.float32]
    """[2] 1/m"""

    @property
    def depth(self) -> NDArray[np.float32]:
        """[T, H, W] m, 0 for none."""
        return depth_of(self.inverse_depth, float(self.inverse_depth_per_count[0]))

    @property
    def coarse_depth(self) -> NDArray[np.float32]:
        """[T, H, W] m, 0 for none."""
        return depth_of(self.coarse_inverse_depth, float(self.inverse_depth_per_count[1]))


DTYPES: dict[str, np.dtype] = {
    "rgb": np.dtype(np.uint8),
    "inverse_depth": np.dtype(np.uint16),
    "flow": np.dtype(np.float16),
    "scene_flow": np.dtype(np.float16),
    "occluded": np.dtype(np.bool_),
    "masks": np.dtype(np.uint8),
    "track_position": np.dtype(np.float32),
    "track_visible": np.dtype(np.bool_),
    "K": np.dtype(np.float64),
    "world_to_camera": np.dtype(np.float64),
    "coarse_rgb": np.dtype(np.uint8),
    "coarse_inverse_depth": np.dtype(np.uint16),
    "coarse_flow": np.dtype(np.float16),
    "coarse_alpha": np.dtype(np.uint8),
    "inverse_depth_per_count": np.dtype(np.float32),
}


def counts_of(depth: NDArray) -> tuple[NDArray[np.uint16], float]:
    """Inverse depth of ``depth`` [..] m (0 for none) in counts, and 1/m a count; the nearest point has the largest count."""
    near = depth > 0
    inverse = np.divide(1.0, depth, out=np.zeros(depth.shape), where=near)
    per_count = float(np.float32(inverse.max() / COUNTS)) or 1.0
    counts = np.where(near, np.maximum(np.rint(inverse / per_count), 1), 0)
    return np.minimum(counts, COUNTS).astype(np.uint16), per_count


def depth_of(counts: NDArray, per_count: float) -> NDArray[np.float32]:
    """What ``counts_of`` was given, m, but for rounding."""
    inverse = counts.astype(np.float32) * np.float32(per_count)
    return np.divide(1.0, inverse, out=np.zeros_like(inverse), where=counts > 0)


def check(clip: ClipArrays, name: str) -> None:
    """Raise ``DataError`` for numbers that are none, or layers of other frames and pixels than the picture's."""
    if clip.rgb.ndim != 4 or clip.track_position.ndim != 3:
        raise DataError(
            f"Clip '{name}' has rgb of shape {list(clip.rgb.shape)} and tracks of shape {list(clip.track_position.shape)}; make it again."
        )
    T, H, W = clip.rgb.shape[:3]
    N = clip.track_position.shape[1]
    shapes = {
        "rgb": (T, H, W, 3), "inverse_depth": (T, H, W), "flow": (T - 1, H, W, 2), "scene_flow": (T - 1, H, W, 3),
        "occluded": (T - 1, H, W), "masks": (T, H, W), "track_position": (T, N, 3), "track_visible": (T, N),
        "K": (T, 3, 3), "world_to_camera": (T, 4, 4), "coarse_rgb": (T, H, W, 3), "coarse_inverse_depth": (T, H, W),
        "coarse_flow": (T - 1, H, W, 2), "coarse_alpha": (T, H, W), "inverse_depth_per_count": (2,),
    }  # fmt: skip
    for field in fields(ClipArrays):
        array = getattr(clip, field.name)
        if array.shape != shapes[field.name]:
            raise DataError(
                f"Clip '{name}' has {field.name} of shape {list(array.shape)} and not {list(shapes[field.name])}; make it again."
            )
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise DataError(
                f"Clip '{name}' has numbers that are none in {field.name}; delete its shard and run `perpetua data "
                "generate` again; if it comes back so, take another seed."
            )
