"""Playback: every frame's attributes are the cache's, across saving, reopening, undo and a cache that went missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import playback, point_cloud, reconstruction, session
from bl_ext.user_default.perpetua.splat_shader import SOLID_OPACITY
from toy_cache import radiance, write_arrays, write_cache

from perpetua_protocol.cache import Cache, RoundRecord

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return write_cache(tmp_path / "cache")


def shown(scene: bpy.types.Scene) -> dict[str, np.ndarray]:
    return point_cloud.read_attributes(scene.perpetua.splats.data)


def assert_frame(scene: bpy.types.Scene, baked: Cache, number: int) -> None:
    expected = baked.frame(number)
    for name, values in shown(scene).items():
        np.testing.assert_array_equal(values, expected[name.replace(":", "_")], err_msg=f"{name} {number}")


def test_every_frame_carries_the_cache_exactly(cache: Path) -> None:
    scene = bpy.context.scene
    scene.frame_start = 10
    playback.attach(scene, cache)
    assert (scene.frame_start, scene.frame_end) == (10, 17)
    baked = Cache(cache)
    for number in (0, 1, 7, 3, 5, 0):
        scene.frame_set(10 + number)
        assert_frame(scene, baked, number)
    for name, values in point_cloud.read_attributes(scene.perpetua.background.data).items():
        np.testing.assert_array_equal(values, baked.background()[name.replace(":", "_")])


def test_splats_that_come_in_a_later_round_are_clear_points_until_they_do(tmp_path: Path) -> None:
    def splats(frames: int, count: int) -> dict[str, np.ndarray]:
        return {
            "position": np.random.default_rng(count).uniform(0, 1, (frames, count, 3)).astype(np.float32),
            "rotation": np.tile(np.float32([1, 0, 0, 0]), (frames, count, 1)),
            "scale": np.full((frames, count, 3), 0.01, np.float32),
            "radiance_base": radiance(np.full((count, 3), 0.5), 0.9),
        }

    arrays = {f"background/{k}.npy": v[0] if v.ndim == 3 else v for k, v in splats(1, 2).items()}
    arrays |= {f"round_000/{k}.npy": v for k, v in splats(1, 2).items()}
    arrays |= {f"round_001/{k}.npy": v for k, v in splats(3, 4).items()}
    arrays["round_001/opacity.npy"] = np.float32([[0.9, 0.9, 0, 0], [0.9, 0.9, 0.9, 0], [0.9, 0.9, 0.9, 0.9]])
    rounds = [
        RoundRecord(index, start, frames, f"round_{index:03d}", "d" * 64, "5" * 64, 1.0)
        for index, start, frames in ((0, 0, 1), (1, 1, 3))
    ]
    folder, scene = write_arrays(tmp_path / "cache", arrays, rounds, 2, 4), bpy.context.scene
    playback.attach(scene, folder)
    for number, there in ((0, 2), (1, 2), (2, 3), (3, 4), (0, 2)):
        scene.frame_set(scene.frame_start + number)
        assert_frame(scene, Cache(folder), number)
        np.testing.assert_array_equal(shown(scene)["radiance:base"][:, 3] > 0.5, np.arange(4) < there)
    radii = np.empty(4, np.float32)
    scene.perpetua.splats.data.attributes["radius"].data.foreach_get("value", radii)
    np.testing.assert_array_equal(radii > 1e-4, [True, True, False, False])


def test_attributes_are_named_and_typed_as_native_splats(cache: Path) -> None:
    bpy.ops.perpetua.load_cache(directory=str(cache))
    scene = bpy.context.scene
    cloud = scene.perpetua.splats
    assert cloud.name == "Perpetua splats"
    assert [c.name for c in cloud.users_collection] == ["Perpetua"]
    types = {a.name: a.data_type for a in cloud.data.attributes}
    assert types["position"] == "FLOAT_VECTOR"
    assert types["rotation"] == "QUATERNION"
    assert types["scale"] == "FLOAT_VECTOR"
    assert types["radiance:base"] in {"FLOAT_COLOR", "FLOAT4"}
    radii = np.empty(len(cloud.data.points), np.float32)
    cloud.data.attributes["radius"].data.foreach_get("value", radii)
    assert (radii > 0).all()


def test_offset_moves_playback_and_the_ends_hold(cache: Path) -> None:
    scene, baked = bpy.context.scene, Cache(cache)
    playback.attach(scene, cache)
    scene.frame_set(1)
    scene.perpetua.frame_offset = -3
    assert_frame(scene, baked, 3)
    scene.frame_set(1000)
    assert_frame(scene, baked, 7)
    scene.frame_set(-1000)
    assert_frame(scene, baked, 0)


def test_the_evaluated_scene_sees_the_frame(cache: Path) -> None:
    scene, baked = bpy.context.scene, Cache(cache)
    playback.attach(scene, cache)
    scene.perpetua.display = "POINTS"
    for number in (2, 6):
        scene.frame_set(scene.frame_start + number)
        seen = scene.perpetua.splats.evaluated_get(bpy.context.evaluated_depsgraph_get())
        values = point_cloud.read_attributes(seen.data)
        frame = baked.frame(number)
        bodies = frame["radiance_base"][:, 3] >= SOLID_OPACITY  # the viewport has no others
        np.testing.assert_array_equal(values["position"], frame["position"][bodies])


def test_a_cache_with_more_rounds_or_splats_takes_the_place_of_the_old(cache: Path, tmp_path: Path) -> None:
    scene = bpy.context.scene
    playback.attach(scene, cache)
    cloud = scene.perpetua.splats
    other = write_cache(tmp_path / "other", background=11, foreground=60, rounds=(4, 3, 5), seed=2)
    playback.attach(scene, other)
    assert scene.perpetua.splats == cloud
    assert scene.frame_end == 13
    scene.frame_set(12)
    assert_frame(scene, Cache(other), 11)
    assert len(bpy.data.pointclouds) == 2


def test_undo_shows_the_frame_again(cache: Path) -> None:
    scene = bpy.context.scene
    bpy.ops.perpetua.load_cache(directory=str(cache))
    bpy.ops.ed.undo_push(message="loaded")
    scene.frame_set(4)
    bpy.data.objects.new("something", None)
    bpy.ops.ed.undo_push(message="something")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert_frame(scene, Cache(cache), scene.frame_current - scene.frame_start)


def test_saved_file_plays_in_a_fresh_blender_wherever_it_is_moved(cache: Path, tmp_path: Path) -> None:
    bpy.ops.perpetua.load_cache(directory=str(cache))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.save_mainfile()
    assert bpy.context.scene.perpetua.cache_folder == "//cache"
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.move(tmp_path / "scene.blend", moved)
    shutil.move(cache, moved)
    script = f"""
