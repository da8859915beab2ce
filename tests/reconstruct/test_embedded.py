"""One picture becomes a scene that looks like the picture, holds together from the side, and says no in a sentence."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perpetua.errors import CameraError, Cancelled, MaterialError, ReconstructionError, SegmentationError
from perpetua.progress import Progress
from perpetua.reconstruct.embedded import EmbeddedReconstructor
from perpetua.reconstruct.picture import load_picture
from perpetua.registry import load
from perpetua.render import render_layers
from perpetua.scene import Camera, Gaussians, Scene, deform
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Quality, SceneSettings, Take

SMALL = Quality(particles=800, splat_width=320)


def take_of(still_life, **changes) -> Take:
    thing = ObjectSpec("ball", (Click(*still_life.click),), material=MaterialSpec("clay"), height=0.1)
    known = SceneSettings(horizon_y=still_life.horizon_y)
    return Take("t", "p.png", **{"objects": (thing,), "scene": known, "quality": SMALL, **changes})


@pytest.fixture(scope="module")
def scene(still_life) -> Scene:
    return EmbeddedReconstructor().reconstruct(still_life.picture, take_of(still_life), Progress())


def seen(scene: Scene, camera: Camera) -> NDArray[np.float32]:
    return render_layers(Gaussians.cat([scene.background, scene.foreground]), camera).rgb.clamp(0, 1).numpy()


def psnr(scene: Scene, width: int) -> float:
    camera = scene.camera.resized(width)
    target = cv2.resize(scene.picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA) / 255.0
    return float(-10 * np.log10(((seen(scene, camera) - target) ** 2).mean()))


def test_it_is_registered() -> None:
    assert load("reconstructor", "embedded") is EmbeddedReconstructor


def test_the_scene_is_the_picture(scene: Scene) -> None:
    assert psnr(scene, 320) >= 32


def test_the_scene_has_the_objects_size_and_place(scene: Scene, still_life) -> None:
    body = scene.bodies[0]
    low, high = body.vertices.min(0), body.vertices.max(0)
    assert np.ptp(body.vertices[:, 2]) == pytest.approx(0.1, rel=1e-6)
    assert low[2] == pytest.approx(0.0, abs=1e-3)
    np.testing.assert_allclose((low + high)[:2] / 2, 0.0, atol=0.01)
    unit = 0.1 / (2 * still_life.radius)  # the ball is 0.6 camera heights tall
    np.testing.assert_allclose(
        scene.camera.position, [0, -still_life.distance * unit, unit], atol=0.06 * still_life.distance * unit
    )
    assert scene.centre[2] == pytest.approx(0.05, abs=1e-6)


def test_contracts(scene: Scene, still_life) -> None:
    height, width = still_life.matte.shape
    assert scene.picture.shape == (height, width, 3)
    assert scene.matte.shape == (height, width)
    assert scene.matte.dtype == np.float32
    assert (scene.camera.width, scene.camera.height) == (width, height)
    for splats in (scene.background, scene.foreground):
        for f in fields(Gaussians):
            value = getattr(splats, f.name)
            assert value.dtype == torch.float32
            assert bool(torch.isfinite(value).all()), f.name
    assert scene.particles.body.dtype == np.int32
    assert scene.particles.positions.dtype == np.float32
    assert len(scene.particles) == pytest.approx(SMALL.particles, rel=0.05)
    assert scene.particles.positions[:, 2].min() >= 0.49 * scene.spacing
    assert len(scene.background) < 250_000
    assert len(scene.foreground) < 60_000


def test_the_binding_leaves_the_splats_where_they_are(scene: Scene) -> None:
    F = torch.eye(3).expand(len(scene.particles), 3, 3)
    moved = deform(scene.foreground, scene.binding, torch.from_numpy(scene.particles.positions), F)
    assert float((moved.means - scene.foreground.means).abs().max()) < 1e-6


def test_only_the_resting_ball_has_a_shadow(scene: Scene) -> None:
    assert 100 < len(scene.binding.ground) < 8000
    assert set(scene.binding.ground.tolist()) == {0}
    below = scene.foreground[scene.binding.carried :]
    assert float(below.means[:, 2].abs().max()) < 0.01  # of a ball 0.1 m high


@pytest.mark.parametrize("degrees", [-30.0, 30.0])
def test_side_views_have_no_holes_and_a_round_object(scene: Scene, degrees: float) -> None:
    camera = scene.camera.orbited(degrees, scene.centre, "side", "side").resized(240)
    whole = render_layers(Gaussians.cat([scene.background, scene.foreground]), camera)
    assert float(whole.alpha.min()) > 0.97
    ball = scene.foreground[: scene.binding.carried]
    front = render_layers(ball, scene.camera.resized(240)).alpha.numpy() > 0.5
    side = render_layers(ball, camera).alpha.numpy() > 0.5
    assert side.sum() == pytest.approx(front.sum(), rel=0.12)  # a ball looks alike from everywhere
    filled = side.astype(np.uint8)
    assert cv2.morphologyEx(filled, cv2.MORPH_CLOSE, np.ones((5, 5))).sum() < 1.02 * filled.sum()


def test_the_objects_back_is_coloured_like_the_object(scene: Scene) -> None:
    camera = scene.camera.orbited(150.0, scene.centre, "behind", "side").resized(240)
    frame = render_layers(scene.foreground, camera)
    rgb = frame.rgb[frame.alpha > 0.95].mean(0)
    assert float(rgb[0] - rgb[1]) > 0.2  # red


def test_matter_is_inside(scene: Scene) -> None:
    """Cut in two, the ball shows matter rather than void."""
    ball = scene.foreground[: scene.binding.carried]
    near = ball.means[:, 1] < 0
    half = ball[~near]
    frame = render_layers(half, scene.camera.resized(240))
    whole = render_layers(ball, scene.camera.resized(240))
    assert float(frame.alpha.sum() / whole.alpha.sum()) > 0.9


def test_sub_gaussians_follow_the_quality(still_life, scene: Scene) -> None:
    quality = Quality(particles=800, splat_width=320, sub_gaussians=3)
    more = EmbeddedReconstructor().reconstruct(
        still_life.picture, take_of(still_life, quality=quality), Progress()
    )
    assert len(more.foreground) - len(scene.foreground) == 2 * len(scene.particles)


def test_the_same_scene_twice(still_life, scene: Scene) -> None:
    again = EmbeddedReconstructor().reconstruct(still_life.picture, take_of(still_life), Progress())
    for name in ("background", "foreground"):
        for f in fields(Gaussians):
            assert torch.equal(
                getattr(getattr(again, name), f.name), getattr(getattr(scene, name), f.name)
            ), f.name
    np.testing.assert_array_equal(again.particles.positions, scene.particles.positions)


def test_two_objects_one_hanging(still_life) -> None:
    """A disc painted on the wall is taken to hang above the table, at the ball's distance."""
    rgb = still_life.picture.rgb.copy()
    cv2.circle(rgb, (330, 55), 26, (40, 60, 170), -1, cv2.LINE_AA)
    picture = type(still_life.picture)(rgb, 1.0, None, Path("two.png"))
    things = (
        ObjectSpec("disc", (Click(330, 55),), material=MaterialSpec("wood"), resting=False),
        ObjectSpec("ball", (Click(*still_life.click),), material=MaterialSpec("clay"), height=0.1),
    )
    scene = EmbeddedReconstructor().reconstruct(picture, take_of(still_life, objects=things), Progress())
    assert [body.name for body in scene.bodies] == ["disc", "ball"]
    disc, ball = scene.bodies
    assert not disc.resting
    assert disc.vertices[:, 2].min() > 0.05
    assert disc.vertices[:, 1].mean() == pytest.approx(ball.vertices[:, 1].mean(), abs=0.01)
    np.testing.assert_allclose((ball.vertices.min(0) + ball.vertices.max(0))[:2] / 2, 0.0, atol=0.01)
    assert set(np.unique(scene.particles.body)) == {0, 1}
    assert (np.diff(scene.particles.body) >= 0).all()
    carried = scene.binding.carried
    bound = scene.particles.body[scene.binding.particle.numpy()[:carried]]
    blue = (scene.foreground.colors[:carried, 2] - scene.foreground.colors[:carried, 0]).numpy()
    assert (blue[bound == 0] > 0).mean() > 0.98  # every splat hangs on its own body
    assert (blue[bound == 1] < 0).mean() > 0.98


