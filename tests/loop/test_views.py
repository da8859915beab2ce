"""The take's cameras: where an orbit puts them, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest

from perpetua.errors import CameraError
from perpetua.loop.views import cameras_of
from perpetua.scene import Binding, Camera, Gaussians, Particles, Scene
from perpetua_protocol.take import CameraSpec, Click, ObjectSpec, Take


@pytest.fixture
def scene() -> Scene:
    """Particles around (0, 0, 0.05), seen from 0.5 m to the south and 0.2 m up."""
    import torch

    down = np.arctan2(0.15, 0.5)
    matrix = np.eye(4)
    matrix[:3, :3] = [[1, 0, 0], [0, np.sin(down), -np.cos(down)], [0, np.cos(down), np.sin(down)]]
    matrix[:3, 3] = [0, -0.5, 0.2]
    camera = Camera.from_blender(matrix, 40.0, 640, 352, "picture", "front")
    points = np.random.default_rng(0).uniform(-0.03, 0.03, (50, 3)) + np.array([0, 0, 0.05])
    none = Gaussians(*(torch.zeros(shape) for shape in ((0, 3), (0, 4), (0, 3), (0,), (0, 1, 3))))
    binding = Binding.to_nearest(none.means, torch.zeros(1, 3), torch.zeros(0, dtype=torch.int64))
    return Scene(
        none, none, binding, Particles.at_rest(points, np.zeros(50, np.int32)), [], 0.01, camera,
        np.zeros((352, 640, 3), np.uint8), np.zeros((352, 640), np.float32), np.array([0, 0, 0.05]),
    )  # fmt: skip


def take(*cameras: CameraSpec) -> Take:
    return Take("t", "p.png", (ObjectSpec("ball", (Click(1, 1),)),), cameras=cameras)


def test_the_front_camera_is_the_pictures_own(scene: Scene):
    front, sides = cameras_of(take(CameraSpec("front", "front")), scene, 320)
    assert sides == []
    assert (front.width, front.height) == (320, 176)
    np.testing.assert_allclose(front.world_to_camera, scene.camera.world_to_camera)


def test_an_orbit_keeps_distance_and_height_and_goes_to_the_right(scene: Scene):
    specs = CameraSpec("front", "front"), CameraSpec("right", "side", 30.0)
    front, (right,) = cameras_of(take(*specs), scene, 320)
    assert right.position[0] > 0.2
    np.testing.assert_allclose(np.linalg.norm(right.position[:2]), np.linalg.norm(front.position[:2]))
    np.testing.assert_allclose(right.position[2], front.position[2])
    pixels, _ = right.project(scene.centre[None])
    np.testing.assert_allclose(pixels, front.project(scene.centre[None])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (CameraSpec("s", "side", 120.0), "120 degrees round"),
        (
            CameraSpec("s", "side", matrix_world=(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, -0.5, 0, 0, 0, 1)),
            "does not see",
        ),
        (CameraSpec("s", "side", 10.0, horizontal_fov_degrees=179.0), "between 1 and 170"),
    ],
)
def test_a_camera_that_cannot_show_the_scene_is_refused(scene: Scene, spec: CameraSpec, sentence: str):
    with pytest.raises(CameraError, match=sentence):
        cameras_of(take(CameraSpec("front", "front"), spec), scene, 320)


def test_a_camera_under_the_table_is_refused(scene: Scene):
    up = np.eye(4)
    up[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]  # looks north
    up[:3, 3] = [0, -0.5, -0.02]
    spec = CameraSpec("low", "side", matrix_world=tuple(up.ravel()))
    with pytest.raises(CameraError, match="below the table"):
        cameras_of(take(CameraSpec("front", "front"), spec), scene, 320)