import os, sys
import bpy
import numpy as np
bpy.ops.preferences.addon_enable(module="bl_ext.user_default.perpetua")
bpy.ops.wm.open_mainfile(filepath={str(moved / "scene.blend")!r})
from bl_ext.user_default.perpetua import playback, point_cloud
from perpetua_protocol.cache import Cache, RoundRecord
baked, scene = Cache(playback.resolve("//cache")), bpy.context.scene
for number in (0, 6, 2):
    scene.frame_set(scene.frame_start + number)
    values = point_cloud.read_attributes(scene.perpetua.splats.data)
    assert np.array_equal(values["position"], baked.frame(number)["position"]), number
    assert np.array_equal(values["rotation"], baked.frame(number)["rotation"]), number
assert scene.camera.name == "Perpetua front"
print("PLAYED", flush=True)
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert "PLAYED" in done.stdout, done.stdout + done.stderr


def test_a_missing_cache_is_one_sentence_and_no_crash(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bpy.ops.perpetua.load_cache(directory=str(cache))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    shutil.rmtree(cache)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.context.scene.frame_set(3)
    assert "There is no cache at" in session.current().sentence
    with pytest.raises(RuntimeError, match="There is no cache at"):
        bpy.ops.perpetua.load_cache(directory=str(cache))


def render_in_a_fresh_blender(blend: Path, render: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """What ``blender -b scene.blend --python-exit-code 1 --python-expr`` does: an uncaught error ends it with 1."""
    script = f"""
import os, sys, traceback
from pathlib import Path
import bpy
try:
    bpy.ops.preferences.addon_enable(module="bl_ext.user_default.perpetua")
    bpy.ops.wm.open_mainfile(filepath={str(blend)!r})
    {before or "pass"}
    bpy.ops.render.render({render})
except BaseException:
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
sys.stdout.flush()
os._exit(0)
"""
    return subprocess.run(
        [sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True, check=False
    )


def small_saved_scene(cache: Path, tmp_path: Path) -> Path:
    bpy.ops.perpetua.load_cache(directory=str(cache))
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = 32, 18
    render.image_settings.file_format = "PNG"
    render.filepath = str(tmp_path / "pictures" / "frame_")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    return tmp_path / "scene.blend"


@pytest.mark.parametrize("render", ["animation=True", "write_still=True"])
def test_a_render_without_its_cache_fails_and_writes_nothing(
    cache: Path, tmp_path: Path, render: str
) -> None:
    blend = small_saved_scene(cache, tmp_path)
    shutil.move(cache, tmp_path / "away")
    failed = render_in_a_fresh_blender(blend, render)
    assert failed.returncode == 1, failed.stdout
    assert "RuntimeError: Error: There is no cache at" in failed.stderr
    assert not list(tmp_path.glob("pictures/*"))
    back = f"import shutil; shutil.move({str(tmp_path / 'away')!r}, {str(cache)!r})"
    again = render_in_a_fresh_blender(blend, render, back)
    assert again.returncode == 0, again.stderr
    assert len(list(tmp_path.glob("pictures/*"))) == (8 if render == "animation=True" else 1)


def test_an_animation_ends_at_the_round_it_cannot_read(cache: Path, tmp_path: Path) -> None:
    small_saved_scene(cache, tmp_path)
    (cache / "round_002" / "scale.npy").write_bytes(b"cut")
    with pytest.raises(RuntimeError, match=r"lacks round_002/scale.npy or it is cut short") as caught:
        bpy.ops.render.render(animation=True)
    assert len(str(caught.value).strip().splitlines()) == 1
    written = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert written == [f"frame_{number:04d}.png" for number in range(1, 6)]
    assert "round_002" in session.current().sentence
    bpy.context.scene.frame_set(2)
    bpy.ops.render.render()  # a frame that is there
    with pytest.raises(RuntimeError, match="round_002") as caught:
        bpy.ops.perpetua.render_views(directory=str(tmp_path / "views"))
    assert "Traceback" not in str(caught.value)


def test_a_defect_in_playback_fails_the_render_too(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_saved_scene(cache, tmp_path)

    def broken(scene: bpy.types.Scene) -> None:
        raise PermissionError("no permission for meta.json")

    monkeypatch.setattr(playback, "show", broken)
    with pytest.raises(RuntimeError, match="could not be shown: no permission"):
        bpy.ops.render.render(write_still=True)
    assert not (tmp_path / "pictures").exists()


def test_a_later_bake_leaves_the_artists_choices(cache: Path) -> None:
    scene = bpy.context.scene
    bpy.ops.perpetua.load_cache(directory=str(cache))
    bpy.ops.perpetua.add_cameras()
    left = scene.camera = scene.perpetua.cameras["left"].object
    scene.view_settings.view_transform = "AgX"
    scene.perpetua.cameras["front"].object.location.z += 0.1
    bpy.context.view_layer.update()
    bpy.ops.perpetua.load_cache(directory=str(cache))
    assert scene.camera == left
    assert scene.view_settings.view_transform == "AgX"
    assert scene.perpetua.cameras["front"].object.location.z == pytest.approx(0.1)


def test_cameras_and_colour_settings_come_with_the_cache(cache: Path) -> None:
    scene = bpy.context.scene
    scene.view_settings.view_transform = "AgX"
    bpy.ops.perpetua.load_cache(directory=str(cache))
    assert scene.camera.name == "Perpetua front"
    assert np.degrees(scene.camera.data.angle) == pytest.approx(40.0, abs=1e-4)
    np.testing.assert_allclose(np.array(scene.camera.matrix_world)[:3, 3], [0, -1, 0], atol=1e-7)
    assert (scene.render.engine, scene.view_settings.view_transform) == ("PERPETUA_SPLATS", "Standard")
    bpy.ops.perpetua.add_cameras(degrees=30)
    assert [(c.name, c.role) for c in scene.perpetua.cameras] == [
        ("front", "front"),
        ("left", "side"),
        ("right", "side"),
    ]
    centre = np.array([0.0, 0.0, 0.05])
    for name, sign in (("left", -1), ("right", 1)):
        place = np.array(scene.perpetua.cameras[name].object.matrix_world)
        away = place[:3, 3] - centre
        assert np.hypot(*away[:2]) == pytest.approx(1.0, abs=1e-5)
        assert np.degrees(np.arctan2(away[0], -away[1])) == pytest.approx(sign * 30, abs=1e-3)
        look = -place[:3, 2]
        assert look[0] * away[1] - look[1] * away[0] == pytest.approx(0, abs=1e-5), "it looks at the axis"


def test_a_round_may_arrive_while_the_artist_edits_a_mesh(cache: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.perpetua.load_cache(directory=str(cache))
    scene = bpy.context.scene
    assert bpy.context.mode == "EDIT_MESH"
    assert_frame(scene, Cache(cache), scene.frame_current - scene.frame_start)
    assert len(bpy.data.scenes) == 1
    with pytest.raises(RuntimeError, match="Object Mode"):
        bpy.ops.perpetua.add_wind()
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_cache_without_background_plays(tmp_path: Path) -> None:
    bpy.ops.perpetua.load_cache(directory=str(write_cache(tmp_path / "bare", background=0)))
    assert len(bpy.context.scene.perpetua.background.data.points) == 0
    bpy.context.scene.render.resolution_percentage = 5
    bpy.ops.render.render()


def test_the_startup_files_cube_does_not_stand_around_the_table(cache: Path) -> None:
    bpy.ops.mesh.primitive_cube_add(size=2)
    cube, own = bpy.context.object, bpy.data.objects.new("mine", bpy.context.object.data)
    bpy.context.scene.collection.objects.link(own)
    bpy.context.view_layer.update()
    bpy.ops.perpetua.load_cache(directory=str(cache))
    assert (cube.name, cube.hide_viewport, cube.hide_render) == ("Cube", True, True)
    assert not own.hide_viewport
    cube.hide_viewport = False
    bpy.ops.perpetua.load_cache(directory=str(cache))
    assert not cube.hide_viewport, "only the first time"


@pytest.mark.parametrize(("size", "kept"), [((96, 53), True), ((320, 180), True), ((300, 300), False)])
def test_a_small_previews_rounding_does_not_shrink_the_render(size: tuple[int, int], kept: bool) -> None:
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = 1280, 720
    reconstruction._keep_shape(bpy.context.scene, *size)
    assert (render.resolution_x, render.resolution_y) == ((1280, 720) if kept else size)


@pytest.mark.parametrize("render", ["animation=True", "write_still=True"])
def test_other_engines_render_no_other_frame_either(cache: Path, tmp_path: Path, render: str) -> None:
    scene = bpy.context.scene
    blend = small_saved_scene(cache, tmp_path)
    scene.render.engine, scene.perpetua.display = "BLENDER_WORKBENCH", "POINTS"
    scene.frame_set(6)  # in the round that will be gone
    bpy.ops.wm.save_mainfile()
    (cache / "round_002" / "scale.npy").write_bytes(b"cut")
    failed = render_in_a_fresh_blender(blend, render)
    assert failed.returncode == 1, failed.stdout
    assert "round_002/scale.npy or it is cut short" in failed.stderr
    rendered = sorted(path.name for path in (tmp_path / "pictures").glob("*"))
    assert rendered == ([f"frame_{n:04d}.png" for n in range(1, 6)] if render == "animation=True" else [])


def test_a_frame_that_cannot_be_read_shows_no_other(cache: Path) -> None:
    scene = bpy.context.scene
    bpy.ops.perpetua.load_cache(directory=str(cache))
    scene.perpetua.display = "POINTS"
    whole = (cache / "round_002" / "scale.npy").read_bytes()
    (cache / "round_002" / "scale.npy").write_bytes(b"cut")
    scene.frame_set(7)
    for name in ("scale", "radius"):
        values = scene.perpetua.splats.data.attributes[name].data
        assert not any(np.array(v.vector if name == "scale" else v.value).any() for v in values)
    (cache / "round_002" / "scale.npy").write_bytes(whole)
    scene.frame_set(7)
    assert_frame(scene, Cache(cache), 6)
    assert all(v.value > 0 for v in scene.perpetua.splats.data.attributes["radius"].data)


def test_a_camera_that_is_deleted_in_the_viewport_is_no_view_any_more(cache: Path) -> None:
    from bl_ext.user_default.perpetua import take_builder

    scene = bpy.context.scene
    bpy.ops.perpetua.load_cache(directory=str(cache))
    left = scene.perpetua.cameras[1].object
    bpy.ops.object.select_all(action="DESELECT")
    left.select_set(True)
    bpy.ops.object.delete()
    assert [spec.name for spec in take_builder._cameras(scene)] == ["front", "right"]
    with pytest.raises(RuntimeError, match="no such camera"):
        bpy.ops.perpetua.look_through(index=1)
    bpy.ops.perpetua.add_cameras(degrees=20)
    assert all(entry.there for entry in scene.perpetua.cameras)
