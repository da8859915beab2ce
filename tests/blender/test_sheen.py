"""Colours that depend on the view: played from the cache, and drawn as their spherical harmonics say, wherever the eye and the matter are."""

from __future__ import annotations

from math import factorial
from pathlib import Path

import bpy
import numpy as np
import pytest
from bl_ext.user_default.perpetua import playback, point_cloud, splat_viewport
from mathutils import Matrix, Quaternion
from test_engine import HEIGHT, WIDTH, camera, cloud, picture  # noqa: F401
from test_viewport import drawing, drawn  # noqa: F401
from toy_cache import write_cache

from perpetua_protocol.cache import Cache

EYE = np.array([0.0, -1.0, 0.0])
TURN = Quaternion((0.5, -0.1, 0.7, 0.3)).normalized()
PLACED = Matrix.LocRotScale(
    (0.05, 0.1, -0.02), Quaternion((0.2, 0.9, -0.4, 0.1)).normalized(), (1.5, 1.5, 1.5)
)


def harmonics(d: np.ndarray, degree: int) -> np.ndarray:
    """[K]: the real spherical harmonics above degree 0 along d, by associated Legendre functions with the Condon-Shortley phase."""
    x, y, z = d
    angle, flat = np.arctan2(y, x), np.hypot(x, y)
    values = []
    for band in range(1, degree + 1):
        polynomial = np.polynomial.Polynomial([-1, 0, 1]) ** band / (2**band * factorial(band))
        for order in range(-band, band + 1):
            m = abs(order)
            legendre = (-flat) ** m * polynomial.deriv(band + m)(z)
            norm = np.sqrt((2 * band + 1) / (4 * np.pi) * factorial(band - m) / factorial(band + m))
            wave = 1.0 if m == 0 else np.sqrt(2) * (np.sin(m * angle) if order < 0 else np.cos(m * angle))
            values.append(norm * legendre * wave)
    return np.array(values)


def expected(coefficients: np.ndarray, at: np.ndarray, turn: Quaternion) -> np.ndarray:
    """sRGB colour of a grey splat at ``at`` seen from EYE, its matter turned by ``turn``."""
    away = np.array(turn.to_matrix()).T @ ((at - EYE) / np.linalg.norm(at - EYE))
    degree = {3: 1, 8: 2, 15: 3}[len(coefficients)]
    return np.maximum(0.5 + harmonics(away, degree) @ coefficients, 0.0)


@pytest.mark.parametrize("count", [3, 8, 15])
def test_the_engine_draws_them(tmp_path: Path, camera: bpy.types.Object, count: int) -> None:  # noqa: F811
    made = cloud("wall", [(0.2, 0.3, 0.1)], [(0.5, 0.5, 0.5)], 3.0)
    coefficients = np.random.default_rng(count).uniform(-0.4, 0.4, (1, count, 3)).astype(np.float32)
    point_cloud.write_sheen(made, coefficients)
    plain = cloud("beside", [(50.0, 50.0, 0.0)], [(1.0, 0.0, 0.0)], 0.01)  # has none
    point_cloud.write_turns(made, np.float32([TURN]))
    made.matrix_world = PLACED
    at = np.array(PLACED @ Matrix.Translation((0.2, 0.3, 0.1)))[:3, 3]
    wanted = expected(coefficients[0], at, PLACED.to_quaternion() @ TURN)
    seen = picture(tmp_path)[HEIGHT // 2, WIDTH // 2, :3]
    np.testing.assert_allclose(seen, np.clip(wanted, 0, 1) * 255, atol=2)
    assert np.abs(seen - 127.5).max() > 20, "nothing to see"
    point_cloud.write_turns(made, np.float32([[1, 0, 0, 0]]))
    wanted = expected(coefficients[0], at, PLACED.to_quaternion())
    seen = picture(tmp_path)[HEIGHT // 2, WIDTH // 2, :3]
    np.testing.assert_allclose(seen, np.clip(wanted, 0, 1) * 255, atol=2)
    assert plain.data.attributes.get("radiance:sh_0") is None


def test_every_frame_is_played_with_its_turns(tmp_path: Path) -> None:
    scene, folder = bpy.context.scene, write_cache(tmp_path / "cache", sheen=8)
    playback.attach(scene, folder)
    baked = Cache(folder)
    for number in (0, 2, 6, 1):
        scene.frame_set(scene.frame_start + number)
        data, frame = scene.perpetua.splats.data, baked.frame(number)
        np.testing.assert_array_equal(point_cloud.read_sheen(data), frame["radiance_sh"])
        np.testing.assert_array_equal(point_cloud.read_turns(data), frame["turn"])
    still = scene.perpetua.background.data
    np.testing.assert_array_equal(point_cloud.read_sheen(still), baked.background()["radiance_sh"])
    playback.attach(scene, write_cache(tmp_path / "plain"))
    for cloud_ in (scene.perpetua.splats, scene.perpetua.background):
        names = [a.name for a in cloud_.data.attributes]
        assert not any(name.startswith("radiance:sh") or name == "perpetua_turn" for name in names)


def test_the_viewport_draws_them_and_follows_the_frame(tmp_path: Path) -> None:
    scene, folder = bpy.context.scene, write_cache(tmp_path / "cache", foreground=1, sheen=15)
    playback.attach(scene, folder)
    scene.perpetua.show_background = False
    cloud_ = scene.perpetua.splats
    rotations = []
    for number in (1, 3):  # of one round, so that only the turn is new
        scene.frame_set(scene.frame_start + number)
        at = np.array([[0.0, 0.3, 0.0]], np.float32)
        values = {
            "position": at,
            "scale": np.full((1, 3), 3.0),
            "radiance:base": np.float32([[0, 0, 0, 0.99]]),
        }
        point_cloud.write_attributes(cloud_, values)
        splat_viewport.mark_changed(cloud_, recoloured=False)
        frame = Cache(folder).frame(number)
        wanted = expected(frame["radiance_sh"][0], at[0], Quaternion(frame["turn"][0].tolist()))
        colour, _ = drawn(scene, solid=False)
        seen = colour[HEIGHT // 2, WIDTH // 2]
        np.testing.assert_allclose(seen[:3] / seen[3], ((wanted + 0.055) / 1.055) ** 2.4, atol=0.01)
        rotations.append(wanted)
    assert np.abs(rotations[0] - rotations[1]).max() > 0.02, "the frames look alike"
