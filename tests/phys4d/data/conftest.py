"""A clip of known layers, without physics or Blender."""

from __future__ import annotations

import numpy as np
import pytest

from perpetua.phys4d.data.clip import ClipArrays, counts_of
from perpetua.phys4d.data.store import About

T, H, W, N = 4, 16, 24, 5


def make_arrays(seed: int = 0) -> ClipArrays:
    random = np.random.default_rng(seed)
    depth = random.uniform(0.3, 2.0, (T, H, W))
    depth[0, 0, 0] = 0
    fine, per_fine = counts_of(depth)
    coarse, per_coarse = counts_of(depth + 0.01)
    return ClipArrays(
        rgb=random.integers(0, 256, (T, H, W, 3), np.uint8),
        inverse_depth=fine,
        flow=random.normal(0, 2, (T - 1, H, W, 2)).astype(np.float16),
        scene_flow=random.normal(0, 0.01, (T - 1, H, W, 3)).astype(np.float16),
        occluded=random.uniform(size=(T - 1, H, W)) < 0.1,
        masks=random.integers(0, 3, (T, H, W)).astype(np.uint8),
        track_position=random.normal(0, 0.1, (T, N, 3)).astype(np.float32),
        track_visible=random.uniform(size=(T, N)) < 0.5,
        K=np.tile(np.array([[30.0, 0, W / 2], [0, 30.0, H / 2], [0, 0, 1]]), (T, 1, 1)),
        world_to_camera=np.tile(np.eye(4), (T, 1, 1)),
        coarse_rgb=random.integers(0, 256, (T, H, W, 3), np.uint8),
        coarse_inverse_depth=coarse,
        coarse_flow=random.normal(0, 2, (T - 1, H, W, 2)).astype(np.float16),
        coarse_alpha=random.integers(0, 256, (T, H, W), np.uint8),
        inverse_depth_per_count=np.array([per_fine, per_coarse], np.float32),
    )


def make_about(scene: str, camera: str, split: str = "test") -> About:
    return About(
        clip=f"{scene}_{camera}", scene=scene, category="soft", template="fall", camera=camera, path="fixed", seed=3, split=split,
        held_out="", frames=T, width=W, height=H, fps=24.0, things=1, spec="{}", versions="{}", seconds='{"physics": 2.0}',
    )  # fmt: skip


@pytest.fixture
def arrays() -> ClipArrays:
    return make_arrays()
