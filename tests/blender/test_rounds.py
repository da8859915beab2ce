"""Rounds and takes: what a change outdates and what it does not, branches, comparing, refiner options, resuming."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import bpy
import msgspec
import numpy as np
import pytest
from bl_ext.user_default.perpetua import (
    dependencies,
    panels,
    playback,
    point_cloud,
    round_status,
    suggestions,
    take_builder,
    takes,
)
from keys import key
from toy_cache import exchange, write_cache

from perpetua_protocol.cache import Cache, Finding, Suggestion, read_meta
from perpetua_protocol.take import RefinerSpec

Scene = bpy.types.Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A picture with an object and rounds of 4, 3 and 5 frames; a keyed push in the second, a wind in the third."""
    image = bpy.data.images.new("picture", 64, 36)
    image.filepath_raw = str(tmp_path / "ball.png")
    image.file_format = "PNG"
    image.save()
    made = bpy.context.scene
    bpy.ops.perpetua.open_picture(filepath=str(tmp_path / "ball.png"))
    bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    for frames in (4, 3, 5):
        bpy.ops.perpetua.add_round(frames=frames)
    bpy.ops.perpetua.add_push(name="Thumb", start=5, end=8)
    thumb = made.perpetua.forces[0].object
    for frame, newtons in ((5, 0.0), (8, 20.0)):
        thumb["perpetua_force"] = newtons
        thumb.keyframe_insert('["perpetua_force"]', frame=frame)
    bpy.ops.perpetua.add_wind(name="Gust", start=8, end=13)
    return made


def baked(scene: Scene, folder: Path) -> None:
    """As after a bake of all rounds."""
    meta = playback.attach(scene, write_cache(folder, rounds=tuple(r.frames for r in scene.perpetua.rounds)))
    round_status.note(folder, meta, dependencies.fingerprints(scene))


def thumb(scene: Scene) -> bpy.types.Object:
    return scene.perpetua.forces[0].object


def move_thumbs_parent(scene: Scene) -> None:
    thumb(scene).parent.location.x = 0.2


