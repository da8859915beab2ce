"""Shots without a window: frames named as people do, renders that go on, a whole shot, and many with one backend."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import errors, frame_ranges, rendered_frames
from toy_cache import write_cache
from toy_service import BACKEND_PYTHON, ROOT, WAIT_S, until

from perpetua_protocol.cache import Cache
from perpetua_protocol.client import Client


@pytest.mark.parametrize(
    ("text", "frames"),
    [("3", [3]), ("1-4", [1, 2, 3, 4]), (" 2 .. 3,9, 1", [1, 2, 3, 9]), ("-2-1", [-2, -1, 0, 1])],
)
def test_frames_as_people_write_them(text: str, frames: list[int]) -> None:
    assert frame_ranges.parse(text) == frames


@pytest.mark.parametrize("text", ["", "1-", "a-b", "5-3", "1;2"])
def test_what_is_no_range_of_frames_is_said(text: str) -> None:
    with pytest.raises(errors.AddonError, match="frames"):
        frame_ranges.parse(text)


def scene_of_the_toy(tmp_path: Path, rounds: tuple[int, ...] = (2, 2)) -> bpy.types.Scene:
    """A saved scene that plays a toy cache, small."""
    bpy.ops.perpetua.load_cache(directory=str(write_cache(tmp_path / "cache", rounds=rounds)))
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 32, 18
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return bpy.context.scene


def render(scene: bpy.types.Scene, tmp_path: Path, frames: str = "1-5", again: bool = False) -> list[int]:
    """Render and say which frames were drawn, not found."""
    outcome = rendered_frames.render_frames(scene, tmp_path / "out", frame_ranges.parse(frames), again)
    assert set(outcome.rendered + outcome.kept) <= set(outcome.folder.glob("*.png"))
    return [int(path.stem.rpartition("_")[2]) for path in outcome.rendered]


def test_a_render_goes_on_with_the_frames_that_are_missing(tmp_path: Path) -> None:
    scene = scene_of_the_toy(tmp_path)
    scene.frame_set(4)
    scene.render.filepath = "//kept"
    assert render(scene, tmp_path, "1-3") == [1, 2, 3]
    assert render(scene, tmp_path) == [4, 5]
    assert render(scene, tmp_path) == []
    (tmp_path / "out" / "Scene_0002.png").unlink()
    assert render(scene, tmp_path) == [2]
    assert render(scene, tmp_path, again=True) == [1, 2, 3, 4, 5]
    assert (scene.frame_current, scene.render.filepath) == (4, "//kept")


def test_frames_are_rendered_anew_when_what_they_show_has_changed(tmp_path: Path) -> None:
    scene = scene_of_the_toy(tmp_path)
    assert render(scene, tmp_path) == [1, 2, 3, 4, 5]
    scene.render.resolution_percentage = 50
    assert render(scene, tmp_path, "2") == [2]
    scene.render.resolution_percentage = 100
    assert render(scene, tmp_path) == [2]
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.wm.save_mainfile()
    assert render(scene, tmp_path) == [1, 2, 3, 4, 5]


def test_a_round_that_was_baked_anew_takes_its_frames_along_and_no_others(tmp_path: Path) -> None:
    import msgspec
    from toy_cache import exchange

    scene = scene_of_the_toy(tmp_path)
    render(scene, tmp_path)
    meta = Cache(tmp_path / "cache").meta
    rounds = [*meta.rounds[:2], msgspec.structs.replace(meta.rounds[2], digest="e" * 64)]
    changed = msgspec.structs.replace(meta, rounds=rounds)
    exchange(tmp_path / "cache" / "meta.json", msgspec.json.encode(changed))
    bpy.ops.perpetua.load_cache(directory=str(tmp_path / "cache"))
    assert render(scene, tmp_path) == [4, 5]


def test_a_movie_scene_gives_stills_that_show_their_frames(tmp_path: Path) -> None:
    scene = scene_of_the_toy(tmp_path)
    rendered_frames.set_format(scene, "FFMPEG")
    render(scene, tmp_path, "1,3")
    assert scene.render.image_settings.file_format == "FFMPEG"
    pictures = [bpy.data.images.load(str(path)) for path in sorted((tmp_path / "out").glob("*.png"))]
    one, three = (np.array(picture.pixels[:]) for picture in pictures)
    assert one.size == 32 * 18 * 4
    assert np.abs(one - three).max() > 0.05


def test_a_scene_of_layered_pictures_gives_them_and_stays_so(tmp_path: Path) -> None:
    scene = scene_of_the_toy(tmp_path)
    rendered_frames.set_format(scene, "OPEN_EXR_MULTILAYER")
    outcome = rendered_frames.render_frames(scene, tmp_path / "out", [1])
    assert [path.name for path in outcome.rendered] == ["Scene_0001.exr"]
    assert scene.render.image_settings.file_format == "OPEN_EXR_MULTILAYER"


def test_a_frame_that_cannot_be_read_ends_the_render_and_keeps_the_rest(tmp_path: Path) -> None:
    scene = scene_of_the_toy(tmp_path)
    (tmp_path / "cache" / "round_002" / "scale.npy").write_bytes(b"cut")
    bpy.ops.perpetua.load_cache(directory=str(tmp_path / "cache"))
    with pytest.raises(errors.AddonError, match=r"Frame 4 of 'Scene' was not rendered: .*round_002"):
        render(scene, tmp_path)
    assert [p.name for p in sorted((tmp_path / "out").glob("*.png"))] == [
        f"Scene_000{n}.png" for n in (1, 2, 3)
    ]


# -- whole shots ---------------------------------------------------------------------------------------------------


def unbaked_shot(folder: Path, name: str, take: str = "ball") -> Path:
    """A .blend with a picture, an object and two rounds, not baked."""
    folder.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.read_homefile(use_empty=True)
    image = bpy.data.images.new("picture", 64, 36)
    image.filepath_raw, image.file_format = str(folder / "ball.png"), "PNG"
    image.save()
    bpy.ops.perpetua.open_picture(filepath=str(folder / "ball.png"))
    bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    for frames in (2, 1):
        bpy.ops.perpetua.add_round(frames=frames)
    scene = bpy.context.scene
    scene.perpetua.take_name = take
    scene.render.resolution_percentage = 50
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / f"{name}.blend"))
    return folder / f"{name}.blend"


def test_a_whole_shot_is_baked_saved_and_rendered_once(
    backend: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shot = unbaked_shot(tmp_path, "shot")
    bpy.ops.perpetua.bake_and_render()
    assert "4 rendered, 0 found" in capfd.readouterr().out
    bpy.ops.wm.open_mainfile(filepath=str(shot))
    assert bpy.context.scene.perpetua.cache_folder == "//cache/shot/ball"
    bpy.ops.perpetua.bake_and_render()
    said = capfd.readouterr().out
    assert "'Scene' is baked" in said
    assert "0 rendered, 4 found" in said
    with pytest.raises(RuntimeError, match="no scene 'other'; there are: Scene"):
        bpy.ops.perpetua.bake_and_render(scene="other")


def batch(connection: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BACKEND_PYTHON), "-m", "perpetua", "batch", *map(str, arguments)],
        env={**os.environ, "PERPETUA_CONNECTION": str(connection)},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two shots in one folder, of the same picture and so of the same take's name, and one that fails."""
    folder = tmp_path_factory.mktemp("shots")
    bpy.ops.preferences.addon_enable(module="bl_ext.user_default.perpetua")
    return [
        unbaked_shot(folder, name, take) for name, take in (("a", "ball"), ("b", "failing"), ("c", "ball"))
    ]


