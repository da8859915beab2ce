"""Which files a take's input consists of, and which cannot be sent."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from perpetua_protocol import limits
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.inputs import input_files, kind_of
from perpetua_protocol.take import ObjectSpec, SceneSettings, SplatView, Take, validate

UNIT = (1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0)


def take(picture: str, **scene: object) -> Take:
    return Take("t", picture, (ObjectSpec("ball", box=(0, 0, 9, 9)),), scene=SceneSettings(**scene))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.PNG", "picture"),
        ("ring/transforms.json", "capture"),
        ("C:\\shots\\ring\\transforms.json", "capture"),
        ("turn.MP4", "video"),
        ("scan.ply", "splats"),
        ("scan.splat", "splats"),
        ("ply", "picture"),
    ],
)
def test_the_name_tells_the_kind(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_a_picture_brings_its_depth_or_its_further_views(tmp_path: Path) -> None:
    for name in ("a.png", "a.exr", "b.png", "more.png"):
        (tmp_path / name).write_bytes(b"x")
    assert [f.name for f in input_files(take("a.png"), tmp_path / "a.png")] == ["a.png"]
    with_depth = input_files(take("a.png", depth="a.exr"), tmp_path / "a.png")
    assert [f.name for f in with_depth] == ["a.png", "a.exr"]
    views = input_files(take("a.png", views=("b.png", "more.png")), tmp_path / "a.png")
    assert [f.path for f in views] == [tmp_path / n for n in ("a.png", "b.png", "more.png")]


def test_a_capture_brings_all_that_it_names(tmp_path: Path) -> None:
    frame = {
        "file_path": "./images/0.png",
        "depth_file_path": "depth/0.exr",
        "object_mask_path": "masks/0.png",
    }
    record = {"frames": [frame, {"file_path": "images/1.png"}], "ply_file_path": "sparse.ply", "w": 10}
    (tmp_path / "transforms.json").write_bytes(msgspec.json.encode(record))
    names = ["sparse.ply", "images/0.png", "depth/0.exr", "masks/0.png", "images/1.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = input_files(take("transforms.json"), tmp_path / "transforms.json")
    assert [f.name for f in found] == ["transforms.json", *names]


def test_what_cannot_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x" * 100)
    (tmp_path / "b.png").write_bytes(b"x" * 100)
    (tmp_path.parent / "c.png").write_bytes(b"x")
    with pytest.raises(InvalidTake, match=r"no file at .*missing\.exr; check its path"):
        input_files(take("a.png", depth="missing.exr"), picture)
    with pytest.raises(InvalidTake, match=r"'\.\./c\.png' cannot be sent"):
        input_files(take("a.png", views=("../c.png",)), picture)
    two = take("a.png", views=("b.png",))
    monkeypatch.setattr(limits, "INPUT_BYTES", 150)
    with pytest.raises(InvalidTake, match=r"a\.png and its files are 0 MiB"):
        input_files(two, picture)
    monkeypatch.setattr(limits, "FILE_BYTES", 50)
    with pytest.raises(InvalidTake, match=r"a\.png is .* MiB"):
        input_files(two, picture)
    monkeypatch.setattr(limits, "FILE_BYTES", 100)
    monkeypatch.setattr(limits, "INPUT_FILES", 1)
    with pytest.raises(InvalidTake, match="2 files; at most 1"):
        input_files(two, picture)
    (tmp_path / "transforms.json").write_bytes(b"{}")
    with pytest.raises(InvalidTake, match="no list of cameras"):
        input_files(take("transforms.json"), tmp_path / "transforms.json")


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        ({"video_frames": 3}, "3 frames of the video"),
        ({"metres_per_unit": 0.0}, "metres per unit is 0"),
        ({"views": ("b.png", "b.png")}, "named twice"),
        ({"views": ("b.png",), "depth": "a.exr"}, "keep one of the two"),
        ({"views": ("../b.png",)}, r"'\.\./b\.png' must lie beside"),
        ({"views": ("/etc/b.png",)}, r"'/etc/b\.png' must lie beside"),
        ({"up": (0.0, 0.0, 0.0)}, "direction up has no length"),
        ({"view": SplatView(UNIT, width=8)}, "8 x 480 pixels"),
        ({"view": SplatView(UNIT, 0.5)}, "opens 0.5 degrees"),
        ({"view": SplatView((2.0, *UNIT[1:]))}, "scaled or sheared"),
    ],
)
def test_scene_settings_that_cannot_be(scene: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidTake, match=sentence):
        validate(take("a.png", **scene))


def test_a_look_needs_no_object() -> None:
    bare = Take("t", "scan.ply", ())
    validate(bare, look=True)
    with pytest.raises(InvalidTake, match="no object"):
        validate(bare)
