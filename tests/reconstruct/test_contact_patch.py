"""What lies under an object, where no camera looked, has the colours of the table around it."""

from __future__ import annotations

import numpy as np
import torch

from perpetua.reconstruct.fit.part import contact_patch
from perpetua.reconstruct.surface.fusion import TRUNCATION, Field
from perpetua.scene.gaussians import Gaussians

RADIUS, VOXEL = 0.05, 0.002
BROWN, GREEN, BLUE = (0.35, 0.25, 0.2), (0.0, 0.9, 0.1), (0.0, 0.6, 1.0)


def test_the_table_may_lie_a_little_lower_and_what_the_object_hides_says_nothing() -> None:
    rng = np.random.default_rng(0)
    around = rng.uniform(-0.2, 0.2, (3000, 2))
    hidden = np.hypot(*around.T) < 0.017
    depth = np.full(len(around), -0.007)  # as pictures found it, below the plane
    beside = np.array([0.12, 0.0]) + rng.uniform(
        -0.01, 0.01, (40, 2)
    )  # of another object, exactly on the plane
    places = np.concatenate([np.column_stack([around, depth]), np.column_stack([beside, np.zeros(40)])])
    colours = np.concatenate([np.where(hidden[:, None], GREEN, BROWN), np.tile(BLUE, (40, 1))])
    count = len(places)
    background = Gaussians.from_colors(
        torch.from_numpy(places).float(),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        torch.full((count, 3), 0.005),
        torch.full((count,), 0.9),
        torch.from_numpy(colours).float(),
    )
    patch = contact_patch(_ball(), background)
    assert len(patch) > 10
    assert np.hypot(*patch.means[:, :2].numpy().T).max() < RADIUS
    np.testing.assert_allclose(patch.colors, np.tile(BROWN, (len(patch), 1)), atol=0.01)


def _ball() -> Field:
    """On the plane, over the origin."""
    origin = np.array([-RADIUS, -RADIUS, 0.0]) - 3 * VOXEL
    axes = [o + VOXEL * np.arange(56) for o in origin]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    away = np.linalg.norm(centres - [0, 0, RADIUS], axis=-1) - RADIUS
    limit = TRUNCATION * VOXEL
    return Field(np.clip(away, -limit, limit).astype(np.float32), origin, VOXEL)
