"""Exports from the add-on: the files are those of ``perpetua export``, and Blender's own importer plays the OpenUSD."""

import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import exports, session
from toy_cache import write_cache
from toy_service import BACKEND_PYTHON, WAIT_S

from perpetua_protocol.cache import Cache

pytestmark = pytest.mark.skipif(not BACKEND_PYTHON.exists(), reason="the backend's environment is not set up")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toy cache that the scene plays, and a backend to export it with."""
    monkeypatch.setenv("PERPETUA_COMMAND", f"{BACKEND_PYTHON} -m perpetua serve --store {tmp_path / 'store'}")
    folder = write_cache(tmp_path / "toy", rounds=(2, 1))
    bpy.ops.perpetua.load_cache(directory=str(folder))
    return folder


def test_usd_and_ply_of_the_take_that_is_played(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bpy.ops.perpetua.export(directory=str(out), formats={"USD", "PLY"}, with_background=True)
    assert sorted(path.name for path in out.iterdir()) == ["toy.usdc", "toy_ply"]
    ply = sorted(path.name for path in (out / "toy_ply").iterdir())
    assert ply == [f"toy_{frame:04d}.ply" for frame in range(4)]
    assert b"element vertex 65\n" in (out / "toy_ply" / ply[0]).read_bytes()[:200], "with the background's 40"
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.usd_import(filepath=str(out / "toy.usdc"))
    scene = bpy.context.scene
    for frame in (0, 3, 1):
        scene.frame_set(frame)
        points = bpy.data.objects["SplatPoints"].evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        places = np.empty(len(points.points) * 3, np.float32)
        points.attributes["position"].data.foreach_get("vector", places)
        np.testing.assert_array_equal(places.reshape(-1, 3), Cache(cache).frame(frame)["position"])


def test_in_the_window_blender_goes_on_while_it_exports(cache: Path, tmp_path: Path) -> None:
    exports.start(bpy.context.scene, tmp_path / "out", {"PLY"}, False)
    exports.start_timer()
    with pytest.raises(RuntimeError, match="An export is running already"):
        bpy.ops.perpetua.export(directory=str(tmp_path / "out"))
    end = time.monotonic() + WAIT_S
    while exports._tick() is not None:  # Blender calls it in its window; there is none here
        assert time.monotonic() < end
        time.sleep(0.02)
    assert session.current().sentence == f"Exported to {tmp_path / 'out'}."
    assert exports.running() is None
    assert len(list((tmp_path / "out" / "toy_ply").glob("*.ply"))) == 5
    exports.stop()


def test_an_export_ends_with_the_add_on(cache: Path, tmp_path: Path) -> None:
    export = exports.start(bpy.context.scene, tmp_path / "out", {"PLY"}, False)
    exports.stop()
    assert exports.running() is None
    assert export._process.returncode is not None


def test_what_cannot_be_exported_is_one_sentence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match="baked without a refiner"):
        bpy.ops.perpetua.export(directory=str(tmp_path / "out"), formats={"REFINED"})
    with pytest.raises(RuntimeError, match="choose a format"):
        bpy.ops.perpetua.export(directory=str(tmp_path / "out"), formats=set())
    with pytest.raises(RuntimeError, match="Save the file first"):
        bpy.ops.perpetua.export()
    monkeypatch.setenv("PERPETUA_COMMAND", "perpetua-server")
    with pytest.raises(RuntimeError, match="has no `serve`"):
        bpy.ops.perpetua.export(directory=str(tmp_path / "out"))
    bpy.context.scene.perpetua.cache_folder = ""
    with pytest.raises(RuntimeError, match="Nothing is baked yet"):
        bpy.ops.perpetua.export(directory=str(tmp_path / "out"))