def test_only_a_hanging_object(still_life) -> None:
    thing = ObjectSpec("ball", (Click(*still_life.click),), resting=False)
    scene = EmbeddedReconstructor().reconstruct(
        still_life.picture, take_of(still_life, objects=(thing,)), Progress()
    )
    assert scene.bodies[0].vertices[:, 2].min() > 0


def test_particle_spacing_in_metres(still_life) -> None:
    known = SceneSettings(horizon_y=still_life.horizon_y, particle_spacing=0.012)
    scene = EmbeddedReconstructor().reconstruct(
        still_life.picture, take_of(still_life, scene=known), Progress()
    )
    assert scene.spacing == pytest.approx(0.012)
    volume = 4 / 3 * np.pi * 0.05**3
    assert len(scene.particles) == pytest.approx(volume / 0.012**3, rel=0.2)


def test_the_scene_can_be_kept(scene: Scene, tmp_path: Path) -> None:
    scene.save(tmp_path)
    kept = Scene.load(tmp_path)
    assert torch.equal(kept.foreground.means, scene.foreground.means)


def test_it_reports_and_stops(still_life) -> None:
    said: list[str] = []
    EmbeddedReconstructor().reconstruct(
        still_life.picture, take_of(still_life), Progress(lambda stage, fraction, text: said.append(text))
    )
    assert any("ball" in text for text in said)
    with pytest.raises(Cancelled):
        EmbeddedReconstructor().reconstruct(
            still_life.picture, take_of(still_life), Progress(cancelled=lambda: True)
        )


