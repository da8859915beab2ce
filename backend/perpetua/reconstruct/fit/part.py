"""Fitted Gaussians come apart: each object's, the background's, and what neither showed: under the object, and inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.capture.capture import CapturedView
from perpetua.reconstruct.discs import balls, tangent_discs
from perpetua.reconstruct.fit.train import Fit
from perpetua.reconstruct.splats import INTERIOR_CLEARANCE, INTERIOR_SIGMA
from perpetua.reconstruct.surface.fusion import Field
from perpetua.scene.gaussians import Gaussians

Array = NDArray[np.float64]

STRAY = 2.5
"""Voxels outside an object beyond which a Gaussian that claims to be its is left out."""
SHOWN = 0.5
"""Share of the views' masks that must show a Gaussian as the object's: a tenth of a ball's radius before it, three in five do."""
BURIED = 1.0
"""Voxels inside an object beyond which a Gaussian of the background is left out: it would show when the object moves."""
SKIN = 0.7
"""Voxels from an object's surface up to which a Gaussian of the background is the object's after all, well above the plane."""
ABOVE = 2.5
"""Voxels above the plane from which what is near an object's surface cannot be the table's."""
PATCH_ACROSS = 24
"""Discs along a contact patch's longer side."""
NEAREST = 12
NEAR_PLANE = 1.5
"""Voxels above the plane up to which the background's Gaussians are the table."""
UNDER_PLANE = 0.25
"""Of a contact patch's longer side, below the plane down to which they are: depth from pictures is not exact, and a fitted table is thick."""


def claimed(fit: Fit, fields: list[Field], views: Sequence[CapturedView]) -> Fit:
    """A fit that was not told whose its Gaussians are, with those in or at an object its own, and those around it that the ``views``' masks
    show as it: a fit without depth is as thick as it is unsure. The plane is z = 0."""
    means = fit.gaussians.means.numpy().astype(np.float64)
    distance = np.stack([field.at(means) / field.voxel for field in fields])
    shown = _shown(means, len(fields), views)
    whose = np.where(distance.min(0) < 1, distance.argmin(0), shown.argmax(0))
    own = (distance.min(0) < 1) | (shown.max(0) > SHOWN)
    off_table = means[:, 2] > np.array([field.voxel for field in fields])[whose]
    return replace(fit, objects=np.where(own & off_table, whose, -1))


def _shown(means: Array, count: int, views: Sequence[CapturedView]) -> Array:
    """[count, N] the share of the views that look at places [N, 3] whose masks show each of ``count`` objects there."""
    looked, shown = np.zeros(len(means)), np.zeros((count, len(means)))
    for view in views:
        assert view.objects is not None
        pixels, depth = view.camera.project(means)
        inside = (
            (depth > 0) & (pixels >= 0).all(1) & (pixels < [view.camera.width, view.camera.height]).all(1)
        )
        x, y = pixels[inside].astype(int).T
        looked[inside] += 1
        shown[:, inside] += view.objects[y, x] == np.arange(count)[:, None]
    return np.asarray(shown / np.maximum(looked, 1))


def part(
    fit: Fit, fields: list[Field], names: list[str], stray: float = STRAY
) -> tuple[Gaussians, list[Gaussians]]:
    """(the background's Gaussians, those of each object). ``stray``: as STRAY. The plane is z = 0. Raises ``ReconstructionError`` for an
    object that has none."""
    means = fit.gaussians.means.numpy().astype(np.float64)
    whose = fit.objects.copy()
    distance = np.stack([field.at(means) / field.voxel for field in fields])
    nearest = distance.argmin(0)
    away = distance[nearest, np.arange(len(means))]
    height = means[:, 2] / np.array([field.voxel for field in fields])[nearest]
    whose = np.where((whose < 0) & (np.abs(away) < SKIN) & (height > ABOVE), nearest, whose)
    skins = []
    for index, name in enumerate(names):
        own = (whose == index) & (distance[index] < stray)
        if not own.any():
            raise ReconstructionError(
                f"No gaussian was found to be of object '{name}'; check its masks, or fit more gaussians."
            )
        skins.append(fit.gaussians[torch.from_numpy(np.flatnonzero(own))])
    behind = (whose < 0) & (away > -BURIED)
    return fit.gaussians[torch.from_numpy(np.flatnonzero(behind))], skins


def contact_patch(field: Field, background: Gaussians) -> Gaussians:
    """Discs on the plane z = 0 where an object stands on it, which no camera saw, in the colours of the table around."""
    z = 0.6 * field.voxel
    low = field.origin[:2]
    high = low + field.voxel * (np.array(field.values.shape[:2]) - 1)
    step = float((high - low).max() / PATCH_ACROSS)
    x, y = (np.arange(a + 0.5 * step, b, step) for a, b in zip(low, high))
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    covered = grid[field.at(np.concatenate([grid, np.full((len(grid), 1), z)], 1)) < 0.5 * step]
    means = background.means.numpy().astype(np.float64)
    low_enough = means[:, 2] < NEAR_PLANE * field.voxel
    table = low_enough & (means[:, 2] > -UNDER_PLANE * float((high - low).max()))
    below = np.concatenate([means[:, :2], np.full((len(means), 1), z)], 1)
    table &= field.at(below) > field.voxel  # no camera saw what the object hides
    if not len(covered) or table.sum() < NEAREST:
        return background[:0]
    away, found = cKDTree(means[table, :2]).query(covered, k=NEAREST)
    weight = 1 / np.maximum(away, 1e-9) ** 2
    colors = background.colors.numpy()[table][found]
    mixed = (weight[..., None] * colors).sum(1) / weight.sum(1)[:, None]
    places = np.concatenate([covered, np.full((len(covered), 1), -0.2 * step)], 1)
    along_x, along_y = (np.tile(step * np.eye(3)[i], (len(covered), 1)) for i in (0, 1))
    return tangent_discs(places, along_x, along_y, mixed, 0.6)


def inside_splats(
    cloud: Array, skin: Gaussians, vertices: Array, spacing: float, sub_gaussians: int, seed: int
) -> Gaussians:
    """Round splats in and around each particle [P, 3] in the colours of the skin nearest, small near the surface ``vertices`` [V, 3] so
    that they stay hidden until matter parts."""
    if sub_gaussians < 1:
        return skin[:0]
    rng = np.random.default_rng(seed)
    means = np.repeat(cloud, sub_gaussians, 0)
    if sub_gaussians > 1:
        means = means + rng.uniform(-0.4, 0.4, means.shape) * spacing
    away, _ = cKDTree(vertices).query(means)
    size = INTERIOR_SIGMA * spacing / sub_gaussians ** (1 / 3)
    radii = np.clip(away / INTERIOR_CLEARANCE, 0.1 * size, size)
    _, nearest = cKDTree(skin.means.numpy()).query(means, k=min(4, len(skin)))
    colors = skin.colors.numpy()[nearest.reshape(len(means), -1)].mean(1)
    return balls(means, radii, colors.astype(np.float64))
