"""A shadow is taken off the table and goes with the object; a table without one stays as it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.reconstruct.embedded import EmbeddedReconstructor
from perpetua.reconstruct.ground_shadow import find_shading, shadows
from perpetua.reconstruct.solid import inflate
from perpetua.reconstruct.stage import Stage
from perpetua.render import Layers, render_layers
from perpetua.render.film import compose
from perpetua.scene import Gaussians, Scene, deform
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Quality, SceneSettings, Take

WIDTH = 320


def stage_and_solid(still):
    return Stage(still.camera, still.wall), inflate(still.matte, still.camera, True, False, still.distance)


def shading_of(still):
    stage, solid = stage_and_solid(still)
    return find_shading(still.picture.rgb, still.matte, stage, [solid], WIDTH)


def around_the_foot(still) -> NDArray[np.bool_]:
    """Pixels of the table in the ball's shadow, clear of the ball's edge."""
    height, width = still.matte.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    stage = Stage(still.camera, still.wall)
    table = stage.on_table(pixels)
    points = stage.points(pixels, table)
    near = table & (np.hypot(points[:, 0], points[:, 1] - still.distance) < 1.4 * still.radius)
    ball = cv2.dilate((still.matte > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    return near.reshape(height, width) & ~ball


def scene_of(still) -> Scene:
    thing = ObjectSpec("ball", (Click(*still.click),), material=MaterialSpec("clay"), height=0.1)
    known = SceneSettings(horizon_y=still.horizon_y)
    quality = Quality(particles=400, splat_width=WIDTH)
    return EmbeddedReconstructor().reconstruct(
        still.picture, Take("t", "p.png", objects=(thing,), scene=known, quality=quality), Progress()
    )


@pytest.fixture(scope="module")
def scene(still_life) -> Scene:
    return scene_of(still_life)


def filmed(scene: Scene, shift: tuple[float, float, float] | None, degrees: float = 0.0) -> Layers:
    """As the loop films it: the object moved by ``shift`` m, or taken away."""
    camera = scene.camera.orbited(degrees, scene.centre, "c", "side").resized(WIDTH)
    back = render_layers(scene.background, camera)
    if shift is None:
        return back
    positions = torch.from_numpy(scene.particles.positions) + torch.tensor(shift, dtype=torch.float32)
    F = torch.eye(3).expand(len(positions), 3, 3)
    return compose(render_layers(deform(scene.foreground, scene.binding, positions, F), camera), back)


def test_a_known_shadow_is_taken_off_the_table(still_life, unshaded) -> None:
    here = around_the_foot(still_life)
    shaded, truth = (s.picture.rgb[here].astype(float) for s in (still_life, unshaded))
    cleaned = shading_of(still_life).cleaned(still_life.picture.rgb, still_life.matte)[here].astype(float)
    assert np.abs(shaded - truth).mean() > 25
    assert np.abs(cleaned - truth).mean() < 6


def test_the_picture_away_from_the_object_and_the_object_stay(still_life) -> None:
    rgb, matte = still_life.picture.rgb, still_life.matte
    cleaned = shading_of(still_life).cleaned(rgb, matte)
    assert (cleaned[matte == 1] == rgb[matte == 1]).all()
    above = round(still_life.horizon_y)
    assert (cleaned[:above] == rgb[:above]).all()
    assert (cleaned[-20:] == rgb[-20:]).all()


def test_a_textured_table_without_shadow_stays(unshaded) -> None:
    shading = shading_of(unshaded)
    changed = np.abs(shading.cleaned(unshaded.picture.rgb, unshaded.matte).astype(int) - unshaded.picture.rgb)
    assert changed.mean() < 0.05
    assert np.quantile(changed, 0.999) <= 4
    stage, solid = stage_and_solid(unshaded)
    assert len(shadows(shading, stage, [solid])[0]) < 200


def test_speckles_are_not_a_shadow(unshaded) -> None:
    """A table as uneven as a shadow is dark keeps its pattern."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(size=unshaded.matte.shape).astype(np.float32), (0, 0), 4)
    busy = unshaded.picture.rgb * np.exp(0.15 * noise / noise.std())[..., None]
    stage, solid = stage_and_solid(unshaded)
    shading = find_shading(busy.clip(0, 255).astype(np.uint8), unshaded.matte, stage, [solid], WIDTH)
    assert shading.darkening.log.mean() < 0.002


def test_a_hanging_object_has_no_shadow(still_life) -> None:
    stage, _ = stage_and_solid(still_life)
    hanging = inflate(still_life.matte, still_life.camera, False, False, still_life.distance)
    shading = find_shading(still_life.picture.rgb, still_life.matte, stage, [hanging], WIDTH)
    assert not shading.shaded.any()
    assert len(shadows(shading, stage, [hanging])[0]) == 0


def test_the_background_alone_is_free_of_the_shadow(scene: Scene, unshaded) -> None:
    here = cv2.resize(around_the_foot(unshaded).astype(np.uint8), (WIDTH, 182)) > 0
    truth = cv2.resize(unshaded.picture.rgb, (WIDTH, 182), interpolation=cv2.INTER_AREA)[here] / 255.0
    alone = filmed(scene, None).rgb.numpy()
    assert alone.shape[:2] == here.shape
    assert np.abs(alone[here] - truth).mean() < 0.03


def test_together_they_are_the_picture(scene: Scene) -> None:
    camera = scene.camera.resized(WIDTH)
    target = filmed(scene, (0.0, 0.0, 0.0)).rgb.clamp(0, 1)
    whole = render_layers(Gaussians.cat([scene.background, scene.foreground]), camera).rgb
    assert float(((target - whole) ** 2).mean()) < 10**-3.2  # one layer or two: the same picture


@pytest.mark.parametrize("degrees", [-25.0, 0.0, 25.0])
def test_the_shadow_goes_with_the_object(scene: Scene, degrees: float) -> None:
    """Beside the moved object the table is dark, where it was it is not."""
    camera = scene.camera.orbited(degrees, scene.centre, "c", "side").resized(WIDTH)
    away = 0.12 * camera.camera_to_world[:3, 0]  # to the camera's right
    alone, moved = filmed(scene, None, degrees).rgb, filmed(scene, (away[0], away[1], 0.0), degrees).rgb
    before_foot = scene.camera.orbited(degrees, scene.centre, "c", "side").camera_to_world[:3, 2] * -0.045
    before_foot[2] = 0.0
    places = camera.project(np.stack([before_foot, before_foot + away * [1.0, 1.0, 0.0]]))[0].astype(int)
    (x0, y0), (x1, y1) = places
    assert float((moved - alone)[y0, x0].abs().max()) < 0.02
    assert float((moved / alone)[y1, x1].mean()) < 0.85
