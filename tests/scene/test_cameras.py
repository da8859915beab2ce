"""Cameras: projection, rays, Blender's axes and orbits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perpetua.errors import CameraError
from perpetua.scene import Camera


def blender_matrix() -> np.ndarray:
    """A camera 2 m in front of the origin on -Y, looking along +Y, up +Z (Blender looks along its own -Z)."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # columns: right +X, up +Z, back -Y
    matrix[:3, 3] = [0, -2, 1]
    return matrix


@pytest.fixture
def camera() -> Camera:
    return Camera.from_blender(blender_matrix(), 60.0, 640, 360, "front", "front")


def test_from_blender_round_trip(camera: Camera) -> None:
    np.testing.assert_allclose(camera.matrix_world, blender_matrix(), atol=1e-12)
    assert camera.horizontal_fov_degrees == pytest.approx(60.0)
    np.testing.assert_allclose(camera.position, [0, -2, 1], atol=1e-12)
    again = Camera.from_blender(camera.matrix_world, camera.horizontal_fov_degrees, 640, 360)
    np.testing.assert_allclose(again.world_to_camera, camera.world_to_camera, atol=1e-12)
    np.testing.assert_allclose(again.K, camera.K, atol=1e-9)


def test_what_is_where_in_the_picture(camera: Camera) -> None:
    pixels, depth = camera.project(np.array([[0.0, 0, 1], [0.5, 0, 1], [0, 0, 1.5]]))
    np.testing.assert_allclose(depth, 2.0)
    np.testing.assert_allclose(pixels[0], [320, 180])
    assert pixels[1, 0] > 320  # world +X is to the right
    assert pixels[2, 1] < 180  # world +Z is up, towards row 0
    edge = 2.0 * math.tan(math.radians(30))
    np.testing.assert_allclose(camera.project(np.array([[edge, 0, 1.0]]))[0], [[640, 180]], atol=1e-9)


def test_rays_lead_back_to_their_points(camera: Camera) -> None:
    points = np.random.default_rng(0).uniform([-0.5, -0.5, 0.5], [0.5, 0.5, 1.5], (50, 3))
    pixels, depth = camera.project(points)
    np.testing.assert_allclose(camera.position + camera.rays(pixels) * depth[:, None], points, atol=1e-12)


def test_a_scaled_camera_object_is_the_same_camera(camera: Camera) -> None:
    scaled = blender_matrix()
    scaled[:3, :3] *= [2.0, 0.5, 3.0]
    again = Camera.from_blender(scaled, 60.0, 640, 360)
    np.testing.assert_allclose(again.world_to_camera, camera.world_to_camera, atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 0.5, 175.0, float("nan")])
def test_impossible_fields_of_view_are_refused(degrees: float) -> None:
    with pytest.raises(CameraError, match="field of view"):
        Camera.from_blender(blender_matrix(), degrees, 640, 360)


def test_resized_sees_the_same(camera: Camera) -> None:
    small = camera.resized(160)
    assert (small.width, small.height) == (160, 90)
    points = np.random.default_rng(0).uniform([-0.5, -0.5, 0.5], [0.5, 0.5, 1.5], (20, 3))
    np.testing.assert_allclose(small.project(points)[0] * 4, camera.project(points)[0], atol=1e-9)
    odd = camera.resized(150)
    assert odd.height % 2 == 0
    relative = camera.project(points)[0] / [640, 360]
    np.testing.assert_allclose(odd.project(points)[0] / [odd.width, odd.height], relative, atol=1e-9)


def test_orbit_keeps_distance_height_and_aim(camera: Camera) -> None:
    centre = np.array([0.0, 0.0, 0.8])
    right = camera.orbited(30, centre, "right", "side")
    assert right.position[0] > 0.5  # positive goes to the camera's right
    assert right.position[2] == pytest.approx(1.0)
    assert np.linalg.norm(right.position - centre) == pytest.approx(np.linalg.norm(camera.position - centre))
    np.testing.assert_allclose(right.project(centre[None])[0], camera.project(centre[None])[0], atol=1e-9)
    back = right.orbited(-30, centre, "back", "side")
    np.testing.assert_allclose(back.world_to_camera, camera.world_to_camera, atol=1e-12)
    assert (right.name, right.role) == ("right", "side")


def test_orbit_is_rigid(camera: Camera) -> None:
    R = camera.orbited(77, np.array([1.0, 2, 3]), "c", "side").world_to_camera[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1.0)
