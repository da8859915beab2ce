"""Bakes over the wire, with the real backend service in its own environment and a job that writes a toy cache."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest
import toy_service
from bl_ext.user_default.perpetua import (
    backend_job,
    backend_process,
    bake,
    following,
    force_kinds,
    playback,
    point_cloud,
    session,
)
from bl_ext.user_default.perpetua.errors import AddonError
from conftest import MODULE
from footprint import footprint
from toy_cache import write_cache
from toy_service import BACKEND_PYTHON, WAIT_S

from perpetua_protocol.cache import Cache

pytestmark = pytest.mark.skipif(not BACKEND_PYTHON.exists(), reason="the backend's environment is not set up")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[bpy.types.Scene]:
    image = bpy.data.images.new("picture", 64, 36)
    image.filepath_raw = str(tmp_path / "ball.png")
    image.file_format = "PNG"
    image.save()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.perpetua.open_picture(filepath=str(tmp_path / "ball.png"))
    bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    bpy.ops.perpetua.add_round(frames=4)
    bpy.ops.perpetua.add_round(frames=3)
    yield bpy.context.scene
    following.end()


def step_until(job: bake.Bake, good: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not good():
        assert not job.step(following.BUDGET_S), "the bake ended first"
        assert time.monotonic() < end
        time.sleep(0.005)


def test_reconstruction_shows_frame_0_and_its_camera(
    backend: Path, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    bpy.ops.perpetua.reconstruct()
    expected = Cache(write_cache(tmp_path / "expected", rounds=())).frame(0)
    for name, values in point_cloud.read_attributes(scene.perpetua.splats.data).items():
        np.testing.assert_array_equal(values, expected[name.replace(":", "_")])
    assert scene.camera.name == "Perpetua front"
    assert scene.perpetua.cache_folder == "//cache/scene/ball"


def test_a_bake_brings_every_round(
    backend: Path, scene: bpy.types.Scene, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bpy.ops.perpetua.bake_and_wait()
    baked = Cache(tmp_path / "cache" / "scene" / "ball")
    assert [r.frames for r in baked.meta.rounds] == [1, 4, 3]
    expected = Cache(write_cache(tmp_path / "expected", rounds=(4, 3)))
    for frame in (0, 3, 7):
        scene.frame_set(scene.frame_start + frame)
        values = point_cloud.read_attributes(scene.perpetua.splats.data)
        np.testing.assert_array_equal(values["position"], expected.frame(frame)["position"])
    assert scene.frame_end == 8
    printed = capfd.readouterr().out
    assert "simulate" in printed
    assert f"Perpetua: baked into {tmp_path / 'cache' / 'scene' / 'ball'}" in printed
    assert following.running() is None
    assert not session.current().baking


def test_the_front_camera_goes_as_the_pictures_own_until_it_is_moved(
    backend: Path, scene: bpy.types.Scene
) -> None:
    from bl_ext.user_default.perpetua.take_builder import build_take

    bpy.ops.perpetua.reconstruct()
    bpy.ops.perpetua.add_cameras(degrees=20)
    front, left, _ = build_take(scene, 1).cameras
    assert front.matrix_world is None
    assert left.matrix_world is not None
    assert left.horizontal_fov_degrees == pytest.approx(40.0, abs=1e-4)
    scene.camera.location.x += 0.01
    bpy.context.view_layer.update()
    assert build_take(scene, 1).cameras[0].matrix_world is not None


def test_early_rounds_play_while_later_ones_bake(backend: Path, scene: bpy.types.Scene) -> None:
    scene.perpetua.take_name = "slow"
    job = bake.start(scene, 2)
    with pytest.raises(RuntimeError, match="A bake is running already"):
        bpy.ops.perpetua.bake()
    step_until(
        job, lambda: session.current().rounds_ready == 0 and session.current().stage.startswith("round 1")
    )
    assert scene.perpetua.splats is not None
    assert playback.meta(scene).frames == 1
    assert scene.frame_end == 8  # the planned rounds' end, baked or not
    assert 0 <= session.current().overall < 1
    bpy.ops.perpetua.cancel()
    end = time.monotonic() + WAIT_S
    while not job.step(following.BUDGET_S):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert session.current().sentence.startswith("Cancelled")


def test_nothing_in_the_scene_changes_while_the_window_renders(
    backend: Path, scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_job, "renders", lambda: True)
    job = bake.start(scene, 2)
    folder = tmp_path / "cache" / "scene" / "ball"
    step_until(job, lambda: (folder / "meta.json").is_file() and len(Cache(folder).meta.rounds) == 3)
    assert scene.perpetua.splats is None
    assert scene.perpetua.cache_folder == ""
    monkeypatch.undo()
    end = time.monotonic() + WAIT_S
    while not job.step(following.BUDGET_S):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert playback.meta(scene).frames == 8
    assert not bake.can_resume(scene)


def test_a_failed_bake_says_the_backends_sentence(backend: Path, scene: bpy.types.Scene) -> None:
    scene.perpetua.take_name = "failing"
    with pytest.raises(RuntimeError, match="The matter flew apart in round 1"):
        bpy.ops.perpetua.bake_and_wait()
    assert playback.meta(scene).frames == 1
    assert following.running() is None


def test_a_failed_bake_gives_the_one_before_back(
    backend: Path, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    scene.perpetua.bake_folder = str(tmp_path / "baked")
    bpy.ops.perpetua.bake_and_wait()
    before = playback.meta(scene)
    assert len(before.rounds) > 1
    scene.perpetua.take_name = "failing"
    with pytest.raises(RuntimeError, match="The matter flew apart in round 1"):
        bpy.ops.perpetua.bake_and_wait()
    assert playback.meta(scene) == before
    scene.perpetua.take_name = "another"
    bpy.ops.perpetua.bake_and_wait()
    assert len(playback.meta(scene).rounds) == len(before.rounds)
    assert not (tmp_path / "baked" / "meta.previous.json").exists()


def test_every_kind_of_force_crosses_the_wire(backend: Path, scene: bpy.types.Scene) -> None:
    for kind in force_kinds.KINDS:
        if kind == "collider":
            bpy.ops.mesh.primitive_ico_sphere_add(radius=0.05)
        bpy.ops.perpetua.add_force(kind=kind)
    pin = scene.perpetua.forces[list(force_kinds.KINDS).index("pin")].object
    for frame, turn in ((1, 0.0), (4, 1.0)):
        pin.rotation_euler.z = turn
        pin.keyframe_insert("rotation_euler", frame=frame)
    bpy.ops.perpetua.add_option(name="prompt", value="clay")
    bpy.ops.perpetua.bake_and_wait()
    assert len(playback.meta(scene).rounds) == 3


def test_a_paused_bake_resumes_and_ends(backend: Path, scene: bpy.types.Scene, tmp_path: Path) -> None:
    scene.perpetua.take_name = "slow"
    scene.perpetua.bake_folder = str(tmp_path / "baked")
    job = bake.start(scene, 2)
    step_until(job, lambda: session.current().rounds_ready == 0)
    assert not bake.can_resume(scene), "it runs"
    bpy.ops.perpetua.pause()
    end = time.monotonic() + WAIT_S
    while not job.step(following.BUDGET_S):
        assert time.monotonic() < end
        time.sleep(0.01)
    following.end()
    assert session.current().sentence.startswith("Paused")
    assert bake.can_resume(scene)
    scene.perpetua.take_name = "quick"
    bpy.ops.perpetua.resume()
    assert len(playback.meta(scene).rounds) == 3
    assert not bake.can_resume(scene)
    with pytest.raises(RuntimeError, match="No bake was paused"):
        bpy.ops.perpetua.resume()


def test_a_bake_left_running_is_found_again(backend: Path, scene: bpy.types.Scene, tmp_path: Path) -> None:
    scene.perpetua.take_name = "slow"
    job = bake.start(scene, 1)
    step_until(job, lambda: session.current().stage.startswith("round 1"))
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))  # lets go of it
    scene = bpy.context.scene
    assert bake.can_resume(scene)
    again = bake.resume(scene)
    assert again.job_id == job.job_id, "the same job, not another"
    step_until(again, lambda: session.current().rounds_ready == 0)
    bpy.ops.perpetua.cancel()
    end = time.monotonic() + WAIT_S
    while not again.step(following.BUDGET_S):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not bake.can_resume(scene), "what was cancelled is over"


def test_undo_leaves_what_was_baked(backend: Path, scene: bpy.types.Scene) -> None:
    bpy.ops.ed.undo_push(message="before")
    scene.perpetua.seed = 3
    bpy.ops.ed.undo_push(message="seed")
    bpy.ops.perpetua.bake_and_wait()
    for step, seed in ((bpy.ops.ed.undo, 0), (bpy.ops.ed.redo, 3)):
        step()
        scene = bpy.context.scene
        assert scene.perpetua.seed == seed
        assert [len(entry.data.points) for entry in (scene.perpetua.splats, scene.perpetua.background)] == [
            25,
            40,
        ]
        assert [entry.object is not None for entry in scene.perpetua.cameras] == [True] * 3
        assert playback.meta(scene).frames == 8


def test_a_picture_that_is_undone_takes_its_splats_along(backend: Path, scene: bpy.types.Scene) -> None:
    picture, scene.perpetua.picture = scene.perpetua.picture, ""
    bpy.ops.ed.undo_push(message="no picture")
    scene.perpetua.picture = picture
    bpy.ops.ed.undo_push(message="picture")
    bpy.ops.perpetua.bake_and_wait()
    bpy.ops.ed.undo()
    assert bpy.context.scene.perpetua.cache_folder == ""
    bpy.ops.ed.redo()
    assert playback.meta(bpy.context.scene).frames == 8


def test_undo_across_a_save_leaves_what_was_baked(backend: Path, scene: bpy.types.Scene) -> None:
    scene.perpetua.picture = bpy.path.abspath(scene.perpetua.picture)
    bpy.ops.ed.undo_push(message="before")
    scene.perpetua.seed = 3
    bpy.ops.ed.undo_push(message="seed")
    bpy.ops.wm.save_mainfile()
    assert scene.perpetua.picture == "//ball.png", "saving changes how its path is stored"
    bpy.ops.perpetua.bake_and_wait()
    bpy.ops.ed.undo()
    assert bpy.context.scene.perpetua.seed == 0
    assert playback.meta(bpy.context.scene).frames == 8


def test_undo_leaves_a_paused_bake_to_be_resumed(backend: Path, scene: bpy.types.Scene) -> None:
    scene.perpetua.take_name = "slow"
    bpy.ops.ed.undo_push(message="before")
    scene.perpetua.seed = 3
    bpy.ops.ed.undo_push(message="seed")
    job = bake.start(scene, 1)
    step_until(job, lambda: session.current().stage.startswith("round 1"))
    bpy.ops.ed.undo()
    job.pause()
    end = time.monotonic() + WAIT_S
    while not job.step(following.BUDGET_S):
        assert time.monotonic() < end
        time.sleep(0.01)
    following.end()
    assert bake.can_resume(bpy.context.scene)
    bpy.ops.ed.redo()
    assert bake.can_resume(bpy.context.scene)
    assert bpy.context.scene.perpetua.job == job.job_id


def test_baked_rounds_know_what_they_were_baked_from(backend: Path, scene: bpy.types.Scene) -> None:
    from bl_ext.user_default.perpetua import round_status

    bpy.ops.perpetua.bake_and_wait()
    assert round_status.statuses(scene) == ["baked"] * 3, "also after the cameras it brought"
    assert [entry.name for entry in scene.perpetua.cameras] == ["front", "left", "right"]
    bpy.ops.perpetua.add_push(start=scene.frame_start + 5, end=scene.frame_start + 6)
    assert round_status.statuses(scene) == ["baked", "baked", "outdated"]
    bpy.ops.perpetua.bake_and_wait()
    assert round_status.statuses(scene) == ["baked"] * 3


def test_a_round_is_baked_again_though_nothing_has_changed(backend: Path, scene: bpy.types.Scene) -> None:
    from bl_ext.user_default.perpetua import round_status
    from bl_ext.user_default.perpetua.take_builder import build_take

    bpy.ops.perpetua.bake_and_wait()
    bpy.ops.perpetua.bake_again(round=1)
    assert [turn.draw for turn in build_take(scene, 2).rounds] == [1, 0]
    assert round_status.statuses(scene) == ["baked", "baked", "unbaked"], "the second came from the first"
    with pytest.raises(RuntimeError, match="no round 3"):
        bpy.ops.perpetua.bake_again(round=3)
    scene.perpetua.take_name = "failing"
    with pytest.raises(RuntimeError, match="flew apart"):
        bpy.ops.perpetua.bake_again(round=1)
    assert scene.perpetua.rounds[0].draw == 1


def test_the_timer_follows_and_ends(backend: Path, scene: bpy.types.Scene) -> None:
    bake.start(scene, 1)
    following.start_timer()
    assert bpy.app.timers.is_registered(following._tick)
    end = time.monotonic() + WAIT_S
    while following._tick() is not None:  # Blender calls it in its window; there is none here
        assert time.monotonic() < end
        time.sleep(0.01)
    assert playback.meta(scene).frames == 5
    following.stop_timer()


def test_a_backend_that_dies_is_one_sentence(
    scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = tmp_path / "connection.json"
    monkeypatch.setenv("PERPETUA_CONNECTION", str(connection))
    process = toy_service.start(tmp_path, connection)
    scene.perpetua.take_name = "slow"
    job = bake.start(scene, 1)
    step_until(job, lambda: session.current().stage)
    process.kill()
    process.wait()
    following.start_timer()
    end = time.monotonic() + WAIT_S
    while following._tick() is not None:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "does not answer" in session.current().sentence
    assert "Resume goes on" in session.current().sentence
    assert bake.can_resume(scene)
    with pytest.raises(RuntimeError, match=r"is gone|does not answer|No backend"):
        bpy.ops.perpetua.bake()


def test_disabling_in_the_middle_of_a_bake_leaves_nothing(backend: Path, scene: bpy.types.Scene) -> None:
    before = footprint()
    scene.perpetua.take_name = "slow"
    job = bake.start(scene, 1)
    following.start_timer()
    step_until(job, lambda: session.current().stage.startswith("round 1"))
    assert footprint()["sockets"] > before["sockets"]
    tick = following._tick
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert not bpy.app.timers.is_registered(tick)
    bpy.ops.preferences.addon_enable(module=MODULE)
    assert footprint() == before


def test_loading_a_file_lets_go_of_the_bake(backend: Path, scene: bpy.types.Scene) -> None:
    scene.perpetua.take_name = "slow"
    bake.start(scene, 1)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert following.running() is None


def test_a_remote_backend_needs_blenders_permission(
    backend: Path, scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = tmp_path / "remote.json"
    remote.write_text(backend.read_text().replace("127.0.0.1", "192.0.2.1"))
    remote.chmod(0o600)
    monkeypatch.setenv("PERPETUA_CONNECTION", str(remote))
    bpy.context.preferences.system.use_online_access = False
    with pytest.raises(RuntimeError, match="may not go online"):
        bpy.ops.perpetua.bake()


def test_start_and_stop_a_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPETUA_CONNECTION", str(tmp_path / "connection.json"))
    monkeypatch.setenv("PERPETUA_COMMAND", f"{BACKEND_PYTHON} -m perpetua serve --store {tmp_path / 'store'}")
    bpy.ops.perpetua.start_backend()
    assert backend_process.running()
    client = backend_job.connect()
    assert client.hello().version == 1
    client.close()
    bpy.ops.perpetua.stop_backend()
    assert not backend_process.running()


def test_a_backend_starts_only_where_none_is(
    backend: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend_process.start_if_none()
    assert not backend_process.running(), "one listens already"
    remote = tmp_path / "remote.json"
    remote.write_text(backend.read_text().replace("127.0.0.1", "192.0.2.1"))
    remote.chmod(0o600)
    monkeypatch.setenv("PERPETUA_CONNECTION", str(remote))
    backend_process.start_if_none()
    with pytest.raises(RuntimeError, match="on another machine"):
        bpy.ops.perpetua.start_backend()
    assert remote.exists(), "the key of another machine's backend is not thrown away"
    dead = tmp_path / "dead.json"
    dead.write_bytes(backend.read_bytes().replace(b"127.0.0.1", b"127.0.0.2"))
    dead.chmod(0o600)
    monkeypatch.setenv("PERPETUA_CONNECTION", str(dead))
    monkeypatch.setenv("PERPETUA_COMMAND", f"{BACKEND_PYTHON} -m perpetua serve --store {tmp_path / 'store'}")
    backend_process.start_if_none()
    assert backend_process.running(), "its backend was gone"
    backend_process.stop()


@pytest.mark.parametrize(
    ("typed", "windows", "words"),
    [
        ("/opt/my\\ tools/perpetua serve", False, ["/opt/my tools/perpetua", "serve"]),
        (
            '"/opt/my tools/perpetua" serve --port 0',
            False,
            ["/opt/my tools/perpetua", "serve", "--port", "0"],
        ),
        ("C:\\perpetua\\perpetua.exe serve", True, ["C:\\perpetua\\perpetua.exe", "serve"]),
        ('"C:\\my tools\\perpetua.exe" serve', True, ["C:\\my tools\\perpetua.exe", "serve"]),
    ],
)
def test_a_command_is_read_as_its_system_writes_it(typed: str, windows: bool, words: list[str]) -> None:
    assert backend_process.words_of(typed, windows) == words


@pytest.mark.parametrize("windows", [False, True])
def test_a_command_without_its_second_quotation_mark_is_one_sentence(windows: bool) -> None:
    with pytest.raises(AddonError, match="lacks a quotation mark"):
        backend_process.words_of('"/opt/perpetua serve', windows)
