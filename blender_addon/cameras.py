"""Cameras between Blender and the take: a matrix and a horizontal field of view."""

from __future__ import annotations

import math

import bpy
from mathutils import Matrix, Vector

from perpetua_protocol.cache import CameraRecord
from perpetua_protocol.take import CameraSpec, Matrix16

from .errors import AddonError

UNMOVED = 1e-5
"""Largest change of a matrix entry (m, or a cosine) that still counts as the same camera."""
CLIP_START_M, CLIP_END_M = 0.01, 100.0
DISPLAY_SIZE_M = 0.06
"""Size of a camera's outline in the viewport, fit for a table top."""


def horizontal_fov(camera: bpy.types.Object, render: bpy.types.RenderSettings) -> float:
    """Degrees, whatever the camera's sensor fit and the picture's shape.

    Raises ``AddonError`` for a camera the take cannot describe (orthographic, panoramic, shifted).
    """
    data = camera.data
    if data.type != "PERSP":
        raise AddonError(
            f"Camera '{camera.name}' is not a perspective camera; change its type to Perspective."
        )
    if abs(data.shift_x) > 1e-6 or abs(data.shift_y) > 1e-6:
        raise AddonError(
            f"Camera '{camera.name}' has a lens shift; set its shift to zero and turn it instead."
        )
    width = render.resolution_x * render.pixel_aspect_x
    height = render.resolution_y * render.pixel_aspect_y
    fit = data.sensor_fit
    if fit == "AUTO":
        fit = "HORIZONTAL" if width >= height else "TALL"
    if fit == "HORIZONTAL":
        half = data.sensor_width / (2 * data.lens)
    else:  # Blender fits a tall picture's height to the sensor width in AUTO, and to its height in VERTICAL
        sensor = data.sensor_width if fit == "TALL" else data.sensor_height
        half = sensor / (2 * data.lens) * width / height
    return math.degrees(2 * math.atan(half))


def matrix16(matrix: Matrix) -> Matrix16:
    """Row by row, without the object's scale."""
    rigid = matrix.normalized()
    return tuple(float(v) for row in rigid for v in row)  # type: ignore[return-value]


def camera_spec(name: str, role: str, camera: bpy.types.Object, scene: bpy.types.Scene) -> CameraSpec:
    """The camera as a take describes it. ``camera`` is evaluated."""
    return CameraSpec(
        name,
        "front" if role == "front" else "side",
        matrix_world=matrix16(camera.matrix_world),
        horizontal_fov_degrees=horizontal_fov(camera, scene.render),
    )


def same_place(camera: bpy.types.Object, placed: list[float], scene: bpy.types.Scene) -> bool:
    """Whether a camera still is where ``placed`` (16 matrix entries and degrees) says."""
    now = [*matrix16(camera.matrix_world), horizontal_fov(camera, scene.render)]
    return all(
        abs(a - b) <= UNMOVED * (1 if i < 16 else 100)
        for i, (a, b) in enumerate(zip(now, placed, strict=True))
    )


def new_camera(name: str, matrix: Matrix, fov_degrees: float, into: bpy.types.Collection) -> bpy.types.Object:
    """A camera object in ``into``, or the one of that name there already, set to a matrix and a field of view."""
    made = into.objects.get(name)
    if made is None or made.type != "CAMERA":
        made = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        into.objects.link(made)
    made.data.type = "PERSP"
    made.data.sensor_fit = "HORIZONTAL"
    made.data.shift_x = made.data.shift_y = 0.0
    made.data.angle = math.radians(fov_degrees)
    made.data.clip_start, made.data.clip_end = CLIP_START_M, CLIP_END_M
    made.data.display_size = DISPLAY_SIZE_M
    made.matrix_world = matrix
    return made


def record_matrix(record: CameraRecord) -> Matrix:
    """The matrix [4,4] of a cache's camera."""
    m = record.matrix_world
    return Matrix((m[0:4], m[4:8], m[8:12], m[12:16]))


def orbited(matrix: Matrix, centre: Vector, degrees: float) -> Matrix:
    """A camera matrix carried around the vertical through ``centre``; positive goes to the camera's right."""
    turn = Matrix.Rotation(math.radians(degrees), 4, "Z")
    return Matrix.Translation(centre) @ turn @ Matrix.Translation(-centre) @ matrix
