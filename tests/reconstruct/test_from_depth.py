"""One picture with its depth: the table and the fronts are measured, and side views look like the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_captures import Ball, Box, looking, seen_by
from PIL import Image

from perpetua.errors import CaptureError, PerpetuaError, SegmentationError
from perpetua.exr import write_exr_depth
from perpetua.progress import Progress
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.from_depth import DepthReconstructor
from perpetua.reconstruct.source import open_source
from perpetua.render import render_layers
from perpetua.scene import Camera, Gaussians, Scene
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Quality, SceneSettings, Take

SOLIDS: dict = {"ball": [Ball((-0.06, 0.0, 0.05), 0.05)], "box": [Box((0.05, -0.03, 0), (0.13, 0.04, 0.05))]}
AT = np.array([0.02, 0.0, 0.04])
FRONT = looking(np.array([0.02, -0.55, 0.22]), AT, 160, 120)


def take_of(*things: ObjectSpec, **settings) -> Take:
    known = SceneSettings(horizontal_fov_degrees=40.0, **settings)
    return Take("t", "p.png", things, scene=known, quality=Quality(particles=900, splat_width=160))


def marked(name: str, place: tuple[float, float, float], material: str = "clay") -> ObjectSpec:
    pixel = FRONT.project(np.array([place]))[0][0]
    return ObjectSpec(name, (Click(*(float(v) for v in pixel)),), material=MaterialSpec(material))


BALL, BOX = marked("ball", (-0.06, -0.04, 0.05)), marked("box", (0.09, -0.03, 0.03))


@pytest.fixture(scope="module")
def picture() -> Picture:
    view = seen_by(FRONT, "p.png", SOLIDS)
    return Picture(view.rgb, 1.0, None, Path("p.png"), view.depth)


@pytest.fixture(scope="module")
def scene(picture: Picture) -> Scene:
    return DepthReconstructor().reconstruct(picture, take_of(BALL, BOX), Progress())


def test_the_camera_and_the_scale_are_measured(scene: Scene) -> None:
    position = scene.camera.position
    assert position[2] == pytest.approx(0.22, abs=0.002)
    # The world's origin is below the ball, whose back is guessed.
    np.testing.assert_allclose(position[:2], [0.08, -0.55], atol=0.02)
    assert scene.camera.world_to_camera[2, 2] == pytest.approx(FRONT.world_to_camera[2, 2], abs=0.005)


@pytest.mark.parametrize("degrees", [-20.0, 20.0])
def test_side_views_look_like_the_truth(scene: Scene, degrees: float) -> None:
    side = FRONT.orbited(degrees, AT, "side", "side")
    truth = seen_by(side, "side", SOLIDS).rgb / 255.0
    pose = side.world_to_camera @ FRONT.camera_to_world @ scene.camera.world_to_camera
    camera = Camera(side.K, pose, side.width, side.height)
    ours = render_layers(Gaussians.cat([scene.background, scene.foreground]), camera).rgb.clamp(0, 1).numpy()
    assert -10 * np.log10(((ours - truth) ** 2).mean()) > 21  # dB; the table's stripes are a few pixels wide


def test_a_ball_is_as_deep_as_it_is_wide(scene: Scene) -> None:
    ball = scene.bodies[0].vertices
    assert np.ptp(ball, axis=0) == pytest.approx([0.1, 0.1, 0.1], rel=0.25)
    assert ball[:, 2].max() == pytest.approx(0.1, rel=0.05)
    front = ball[:, 1].min() - scene.camera.position[1]
    assert front == pytest.approx(0.55 - 0.05, abs=0.004)


def test_the_box_ends_on_the_table(scene: Scene) -> None:
    box = scene.bodies[1].vertices
    assert box[:, 2].min() == pytest.approx(0.0, abs=0.003)
    assert np.ptp(box[:, 0]) == pytest.approx(0.08, rel=0.15)


@pytest.mark.parametrize(
    ("axis", "said"),
    [(1, "mirrored left to right|Nothing rises"), (0, "mirrored upside down|No table|Nothing rises")],
)
def test_mirrored_depth_is_refused(picture: Picture, axis: int, said: str) -> None:
    turned = replace(picture, depth=np.ascontiguousarray(np.flip(picture.depth, axis)))
    with pytest.raises(PerpetuaError, match=said):
        DepthReconstructor().reconstruct(turned, take_of(BALL), Progress())


def test_a_click_on_the_table_is_refused(picture: Picture) -> None:
    with pytest.raises(SegmentationError, match="Nothing rises above the table where 'ball' is marked"):
        DepthReconstructor().reconstruct(picture, take_of(marked("ball", (0.0, -0.2, 0.0))), Progress())


def test_depth_in_another_unit_is_refused(picture: Picture) -> None:
    millimetres = replace(picture, depth=picture.depth * np.float32(1000))
    with pytest.raises(CaptureError, match=r"m above the table\. Write depth in metres"):
        DepthReconstructor().reconstruct(millimetres, take_of(BALL), Progress())


def test_an_object_that_depth_misses_is_named(picture: Picture) -> None:
    click = BALL.clicks[0]
    missed = picture.depth.copy()
    missed[int(click.y) - 15 : int(click.y) + 15, int(click.x) - 15 : int(click.x) + 15] = np.inf
    with pytest.raises(CaptureError, match="holds nothing where 'ball' is clicked"):
        DepthReconstructor().reconstruct(replace(picture, depth=missed), take_of(BALL), Progress())


def test_a_picture_opens_with_the_depth_beside_it(picture: Picture, tmp_path) -> None:
    Image.fromarray(picture.rgb).save(tmp_path / "p.png")
    write_exr_depth(tmp_path / "far.exr", picture.depth[::2, ::2])
    source = open_source(tmp_path / "p.png", take_of(BALL, depth="far.exr"))
    assert source.reconstructor == "depth"
    assert [path.name for path in source.files] == ["p.png", "far.exr"]
    assert source.given.depth.shape == (120, 160)
    assert open_source(tmp_path / "p.png", take_of(BALL)).reconstructor == "embedded"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../far.exr", "must lie beside the picture"),
        ("none.exr", "no depth map"),
        ("wide.exr", "of another shape"),
    ],
)
def test_depth_that_does_not_belong_is_refused(picture: Picture, tmp_path, name: str, said: str) -> None:
    Image.fromarray(picture.rgb).save(tmp_path / "p.png")
    write_exr_depth(tmp_path / "wide.exr", picture.depth[:60])
    with pytest.raises(CaptureError, match=said):
        open_source(tmp_path / "p.png", take_of(BALL, depth=name))
