"""A scene rendered from a ring of cameras: poses, depth and masks fit what is in the scene."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "backend"))
from render_ring import bounding_sphere, render, ring

from perpetua.exr import read_exr_depth

pytestmark = pytest.mark.blender

WIDTH, HEIGHT = 48, 36


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.5, location=(0, 0, 0.5), segments=48, ring_count=32)
    ball = bpy.context.object
    bpy.ops.mesh.primitive_plane_add(size=20)
    bpy.context.scene.render.engine = "CYCLES"
    bpy.context.scene.cycles.samples, bpy.context.scene.cycles.use_denoising = 1, False
    centre, radius = bounding_sphere([ball])
    assert radius == pytest.approx(math.sqrt(0.75), rel=0.01)
    render(ring(centre, 4.0, math.radians(40), 3), {"ball": [ball]}, tmp_path, (WIDTH, HEIGHT))
    return tmp_path


def test_depth_masks_and_poses_fit_the_scene(folder: Path) -> None:
    record = json.loads((folder / "transforms.json").read_text())
    assert record["objects"] == ["ball"]
    assert record["metric"] is True
    assert len(record["train_filenames"]) == len(record["frames"]) == 3
    assert record["fl_x"] == pytest.approx(WIDTH / 2 / math.tan(math.radians(20)))
    samples = bpy.context.scene.cycles.samples
    assert samples == 1  # as the scene had it
    for frame in record["frames"]:
        depth = read_exr_depth(folder / frame["depth_file_path"])
        pose = np.array(frame["transform_matrix"])
        v, u = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        local = np.stack(
            [(u - WIDTH / 2) / record["fl_x"], -(v - HEIGHT / 2) / record["fl_x"], -np.ones_like(u)], -1
        )
        rays = local @ pose[:3, :3].T
        points = pose[:3, 3] + depth[..., None] * rays
        mask = bpy.data.images.load(str(folder / frame["object_mask_path"]))
        mask.colorspace_settings.name = "Non-Color"
        own = np.rint(255 * np.array(mask.pixels).reshape(HEIGHT, WIDTH, 4)[::-1, :, 0]) == 1
        assert 100 < own.sum() < 700
        assert np.abs(np.linalg.norm(points[own] - [0, 0, 0.5], axis=1) - 0.5).max() < 0.01
        ground = ~own & (depth < 50)
        assert ground.any()
        assert np.abs(points[ground][:, 2]).max() < 1e-3
        assert (folder / frame["file_path"]).stat().st_size > 100