def test_a_batch_plays_every_shot_and_says_which_failed(
    service: Path, shots: list[Path], tmp_path: Path
) -> None:
    done = batch(service, *shots, "--out", tmp_path, "--frames", "1-2", "--json")
    assert done.returncode == 1
    results = json.loads(done.stdout)
    assert [r["ok"] for r in results] == [True, False, True]
    assert results[1]["said"].startswith("The matter flew apart in round 1")
    assert "Traceback" in (tmp_path / "b" / "blender.log").read_text()
    for name in "ac":
        assert len(list((tmp_path / name).glob("Scene_000[12].png"))) == 2
        assert (shots[0].parent / "cache" / name / "ball" / "meta.json").is_file()
    again = batch(service, shots[0], shots[2], "--out", tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("2 rendered, 2 found") == 2


def test_an_interrupted_batch_cancels_its_bake_and_ends_with_130(service: Path, tmp_path: Path) -> None:
    shot = unbaked_shot(tmp_path, "long", "slow")
    batch = subprocess.Popen(
        [str(BACKEND_PYTHON), "-m", "perpetua", "batch", str(shot)],
        env={**os.environ, "PERPETUA_CONNECTION": str(service)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        start_new_session=True,  # a terminal interrupts the whole group
        # which may be off for what a shell runs in the background, this test too
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / "renders" / "long" / "blender.log"
    try:
        until(lambda: log.is_file() and "round 1" in log.read_text())
        os.killpg(batch.pid, signal.SIGINT)
        _, said = batch.communicate(timeout=WAIT_S)
    finally:
        batch.kill()
    assert batch.returncode == 130, said
    assert "stopped; everything finished so far is kept" in said
    with Client.connect(service) as client:
        newest = client.jobs()[0]
        until(lambda: client.status(newest.job_id).finished)
        assert (newest.take, client.status(newest.job_id).state) == ("slow", "cancelled")


@pytest.mark.parametrize(
    ("expression", "code", "said"),
    [
        ("import bpy; assert bpy.ops.perpetua", 0, ""),
        ("raise RuntimeError('no')", 1, "RuntimeError: no"),
        ("raise SystemExit('no')", 1, "no"),
        ("raise SystemExit(3)", 3, ""),
    ],
)
def test_blender_ends_as_its_expression_does(expression: str, code: int, said: str) -> None:
    driver = ROOT / "scripts" / "run_in_bpy.py"
    command = [sys.executable, str(driver), "", expression]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert not said or done.stderr.splitlines()[-1] == said
