"""A scene of one picture is filmed from its sides, painted by a refiner, and takes the colours of what was painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from perpetua import registry
from perpetua.errors import CaptureError
from perpetua.jobs.overall import VIEW_MAKER_WEIGHTS
from perpetua.loop.bake import reconstruct
from perpetua.loop.resume import Stage, StageStore
from perpetua.loop.turn_around import arc, camera_flow, film_along, painted_from_its_sides
from perpetua.progress import Progress
from perpetua.refine import check
from perpetua.refine.none import NoRefiner
from perpetua.scene import Camera, Scene
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import SceneSettings, Take, ViewMaker, validate

WIDTH = 96


class Redder(NoRefiner):
    """Paints everything redder than it was filmed."""

    seen: list[str] = []  # noqa: RUF012 - one for all, as the loop makes them itself
    ways: list[tuple[Camera, ...]] = []  # noqa: RUF012

    def refine(self, video, context, memory, progress):
        self.seen.append(video.camera.name)
        self.ways.append(video.cameras)
        return (video.rgb * [1.0, 0.7, 0.7]).astype(np.float32)


@pytest.fixture(scope="module")
def shot(take: Take) -> Take:
    maker = ViewMaker("redder", {}, degrees=30.0, frames=9)
    quality = msgspec.structs.replace(take.quality, width=WIDTH, splat_width=WIDTH, particles=300)
    scene = msgspec.structs.replace(take.scene, view_maker=maker)
    return msgspec.structs.replace(take, quality=quality, scene=scene)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> StageStore:
    return StageStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def coarse(shot: Take, picture: Path, stages: StageStore) -> Stage:
    plain = msgspec.structs.replace(shot.scene, view_maker=ViewMaker())
    return reconstruct(msgspec.structs.replace(shot, scene=plain), picture, stages, Progress())


def test_flow_is_where_points_go() -> None:
    K = np.array([[80.0, 0, 32], [0, 80.0, 24], [0, 0, 1]])
    camera = Camera(K, np.eye(4), 64, 48)
    after = replace(
        camera, world_to_camera=np.array([[1.0, 0, 0, -0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    )
    flow = camera_flow(np.full((48, 64), 2.0, np.float32), camera, after)
    np.testing.assert_allclose(flow[..., 0], -80 * 0.1 / 2, atol=1e-5)
    np.testing.assert_allclose(flow[..., 1], 0, atol=1e-5)


def test_the_film_begins_with_the_picture_and_goes_around(coarse: Stage) -> None:
    scene = Scene.load(coarse.folder)
    cameras = arc(scene, 30.0, 4, WIDTH)
    video = film_along(scene, cameras, frozenset({"flow", "masks"}), Progress())
    height = cameras[0].height
    assert video.rgb.shape == (4, height, WIDTH, 3)
    assert video.masks.shape == (4, height, WIDTH, 1)
    assert video.flow.shape == (3, height, WIDTH, 2)
    own, picture = scene.camera.resized(WIDTH), video.rgb[0]
    np.testing.assert_array_equal(cameras[0].world_to_camera, own.world_to_camera)
    assert np.abs(picture.mean((0, 1)) - scene.picture.mean((0, 1)) / 255).max() < 0.03
    away = [np.linalg.norm((c.position - scene.centre)[:2]) for c in cameras]
    np.testing.assert_allclose(away, away[0])
    ahead, last = (
        c.world_to_camera[2, :2] / np.linalg.norm(c.world_to_camera[2, :2]) for c in (own, cameras[-1])
    )
    assert np.degrees(np.arccos(ahead @ last)) == pytest.approx(30)


def test_the_scene_looks_as_it_was_painted(
    shot: Take, coarse: Stage, stages: StageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.PARTS["refiner"], "redder", "unused:Redder")
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: Redder if name == "redder" else load(kind, name))
    Redder.seen.clear()
    said: list[str] = []
    listen = Progress(lambda stage, _, __: said.append(stage))
    made = painted_from_its_sides(shot, coarse, stages, listen, steps=40)
    assert {"film turn_left", "film turn_right", "repaint"} <= set(said) <= set(VIEW_MAKER_WEIGHTS)
    assert Redder.seen == ["turn_left", "turn_right"]
    assert [len(way) for way in Redder.ways] == [9, 9], "who paints is told where each frame was taken from"
    assert not np.allclose(Redder.ways[0][-1].position, Redder.ways[1][-1].position)
    before, after = Scene.load(coarse.folder), Scene.load(made.folder)
    np.testing.assert_array_equal(after.foreground.means, before.foreground.means)
    np.testing.assert_array_equal(after.particles.positions, before.particles.positions)
    shadows = slice(before.binding.carried, None)
    np.testing.assert_array_equal(after.foreground.sh[shadows], before.foreground.sh[shadows])

    def greens(scene: Scene, camera: Camera) -> float:
        return float(film_along(scene, [camera], frozenset(), Progress()).rgb[..., 1].mean())

    side = arc(before, 30.0, 9, WIDTH)[-1]
    assert greens(after, side) < 0.9 * greens(before, side), "the side is painted"
    front = before.camera.resized(WIDTH)
    assert greens(after, front) > 0.8 * greens(before, front), (
        "the picture holds its own against what is painted"
    )
    Redder.seen.clear()
    assert painted_from_its_sides(shot, coarse, stages, Progress(), steps=40).found
    assert Redder.seen == []


@pytest.mark.parametrize("family", ["wan_vace", "sana_wm"])
def test_a_video_model_turns_around_an_object(
    family: str,
    shot: Take,
    coarse: Stage,
    stages: StageStore,
    checkpoint: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a picture to painted splats by models' own classes, at random weights: what they paint is no picture, but it arrives."""
    monkeypatch.setattr(check, "SAME_SCENE", -1.0)
    options = {"model": checkpoint(family), "steps": 2, "strength": 1.0, "guidance": 1.0, "width": 64}
    maker = ViewMaker(family, options, degrees=30.0, frames=9)
    scene = msgspec.structs.replace(shot.scene, view_maker=maker)
    take = msgspec.structs.replace(shot, scene=scene)
    made = painted_from_its_sides(take, coarse, stages, Progress(), steps=40)
    before, after = Scene.load(coarse.folder), Scene.load(made.folder)
    np.testing.assert_array_equal(after.particles.positions, before.particles.positions)
    assert np.isfinite(after.foreground.sh.numpy()).all()
    for degrees in (30.0, -30.0):
        side = arc(before, degrees, 9, WIDTH)[-1]
        old, new = (film_along(each, [side], frozenset(), Progress()).rgb for each in (before, after))
        assert np.abs(new - old).mean() > 0.01, "the side is painted"
    assert painted_from_its_sides(take, coarse, stages, Progress(), steps=40).found


def test_a_refiner_that_plays_physics_is_refused(shot: Take, coarse: Stage, stages: StageStore) -> None:
    scene = msgspec.structs.replace(shot.scene, view_maker=ViewMaker("teacher", {}, 30.0, 9))
    with pytest.raises(CaptureError, match="choose a video model, or files"):
        painted_from_its_sides(msgspec.structs.replace(shot, scene=scene), coarse, stages, Progress())


def test_a_capture_needs_no_view_maker(
    shot: Take, stages: StageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perpetua.loop import bake

    class Around:
        reconstructor, files = "views", ()

        def reconstruct(self, take, progress):
            raise AssertionError("refused before the work begins")

    monkeypatch.setattr(bake, "open_source", lambda picture, take: Around())
    with pytest.raises(CaptureError, match="leave view_maker out"):
        reconstruct(shot, Path("transforms.json"), stages, Progress())


def test_arcs_that_show_nothing_of_the_picture_are_refused(take: Take) -> None:
    scene = SceneSettings(view_maker=ViewMaker("files", degrees=120.0))
    with pytest.raises(InvalidTake, match="5 to 80 degrees"):
        validate(msgspec.structs.replace(take, scene=scene))
