from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import playback, point_cloud
from toy_cache import write_cache

from perpetua_protocol.cache import Cache


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return write_cache(tmp_path / "cache")


def shown(scene: bpy.types.Scene) -> dict[str, np.ndarray]:
    return point_cloud.read_attributes(scene.perpetua.splats.data)


def test_every_frame_carries_the_cache_exactly(cache: Path) -> None:
    scene = bpy.context.scene
    scene.frame_start = 10
    playback.attach(scene, cache)
    assert (scene.frame_start, scene.frame_end) == (10, 17)
    baked = Cache(cache)
    for number in (0, 1, 7, 3, 5, 0):
        scene.frame_set(10 + number)
        expected = baked.frame(number)
        for name, values in shown(scene).items():
            np.testing.assert_array_equal(
                values, expected[name.replace(":", "_")], err_msg=f"{name} {number}"
            )
    for name, values in point_cloud.read_attributes(scene.perpetua.background.data).items():
        np.testing.assert_array_equal(values, baked.background()[name.replace(":", "_")])