def test_refusals_come_through(still_life) -> None:
    ball = ObjectSpec("ball", (Click(*still_life.click),))

    def build(**changes) -> Scene:
        return EmbeddedReconstructor().reconstruct(
            still_life.picture, take_of(still_life, **changes), Progress()
        )

    with pytest.raises(SegmentationError, match="outside the picture"):
        build(objects=(ObjectSpec("ball", (Click(9999, 5),)),))
    with pytest.raises(MaterialError, match="no material called 'cheese'"):
        build(objects=(ObjectSpec("ball", ball.clicks, material=MaterialSpec("cheese")),))
    with pytest.raises(CameraError, match="horizon"):
        build(scene=SceneSettings(horizon_y=still_life.camera.height - 1.0))
    with pytest.raises(ReconstructionError, match="inside another"):
        build(objects=(ball, ObjectSpec("again", ball.clicks)))
    with pytest.raises(ReconstructionError, match="lower it"):
        build(scene=SceneSettings(horizon_y=still_life.horizon_y, particle_spacing=1.0))


CASES = {
    "play_doh": (ObjectSpec("ball", (Click(640, 480),), material=MaterialSpec("clay")),),
    "jam": (ObjectSpec("jam", (Click(600, 420),), material=MaterialSpec("jam")),),
    "dumpling": (
        ObjectSpec("dough", (Click(650, 570),), material=MaterialSpec("dough")),
        ObjectSpec("pin", (Click(690, 230),), material=MaterialSpec("wood"), resting=False),
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_example_pictures(examples: Path, name: str) -> None:
    picture = load_picture(examples / f"{name}.png")
    scene = EmbeddedReconstructor().reconstruct(picture, Take(name, "p.png", CASES[name]), Progress())
    assert psnr(scene, 640) >= 30.0
    assert len(scene.background) <= 250_000
    assert len(scene.foreground) <= 60_000
    assert len(scene.particles) == pytest.approx(6000, rel=0.02)
    for degrees in (-30.0, 30.0):
        camera = scene.camera.orbited(degrees, scene.centre, "side", "side").resized(320)
        frame = render_layers(Gaussians.cat([scene.background, scene.foreground]), camera)
        assert float(frame.alpha.min()) > 0.97


def test_cloth_becomes_a_sheet_whose_corners_are_its_particles(still_life, tmp_path: Path) -> None:
    cloth = ObjectSpec(
        "rag", (Click(*still_life.click),), material=MaterialSpec("cotton"), height=0.1, held=False
    )
    scene = EmbeddedReconstructor().reconstruct(
        still_life.picture, take_of(still_life, objects=(cloth,)), Progress()
    )
    scene.save(tmp_path)
    rag = Scene.load(tmp_path).bodies[0]
    np.testing.assert_allclose(rag.vertices, scene.particles.positions, atol=1e-6)
    assert rag.faces.max() == len(rag.vertices) - 1
    assert not rag.held
    assert psnr(scene, 320) >= 32
