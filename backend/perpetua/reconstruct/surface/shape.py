"""A field as one closed surface: without crumbs, cavities, and what would lie below the plane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label
from skimage.measure import marching_cubes

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.surface.fusion import TRUNCATION, Field

Array = NDArray[np.float64]

CRUMB = 0.02
"""Share of the largest piece below which another piece is noise."""


def cut_at_plane(field: Field, height: float = 0.0) -> Field:
    """The part of a field above z = ``height`` m."""
    z = field.origin[2] + field.voxel * np.arange(field.values.shape[2])
    return replace(field, values=np.maximum(field.values, (height - z).astype(np.float32)))


def cleaned(field: Field, name: str) -> Field:
    """The field without pieces smaller than CRUMB of the largest, and without cavities. Raises ``ReconstructionError`` if nothing is
    inside."""
    inside = field.values < 0
    pieces, count = label(inside)
    if count == 0:
        raise ReconstructionError(
            f"Nothing is left inside object '{name}': the views' depth or outlines contradict each other; check the capture's cameras."
        )
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = sizes[pieces] >= CRUMB * sizes.max()
    values = np.where(inside & ~kept, np.float32(0.5 * field.voxel), field.values)
    cavity = binary_fill_holes(kept) & ~kept
    return replace(field, values=np.where(cavity, np.float32(-0.5 * field.voxel), values))


def surface(field: Field) -> tuple[Array, NDArray[np.int64]]:
    """Vertices [V, 3] m and outward faces [F, 3] of the closed surface."""
    padded = np.pad(field.values, 1, constant_values=TRUNCATION * field.voxel)
    vertices, faces, _, _ = marching_cubes(padded, 0.0, gradient_direction="descent")
    return field.origin + (vertices.astype(np.float64) - 1) * field.voxel, faces.astype(np.int64)
