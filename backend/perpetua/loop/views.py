"""The take's cameras, as the engine uses them, each checked to see the scene."""

from __future__ import annotations

import math

import numpy as np

from perpetua.errors import CameraError
from perpetua.scene.cameras import Camera
from perpetua.scene.scene import Scene
from perpetua_protocol.take import CameraSpec, Take

WIDEST_ORBIT_DEGREES = 80.0
"""Beyond this angle from the picture's camera nothing of the picture is left to see."""


def cameras_of(take: Take, scene: Scene, width: int) -> tuple[Camera, list[Camera]]:
    """(front, sides) at ``width`` pixels. Raises ``CameraError`` for a camera that cannot see the scene's objects."""
    cameras = [_camera(spec, scene, width) for spec in take.cameras]
    for camera in cameras:
        _check_sees(camera, scene)
    front = next(camera for camera in cameras if camera.role == "front")
    return front, [camera for camera in cameras if camera.role == "side"]


def _camera(spec: CameraSpec, scene: Scene, width: int) -> Camera:
    picture = scene.camera.resized(width)
    fov = spec.horizontal_fov_degrees or picture.horizontal_fov_degrees
    if spec.matrix_world is not None:
        matrix = np.array(spec.matrix_world, dtype=np.float64).reshape(4, 4)
        return Camera.from_blender(matrix, fov, picture.width, picture.height, spec.name, spec.role)
    if spec.orbit_degrees == 0 and spec.horizontal_fov_degrees is None:
        return Camera(picture.K, picture.world_to_camera, picture.width, picture.height, spec.name, spec.role)
    seen = Camera.from_blender(picture.matrix_world, fov, picture.width, picture.height, spec.name, spec.role)
    return seen.orbited(spec.orbit_degrees, scene.centre, spec.name, spec.role)


def _check_sees(camera: Camera, scene: Scene) -> None:
    pixels, depth = camera.project(scene.particles.positions.astype(np.float64))
    inside = (
        (depth > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    )
    if not inside.any():
        raise CameraError(
            f"Camera '{camera.name}' does not see any object; turn or move it until the object is in its frame."
        )
    if camera.position[2] <= 0:
        raise CameraError(
            f"Camera '{camera.name}' is below the table (z = {camera.position[2]:.2f} m); raise it."
        )
    away, home = (
        (c.position - scene.centre)[:2] / np.linalg.norm((c.position - scene.centre)[:2])
        for c in (camera, scene.camera)
    )
    angle = math.degrees(math.acos(float(np.clip(away @ home, -1, 1))))
    if angle > WIDEST_ORBIT_DEGREES:
        raise CameraError(
            f"Camera '{camera.name}' stands {angle:.0f} degrees round from the picture's camera, behind what the picture "
            f"shows; keep it within {WIDEST_ORBIT_DEGREES:.0f} degrees."
        )
