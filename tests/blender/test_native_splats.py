"""Blender's own splats, which come with 5.3: where point clouds have that type, a take can be shown as them.

No 5.3 was at hand. A property of the same name and values on point clouds stands for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import display, native_splats, playback, point_cloud
from test_sheen import harmonics
from toy_cache import write_cache

from perpetua_protocol.cache import Cache


@pytest.fixture
def newer() -> Iterator[None]:
    """A Blender that knows splats, unless this one does."""
    if native_splats.known():
        yield
        return
    items = [("POINTS", "Points", ""), (native_splats.TYPE, "Gaussian Splat", "")]
    bpy.types.PointCloud.type = bpy.props.EnumProperty(items=items, default="POINTS")
    yield
    del bpy.types.PointCloud.type


def test_without_them_they_are_not_offered(tmp_path: Path) -> None:
    if native_splats.known():
        pytest.skip("this Blender has them")
    scene = bpy.context.scene
    playback.attach(scene, write_cache(tmp_path / "cache"))
    with pytest.raises(TypeError, match="NATIVE"):
        scene.perpetua.display = "NATIVE"
    scene.perpetua["display"] = 3  # a file that was saved where they are
    playback.on_load()
    assert scene.perpetua.display == "SPLATS"


def test_a_take_plays_as_them(newer: None, tmp_path: Path) -> None:
    scene, folder = bpy.context.scene, write_cache(tmp_path / "cache", sheen=15)
    playback.attach(scene, folder)
    scene.perpetua.display = "POINTS"
    scene.perpetua.display = "NATIVE"
    baked, cloud = Cache(folder), scene.perpetua.splats
    for thing in (cloud, scene.perpetua.background):
        assert thing.data.type == native_splats.TYPE
        assert (thing.hide_viewport, thing.display_type) == (False, "TEXTURED")
        assert not thing.modifiers
        assert not thing.data.materials, "points' own would hide what splats look like"
    direction = np.array([0.36, -0.48, 0.8])
    for number in (2, 5):
        scene.frame_set(scene.frame_start + number)
        frame = baked.frame(number)
        w, *v = frame["turn"].astype(np.float64).T
        before = direction + 2 * np.cross(
            -np.transpose(v), np.cross(-np.transpose(v), direction) + w[:, None] * direction
        )
        wanted = [harmonics(d, 3) @ c for d, c in zip(before, frame["radiance_sh"], strict=True)]
        found = harmonics(direction, 3) @ point_cloud.read_sheen(cloud.data).astype(np.float64)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert (point_cloud.read_turns(cloud.data) == [1, 0, 0, 0]).all()
    scene.perpetua.display = "SPLATS"
    assert cloud.data.type == "POINTS"
    assert cloud.hide_viewport
    np.testing.assert_array_equal(point_cloud.read_sheen(cloud.data), baked.frame(5)["radiance_sh"])
    np.testing.assert_array_equal(point_cloud.read_turns(cloud.data), baked.frame(5)["turn"])
    assert len(display.items()) == 4
