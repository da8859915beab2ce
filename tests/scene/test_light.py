"""The light of a picture against pictures that were painted in a known one."""

from __future__ import annotations

import numpy as np
import pytest
from lit_scenes import ball_scene, painted

from perpetua.scene.light import LEAST_LAMP, Light, light_of


def unit(*v: float) -> np.ndarray:
    return np.array(v) / np.linalg.norm(v)


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize(
    "towards", [unit(-1, -0.6, 1), unit(1, -0.3, 0.8), unit(0, -1, 1.2), unit(0.7, 0.4, 1)]
)
@pytest.mark.parametrize("spots", [0.0, 0.4])
def test_the_lamp_is_found_from_a_ball(towards, spots):
    light = light_of(ball_scene(*painted(towards, 0.4, 0.6, spots)))
    assert degrees(light.direction, towards) < (12 if spots else 9)
    assert light.lamp / (light.lamp + light.ambient) == pytest.approx(0.6, abs=0.12)


def test_even_light_leaves_the_usual_lamp_and_as_little_of_it_as_there_may_be():
    light = light_of(ball_scene(*painted(unit(0, 0, 1), 1.0, 0.0)))
    assert light.direction[2] > 0.85
    assert light.direction[0] < 0, "from the left"
    assert light.lamp / (light.lamp + light.ambient) == pytest.approx(LEAST_LAMP)


def test_a_scene_without_a_picture_has_the_usual_light():
    picture, matte = painted(unit(1, 0, 1), 0.4, 0.6)
    light = light_of(ball_scene(picture, np.zeros_like(matte)))
    assert light.direction[0] < 0
    assert 0.3 < light.shadow < 0.8


def test_brightness_is_one_on_average_over_what_the_picture_shows():
    light = light_of(ball_scene(*painted(unit(-1, -0.6, 1), 0.4, 0.6)))
    facing_camera = np.random.default_rng(0).normal(size=(4000, 3)) * [1, 1, 1] + [0, -1.5, 0.6]
    facing_camera /= np.linalg.norm(facing_camera, axis=1, keepdims=True)
    assert light.on(facing_camera).mean() == pytest.approx(1.0, abs=0.1)
    same = Light(light.direction, light.ambient, light.lamp)
    np.testing.assert_allclose(same.on(facing_camera, 0.0), light.ambient)