CHANGES: dict[str, tuple[Callable[[Scene], object], int | None]] = {
    "nothing": (lambda s: None, None),
    "the current frame": (lambda s: s.frame_set(7), None),
    "how it is shown": (lambda s: setattr(s.perpetua, "density", 0.5), None),
    "a force that is chosen": (lambda s: setattr(s.perpetua, "force_index", 0), None),
    "the picture": (lambda s: os.utime(bpy.path.abspath(s.perpetua.picture), (1, 1)), 0),
    "the material": (lambda s: setattr(s.perpetua.things[0], "material", "jelly"), 0),
    "a click": (lambda s: bpy.ops.perpetua.add_click(name="ball", x=1, y=1, inside=False), 0),
    "the seed": (lambda s: setattr(s.perpetua, "seed", 3), 0),
    "the refiner": (lambda s: setattr(s.perpetua, "refiner", "files"), 1),
    "gravity": (lambda s: setattr(s, "gravity", (0, 0, -1.6)), 1),
    "the frame rate": (lambda s: setattr(s.render, "fps", 30), 1),
    "the first round's length": (lambda s: setattr(s.perpetua.rounds[0], "frames", 6), 1),
    "a force's place": (lambda s: setattr(thumb(s), "location", (1, 0, 0)), 2),
    "a force's parent": (move_thumbs_parent, 2),
    "a force's key": (lambda s: setattr(key(thumb(s), 0, 1), "co", (8, 9)), 2),
    "a force that is off": (lambda s: setattr(s.perpetua.forces[0], "enabled", False), 2),
    "a force's end": (lambda s: thumb(s).__setitem__("perpetua_end", 7), 2),
    "a force's objects": (lambda s: setattr(s.perpetua.forces[0], "targets", "ball"), 2),
    "a round's draw": (lambda s: setattr(s.perpetua.rounds[1], "draw", 1), 2),
    "a collection that alone acts": (lambda s: setattr(s.perpetua, "effectors", bpy.data.collections.new("acting")), 2),
    "a round's refiner": (lambda s: setattr(s.perpetua.rounds[1], "use_refiner", True), 2),
    "a field's strength": (lambda s: setattr(s.perpetua.forces[1].object.field, "strength", 9), 3),
    "a field's falloff": (lambda s: setattr(s.perpetua.forces[1].object.field, "falloff_power", 2), 3),
    "a force of later": (lambda s: bpy.ops.perpetua.add_force(kind="drag", start=100, end=120), None),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_outdates_what_comes_of_it_and_no_more(scene: Scene, tmp_path: Path, change: str) -> None:
    parent = bpy.data.objects.new("hand", None)
    scene.collection.objects.link(parent)
    thumb(scene).parent = parent
    bpy.context.view_layer.update()
    baked(scene, tmp_path / "cache")
    assert round_status.statuses(scene) == ["baked"] * 4
    make, first = CHANGES[change]
    make(scene)
    bpy.context.view_layer.update()
    expected = ["baked"] * 4 if first is None else ["baked"] * first + ["outdated"] * (4 - first)
    assert round_status.statuses(scene) == expected
    assert round_status.first_to_bake(expected) == first


def test_a_change_taken_back_is_no_change(scene: Scene, tmp_path: Path) -> None:
    baked(scene, tmp_path / "cache")
    thumb(scene).location.x += 1.0
    assert "outdated" in round_status.statuses(scene)
    thumb(scene).location.x -= 1.0
    assert round_status.statuses(scene) == ["baked"] * 4


def test_rounds_that_are_not_there_or_not_known(scene: Scene, tmp_path: Path) -> None:
    assert round_status.statuses(scene) == ["unbaked"] * 4
    playback.attach(scene, write_cache(tmp_path / "from_elsewhere", rounds=(4, 3)))
    assert round_status.statuses(scene) == ["baked", "baked", "baked", "unbaked"]
    assert panels.bake.bake_text(scene) == "Bake Round 3"
    (tmp_path / "from_elsewhere" / round_status.FILE).write_bytes(b"{ damaged")
    assert round_status.statuses(scene)[:3] == ["baked"] * 3


def test_rounds_whose_files_are_deleted_are_not_baked(scene: Scene, tmp_path: Path) -> None:
    baked(scene, tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache" / "round_002")
    assert round_status.statuses(scene) == ["baked", "baked", "unbaked", "baked"]
    shutil.rmtree(tmp_path / "cache")
    assert round_status.statuses(scene) == ["unbaked"] * 4


def test_the_button_says_what_a_bake_would_do(scene: Scene, tmp_path: Path) -> None:
    assert panels.bake.bake_text(scene) == "Bake"
    baked(scene, tmp_path / "cache")
    assert panels.bake.bake_text(scene) == "All Is Baked"
    thumb(scene).location.x += 1.0
    assert panels.bake.bake_text(scene) == "Bake Rounds 2 - 3"


def test_refiners_and_their_options_reach_the_take(scene: Scene) -> None:
    scene.perpetua.refiner = "wan"
    for name, value in (("prompt", "clay, pressed"), ("steps", "12"), ("strength", "0.5"), ("tiled", "True")):
        bpy.ops.perpetua.add_option(name=name, value=value)
    scene.perpetua.rounds[1].use_refiner = True
    scene.perpetua.rounds[1].refiner = "wan"
    bpy.ops.perpetua.add_option(round=1, name="seed", value="3")
    take = take_builder.build_take(scene, 3)
    assert take.refiner == RefinerSpec(
        "wan", {"prompt": "clay, pressed", "steps": 12, "strength": 0.5, "tiled": True}
    )
    assert [r.refiner for r in take.rounds] == [None, RefinerSpec("wan", {"seed": 3}), None]
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.perpetua.add_option(name="steps")
    bpy.ops.perpetua.remove_option(round=1, name="seed")
    assert len(scene.perpetua.rounds[1].options) == 0


def test_only_forces_of_the_effector_collection_act(scene: Scene) -> None:
    acting = bpy.data.collections.new("acting")
    scene.collection.children.link(acting)
    scene.perpetua.effectors = acting
    assert [len(r.actions) for r in take_builder.build_take(scene, 3).rounds] == [0, 0, 0]
    acting.objects.link(scene.perpetua.forces[1].object)
    assert [len(r.actions) for r in take_builder.build_take(scene, 3).rounds] == [0, 0, 1]
    scene.perpetua.picture = bpy.path.abspath(scene.perpetua.picture)
    bpy.ops.perpetua.branch_take(name="gentle")
    made = bpy.data.scenes["gentle"]
    assert [len(r.actions) for r in take_builder.build_take(made, 3).rounds] == [0, 0, 1], (
        "the same in a branch"
    )


def test_what_the_videos_say_can_be_used(scene: Scene, tmp_path: Path) -> None:
    scene.perpetua.identify = "offer"
    assert take_builder.build_take(scene, 1).identify == "offer"
    folder = write_cache(tmp_path / "cache", rounds=(4, 3, 5))
    meta = read_meta(folder)
    findings = [
        Finding("ball", "youngs_modulus", 12_000.0, 11_000.0, 13_000.0, 15_000.0, "Pa"),
        Finding("", "wind", 2.0, 1.5, 2.5, 0.0, "m/s\u00b2", (1.0, 0.0, 0.0)),
        Finding("ball", "friction", 0.4, 0.2, 0.6, 0.4, ""),
    ]
    said = msgspec.structs.replace(meta.rounds[2], suggestion=Suggestion(findings, 0.4, 12))
    rounds = [*meta.rounds[:2], said, meta.rounds[3]]
    exchange(folder / "meta.json", msgspec.json.encode(msgspec.structs.replace(meta, rounds=rounds)))
    playback.attach(scene, folder)
    assert suggestions.of_round(scene, 1) is None
    found = suggestions.of_round(scene, 2)
    assert [suggestions.in_words(finding) for finding in found.findings] == [
        "ball: Stiffness 1.2e+04 \u00b1 1e+03 Pa, not 1.5e+04",
        "Wind 2 \u00b1 0.5 m/s\u00b2, not 0",
        "ball: Friction 0.4, as it was",
    ]
    bpy.ops.perpetua.use_suggestion(round=2, index=0)
    assert take_builder.build_take(scene, 0).objects[0].material.youngs_modulus == 12_000.0
    with pytest.raises(RuntimeError, match="add one with the button Wind"):
        bpy.ops.perpetua.use_suggestion(round=2, index=1)
    with pytest.raises(RuntimeError, match="suggest nothing"):
        bpy.ops.perpetua.use_suggestion(round=1, index=0)


def test_a_branch_shares_its_first_rounds_and_nothing_else(scene: Scene, tmp_path: Path) -> None:
    baked(scene, tmp_path / "cache")
    before = take_builder.build_take(scene, 3)
    bpy.ops.perpetua.branch_take(name="gentle", after_round=2)
    other = bpy.data.scenes["gentle"]
    assert set(takes.takes_of(scene)) == {scene, other}
    assert [r.frames for r in other.perpetua.rounds] == [4, 3]
    assert [entry.object.name.split(".")[0] for entry in other.perpetua.forces] == ["Thumb"]
    branched = take_builder.build_take(other, 2)
    assert branched.rounds[0] == before.rounds[0]
    names = {action.name for action in branched.rounds[1].actions}
    assert names == {"Thumb.001"}
    assert round_status.statuses(other)[:2] == ["baked"] * 2
    # its own force moves alone
    other.perpetua.forces[0].object.location.x += 1.0
    assert take_builder.build_take(scene, 3) == before
    assert round_status.statuses(scene) == ["baked"] * 4
    # and it plays by itself
    assert other.perpetua.splats != scene.perpetua.splats
    assert not set(playback.collection(other).objects) & set(playback.collection(scene).objects)
    with pytest.raises(RuntimeError, match="There is a take 'gentle' already"):
        bpy.ops.perpetua.branch_take(name="gentle")


def test_two_scenes_play_their_own_frames_and_compare(scene: Scene, tmp_path: Path) -> None:
    baked(scene, tmp_path / "cache")
    bpy.ops.perpetua.branch_take(name="gentle")
    other = bpy.data.scenes["gentle"]
    second = write_cache(tmp_path / "second", foreground=31, rounds=(4, 3), seed=5)
    playback.attach(other, second)
    scene.perpetua.compared = other
    scene.perpetua.compare_distance = 0.25
    for number in (0, 6, 11):
        scene.frame_set(scene.frame_start + number)
        shown = point_cloud.read_attributes(scene.perpetua.compared_splats.data)
        np.testing.assert_array_equal(shown["position"], Cache(second).frame(number)["position"])
        own = point_cloud.read_attributes(scene.perpetua.splats.data)
        np.testing.assert_array_equal(own["position"], Cache(tmp_path / "cache").frame(number)["position"])
    assert scene.perpetua.compared_splats.location.length == pytest.approx(0.25)
    scene.perpetua.compared = None
    assert scene.perpetua.compared_splats is None
    assert not [o for o in bpy.data.objects if o.name.startswith(playback.COMPARED)]


def test_a_take_that_is_compared_goes_with_its_scene(scene: Scene, tmp_path: Path) -> None:
    baked(scene, tmp_path / "cache")
    bpy.ops.perpetua.branch_take(name="gentle")
    scene.perpetua.compared = other = bpy.data.scenes["gentle"]
    playback.compare(scene)
    bpy.data.scenes.remove(other)
    scene.frame_set(3)
    assert not [o for o in scene.objects if o.name.startswith(playback.COMPARED)]


def test_asking_how_rounds_stand_evaluates_nothing(scene: Scene, tmp_path: Path) -> None:
    """A panel asks in every drawing, so no frame may be set."""
    baked(scene, tmp_path / "cache")
    seen: list[int] = []
    bpy.app.handlers.frame_change_pre.append(lambda s, *_: seen.append(s.frame_current))
    try:
        assert round_status.statuses(scene) == ["baked"] * 4
    finally:
        bpy.app.handlers.frame_change_pre.pop()
    assert seen == []
