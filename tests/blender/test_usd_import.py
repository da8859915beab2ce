"""Blender's own importer reads what ``perpetua export --usd`` writes: points over time, splat attributes, cameras."""

import math
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from toy_cache import LOOKS_ALONG_Y, write_cache

from perpetua_protocol.cache import Cache

ROOT = Path(__file__).resolve().parents[2]
BACKEND = ROOT / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
"""The backend's environment: Blender's own has no pxr."""
READ = {
    "FLOAT": ("value", 1),
    "FLOAT_VECTOR": ("vector", 3),
    "FLOAT_COLOR": ("color", 4),
    "QUATERNION": ("value", 4),
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A toy cache and the USD file the backend made of it."""
    assert BACKEND.exists(), (
        f"the USD file is made by the backend, and {BACKEND} is missing; run `make setup`"
    )
    folder = tmp_path_factory.mktemp("usd")
    cache = write_cache(folder / "cache")
    command = [str(BACKEND), "-m", "perpetua", "export", str(cache), "--usd", str(folder / "toy.usdc")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return cache, folder / "toy.usdc"


def attributes(name: str) -> dict[str, np.ndarray]:
    """A point cloud's float attributes as the dependency graph shows them at the current frame."""
    cloud = bpy.data.objects[name].evaluated_get(bpy.context.evaluated_depsgraph_get())
    np.testing.assert_array_equal(cloud.matrix_world, np.eye(4))
    read = {}
    for attribute in cloud.data.attributes:
        if attribute.data_type in READ:
            member, width = READ[attribute.data_type]
            flat = np.empty(len(attribute.data) * width, np.float32)
            attribute.data.foreach_get(member, flat)
            read[attribute.name] = flat.reshape(-1, width)
    return read


def assert_shown(shown: dict[str, np.ndarray], splats: dict[str, np.ndarray]) -> None:
    for name in ("position", "scale", "rotation"):
        np.testing.assert_array_equal(shown[name], splats[name], err_msg=name)
    # sampled at the ends of a round; interpolating between equal samples may round the last bit
    np.testing.assert_allclose(shown["radiance:base"], splats["radiance_base"], rtol=2e-7)
    np.testing.assert_allclose(shown["radius"][:, 0], 2 * splats["scale"].mean(1), rtol=1e-6)


def test_blenders_importer_shows_every_frame_of_the_cache(toy: tuple[Path, Path]) -> None:
    folder, usd = toy
    assert bpy.ops.wm.usd_import(filepath=str(usd)) == {"FINISHED"}
    cache, scene = Cache(folder), bpy.context.scene
    assert (scene.frame_start, scene.frame_end) == (0, cache.meta.frames - 1)
    assert scene.render.fps / scene.render.fps_base == cache.meta.fps
    for frame in (0, 4, 7, 3, 5):
        scene.frame_set(frame)
        assert_shown(attributes("SplatPoints"), cache.frame(frame))
    assert_shown(attributes("BackgroundPoints"), cache.background())


def test_points_are_attributed_as_the_add_ons_own(toy: tuple[Path, Path]) -> None:
    bpy.ops.wm.usd_import(filepath=str(toy[1]))
    for name in ("SplatPoints", "BackgroundPoints"):
        types = {a.name: a.data_type for a in bpy.data.objects[name].data.attributes}
        assert types["rotation"] == "QUATERNION"
        assert types["scale"] == "FLOAT_VECTOR"
        assert types["radiance:base"] in {"FLOAT_COLOR", "FLOAT4"}
        assert types["displayColor"] == "FLOAT_COLOR"


def test_cameras_arrive_where_they_stood(toy: tuple[Path, Path]) -> None:
    bpy.ops.wm.usd_import(filepath=str(toy[1]))
    bpy.context.view_layer.update()
    cameras = {o.name: o for o in bpy.data.objects if o.type == "CAMERA"}
    assert set(cameras) == {"front", "left", "right"}
    front = cameras["front"]
    np.testing.assert_allclose(np.array(front.matrix_world).ravel(), LOOKS_ALONG_Y, atol=1e-6)
    assert math.degrees(front.data.angle_x) == pytest.approx(40, abs=1e-3)
    assert front.data.sensor_width == pytest.approx(36, abs=1e-3), "full frame, in millimetres"
    assert front.data.clip_start == pytest.approx(0.01)
