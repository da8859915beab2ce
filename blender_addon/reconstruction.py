"""What a reconstruction brings into the scene: the picture's camera, the render settings that show the picture as it is."""

from __future__ import annotations

import bpy
from mathutils import Vector

from perpetua_protocol.cache import CacheMeta, CameraRecord

from . import playback, redraw
from .cameras import horizontal_fov, matrix16, new_camera, orbited, record_matrix, same_place
from .errors import AddonError
from .splat_engine import ENGINE

SHAPE_TOLERANCE = 0.02
"""Difference of width / height that nobody sees."""
ROUNDED_PX = 4
"""Largest change of a video's height by rounding, which matters in a small preview."""


def import_reconstruction(scene: bpy.types.Scene) -> None:
    """Set the cameras, the scene's camera, engine, view transform and the picture's shape from the scene's cache.

    Once set they are the artist's: a later bake changes only cameras that were not moved, and adds none.
    """
    meta = playback.meta(scene)
    front = next(camera for camera in meta.cameras if camera.role == "front")
    _keep_shape(scene, front.width, front.height)
    cameras = scene.perpetua.cameras
    first = not any(entry.role == "front" and entry.there for entry in cameras)
    orbits = {spec.name: spec.orbit_degrees for spec in meta.take.cameras if spec.matrix_world is None}
    for record in meta.cameras if not cameras else [front]:
        entry = next((c for c in cameras if c.role == "front"), None) if record is front else None
        _place_camera(scene, entry, record, orbits.get(record.name))
    views = [entry.object for entry in cameras if entry.there]
    if scene.camera not in views:
        scene.camera = next(entry.object for entry in cameras if entry.role == "front")
    if first:
        _set_up_render(scene)
        _hide_startup_cube(scene)
        redraw.through_camera()


def _place_camera(
    scene: bpy.types.Scene, entry: bpy.types.PropertyGroup | None, record: CameraRecord, orbit: float | None
) -> None:
    """Put a view where the cache has it, unless the artist has moved it. orbit: None where a matrix placed it."""
    if entry is None:
        entry = scene.perpetua.cameras.add()
        entry.name, entry.role = record.name, record.role
    if entry.there and any(entry.placed) and not _unmoved(entry, scene):
        return
    name = entry.object.name if entry.there else f"Perpetua {record.name}"
    matrix, fov = record_matrix(record), record.horizontal_fov_degrees
    entry.object = new_camera(name, matrix, fov, playback.collection(scene))
    bpy.context.view_layer.update()
    if orbit is not None:
        entry.orbit = orbit
        entry.placed = [*matrix16(entry.object.matrix_world), horizontal_fov(entry.object, scene.render)]


def _hide_startup_cube(scene: bpy.types.Scene) -> None:
    """Hide the cube of Blender's startup file while it is as it came: two metres wide, it would stand around the table."""
    cube = scene.objects.get("Cube")
    if cube is None or cube.type != "MESH" or len(cube.data.vertices) != 8 or cube.animation_data is not None:
        return
    if tuple(cube.location) == (0.0, 0.0, 0.0) and tuple(cube.dimensions) == (2.0, 2.0, 2.0):
        cube.hide_viewport = cube.hide_render = True


def _set_up_render(scene: bpy.types.Scene) -> None:
    scene.render.engine = ENGINE
    # frames are written while a render job runs, so the window must not read them then
    scene.render.use_lock_interface = True
    match_picture(scene)


def match_picture(scene: bpy.types.Scene) -> None:
    """Show colours as the picture has them: its sRGB values come out unchanged."""
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    scene.view_settings.exposure, scene.view_settings.gamma = 0.0, 1.0


def add_side_cameras(scene: bpy.types.Scene, degrees: float) -> None:
    """Two cameras on an orbit around the objects, ``degrees`` to the left and to the right of the front camera.

    Raises ``AddonError`` before the picture is reconstructed.
    """
    front = next((c.object for c in scene.perpetua.cameras if c.role == "front" and c.there), None)
    if front is None:
        raise AddonError("The picture's camera is not known yet; reconstruct the picture first.")
    centre = objects_centre(playback.meta(scene))
    fov = horizontal_fov(front, scene.render)
    for name, angle in (("left", -degrees), ("right", degrees)):
        entry = next((c for c in scene.perpetua.cameras if c.name == name), None)
        if entry is None:
            entry = scene.perpetua.cameras.add()
            entry.name, entry.role = name, "side"
        entry.placed = [0.0] * 17  # on an orbit of its own
        title = entry.object.name if entry.there else f"Perpetua {name}"
        matrix = orbited(front.matrix_world, centre, angle)
        entry.object = new_camera(title, matrix, fov, playback.collection(scene))
    bpy.context.view_layer.update()


def objects_centre(meta: CacheMeta) -> Vector:
    """Middle of the box around all objects at rest, m."""
    lower = [min(body.lower[axis] for body in meta.bodies) for axis in range(3)]
    upper = [max(body.upper[axis] for body in meta.bodies) for axis in range(3)]
    return (Vector(lower) + Vector(upper)) / 2


def _unmoved(entry: bpy.types.PropertyGroup, scene: bpy.types.Scene) -> bool:
    return same_place(entry.object, list(entry.placed), scene)


def _keep_shape(scene: bpy.types.Scene, width: int, height: int) -> None:
    """Give the render the picture's shape if it has another; its size otherwise stays the artist's."""
    render = scene.render
    shape = width / height
    if abs(render.resolution_x / render.resolution_y - shape) > SHAPE_TOLERANCE + shape * ROUNDED_PX / height:
        render.resolution_x, render.resolution_y = width, height
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
