"""What a scene can play on: pictures, captures, videos, splats, depth maps; opened, clicked in, and sent to a backend."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import (
    bake,
    dependencies,
    following,
    guide,
    inputs,
    marking,
    panels,
    session,
    take_builder,
)
from toy_cache import LOOKS_ALONG_Y, png_bytes
from toy_service import BACKEND_PYTHON

GREY = png_bytes(np.full((36, 64, 3), 128, np.uint8))
PICTURES = ("a.png", "b.png", "c.png")
VIDEO = """
import sys, imageio_ffmpeg, numpy as np
writer = imageio_ffmpeg.write_frames(sys.argv[1], (64, 48), fps=8)
writer.send(None)
for shade in (40, 200):
    writer.send(np.full((48, 64, 3), shade, np.uint8).tobytes())
writer.close()
"""

needs_backend = pytest.mark.skipif(
    not BACKEND_PYTHON.exists(), reason="the backend's environment is not set up"
)


@pytest.fixture(autouse=True)
def nothing_runs() -> Iterator[None]:
    yield
    following.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, a depth map, a capture with masks of two objects, and something that is called splats."""
    for name in (*PICTURES, "depth.png", "ring/images/1.png", "ring/images/2.png", "ring/masks/m.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GREY)
    frames = [
        {"file_path": f"images/{n}.png", "object_mask_path": "masks/m.png", "transform_matrix": []}
        for n in (1, 2)
    ]
    capture = {"frames": frames, "objects": ["ball", "cup"], "front_filename": "images/2.png", "w": 64}
    (tmp_path / "ring" / "transforms.json").write_text(json.dumps(capture))
    (tmp_path / "room.ply").write_bytes(b"ply\n")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    return tmp_path


def opened(path: Path, *others: str) -> bpy.types.Scene:
    files = [{"name": name} for name in (path.name, *others)] if others else []
    bpy.ops.perpetua.open_picture(filepath=str(path), files=files)
    return bpy.context.scene


def test_several_pictures_are_clicked_in_the_one_that_was_chosen(folder: Path) -> None:
    scene = opened(folder / "b.png", "c.png", "a.png")
    bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    take = take_builder.build_take(scene, 0)
    assert (take.picture, take.scene.views) == ("b.png", ("a.png", "c.png"))
    assert inputs.in_words(scene.perpetua) == "3 pictures of one scene"
    before = dependencies.fingerprints(scene)
    (folder / "c.png").write_bytes(GREY + b" ")
    assert dependencies.fingerprints(scene) != before, "any of them outdates what is baked"
    opened(folder / "a.png")
    assert not scene.perpetua.input.views


@pytest.mark.parametrize("chosen", ["ring/transforms.json", "ring"])
def test_a_captures_objects_are_those_of_its_masks(folder: Path, chosen: str) -> None:
    scene = opened(folder / chosen)
    assert [thing.name for thing in scene.perpetua.things] == ["ball", "cup"]
    assert scene.perpetua.take_name == "ring"
    assert marking.picture_image(scene).filepath.endswith("images/2.png")
    assert take_builder.build_take(scene, 0).picture == "transforms.json"
    assert "Reconstruct" in guide.next_step(scene), "nothing needs to be clicked"
    assert panels.scene.marks(scene.perpetua.things[0]) == ""


@needs_backend
def test_a_video_is_clicked_in_its_first_frame(folder: Path) -> None:
    subprocess.run([str(BACKEND_PYTHON), "-c", VIDEO, str(folder / "around.mp4")], check=True)
    scene = opened(folder / "around.mp4")
    assert (scene.render.resolution_x, scene.render.resolution_y) == (64, 48)
    bpy.ops.perpetua.add_object(name="ball", x=32, y=47)
    with pytest.raises(RuntimeError, match="outside the picture"):
        bpy.ops.perpetua.add_click(name="ball", x=32, y=48)
    scene.perpetua.input.video_frames = 20
    scene.perpetua.input.metres_per_unit = 0.5
    take = take_builder.build_take(scene, 0)
    assert (take.scene.video_frames, take.scene.metres_per_unit) == (20, 0.5)


def test_a_depth_map_lies_beside_its_picture(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    scene = opened(folder / "a.png")
    bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    scene.perpetua.input.depth = str(folder / "depth.png")
    scene.perpetua.input.depth_estimator, scene.perpetua.input.segmenter = "moge", "sam2"
    take = take_builder.build_take(scene, 0)
    assert (take.scene.depth, take.scene.depth_estimator.name) == ("depth.png", ""), "a map is better"
    assert take.scene.segmenter.name == "sam2"
    bpy.ops.wm.save_mainfile()
    assert scene.perpetua.input.depth == "//depth.png"
    assert take_builder.build_take(scene, 0).scene.depth == "depth.png"
    scene.perpetua.input.depth = str(tmp_path_factory.mktemp("far") / "depth.png")
    with pytest.raises(RuntimeError, match="does not lie beside its picture; copy it to"):
        bpy.ops.perpetua.reconstruct()


@pytest.mark.parametrize(
    ("name", "others", "sentence"),
    [
        ("a.png", ("room.ply",), "Only pictures can be opened together"),
        ("none.png", (), "There is no file at"),
        ("scene.blend", (), "is nothing to play on; open a picture, a video"),
        ("broken/transforms.json", (), "is no list of cameras"),
        ("empty/transforms.json", (), "names no picture"),
        ("broken.mp4", (), "is no video Blender can read; use MP4"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence_and_changes_nothing(
    folder: Path, name: str, others: tuple[str, ...], sentence: str
) -> None:
    scene = opened(folder / "a.png", "b.png")
    for kind, text in (("broken", "{"), ("empty", '{"frames": []}')):
        (folder / kind).mkdir()
        (folder / kind / "transforms.json").write_text(text)
    (folder / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(RuntimeError, match=sentence):
        opened(folder / name, *others)
    assert scene.perpetua.picture == str(folder / "a.png")
    assert [view.name for view in scene.perpetua.input.views] == ["b.png"]


@needs_backend
def test_splats_are_looked_at_and_then_clicked(backend: Path, folder: Path) -> None:
    scene = opened(folder / "room.ply")
    assert guide.next_step(scene).startswith("Press Look")
    with pytest.raises(RuntimeError, match="press Look"):
        bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    bpy.ops.ed.undo_push(message="Open")
    bpy.ops.perpetua.look()
    assert (scene.render.resolution_x, scene.render.resolution_y) == (96, 72)
    bpy.ops.ed.undo_push(message="Click")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert Path(bpy.path.abspath(scene.perpetua.input.front)).is_file(), "undo leaves what was looked at"
    bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    scene.perpetua.input.up = "-Y"
    take = take_builder.build_take(scene, 0)
    assert take.scene.up == (0, -1, 0)
    assert take.scene.view is not None
    assert (take.scene.view.width, take.scene.view.height) == (96, 72)
    assert take.scene.view.horizontal_fov_degrees == pytest.approx(35)
    assert take.scene.view.matrix_world == LOOKS_ALONG_Y
    bpy.ops.perpetua.reconstruct()
    assert scene.perpetua.splats is not None
    opened(folder / "a.png")
    with pytest.raises(RuntimeError, match="Only splats have to be looked at"):
        bpy.ops.perpetua.look()


@needs_backend
def test_everything_that_belongs_to_an_input_is_sent(backend: Path, folder: Path) -> None:
    scene = opened(folder / "ring")
    bpy.ops.perpetua.add_round(frames=2)
    bpy.ops.perpetua.bake_and_wait()
    job = bake.start(scene, 1)
    assert session.current().stage == "sending"
    while not job.step(following.BUDGET_S):
        pass
    given = (backend.parent / "store").rglob("inputs.txt")
    assert "images/1.png\nimages/2.png\nmasks/m.png\ntransforms.json" in [path.read_text() for path in given]


@needs_backend
def test_sending_can_be_paused_and_cancelled(backend: Path, folder: Path) -> None:
    scene = opened(folder / "a.png", "b.png")
    bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    for stop, can_resume in (("pause", True), ("cancel", False)):
        job = bake.start(scene, 0)
        getattr(job, stop)()
        assert job.step(following.BUDGET_S)
        following.end()
        assert bake.can_resume(scene) == can_resume
    assert session.current().sentence.startswith("Cancelled")
    bpy.ops.perpetua.reconstruct()
    assert scene.perpetua.splats is not None
