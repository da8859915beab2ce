"""Operators of the Forces, Cameras and Rounds panels."""

from __future__ import annotations

from itertools import pairwise

import bpy
from bpy.props import EnumProperty, FloatProperty, FloatVectorProperty, IntProperty, StringProperty
from mathutils import Vector

from . import forces, playback
from .errors import AddonError, PerpetuaOperator
from .properties import ROLES
from .reconstruction import add_side_cameras, objects_centre
from .take_builder import ORBIT_DEGREES, round_starts

WIND_AWAY_M = 0.25
"""How far from the objects' centre a new wind's empty stands."""


def _window(scene: bpy.types.Scene, start: int, end: int) -> tuple[int, int]:
    """First frame and end frame on the timeline; the current round's where they are not given (end <= start)."""
    if end > start:
        return start, end
    starts = round_starts(scene.perpetua)
    now = scene.frame_current - scene.frame_start
    for first, last in pairwise(starts):
        if now < last:
            return scene.frame_start + first, scene.frame_start + last
    return scene.frame_current, max(scene.frame_end, scene.frame_current + 1)


def _centre(scene: bpy.types.Scene) -> Vector:
    """Middle of the objects, m; the 3D cursor before there is a reconstruction."""
    if scene.perpetua.cache_folder:
        return objects_centre(playback.meta(scene))
    return scene.cursor.location.copy()


def _direction(direction: tuple[float, float, float]) -> Vector:
    vector = Vector(direction)
    if vector.length == 0:
        raise AddonError("The force has no direction; give it one that is not zero.")
    return vector.normalized()


def _list(scene: bpy.types.Scene, made: bpy.types.Object) -> None:
    entry = scene.perpetua.forces.add()
    entry.name, entry.object = made.name, made
    scene.perpetua.force_index = len(scene.perpetua.forces) - 1
    for selected in list(bpy.context.view_layer.objects.selected):
        selected.select_set(False)
    made.select_set(True)
    bpy.context.view_layer.objects.active = made


class PERPETUA_OT_add_wind(PerpetuaOperator, bpy.types.Operator):
    """Add a wind: Blender's own wind field on an empty; its strength is the air's speed in m/s"""

    bl_idname = "perpetua.add_wind"
    bl_label = "Add Wind"

    name: StringProperty(name="Name", default="Wind")  # type: ignore[valid-type]
    location: FloatVectorProperty(name="Location", subtype="TRANSLATION", default=(0, 0, 0))  # type: ignore[valid-type]
    direction: FloatVectorProperty(name="Direction", subtype="XYZ", default=(1, 0, 0))  # type: ignore[valid-type]
    strength: FloatProperty(name="Speed", description="m/s", default=3.0, min=0.0, soft_max=40.0)  # type: ignore[valid-type]
    reach: FloatProperty(  # type: ignore[valid-type]
        name="Reach", description="Radius it fills; 0 is everywhere", unit="LENGTH", default=0.0, min=0.0
    )
    start: IntProperty(name="Start", description="First frame; start = end takes the round's")  # type: ignore[valid-type]
    end: IntProperty(name="End")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        scene = context.scene
        direction = _direction(self.direction)
        location = Vector(self.location)
        if not self.properties.is_property_set("location"):
            location = _centre(scene) - WIND_AWAY_M * direction
        window = _window(scene, self.start, self.end)
        made = forces.new_wind(
            self.name, location, direction, self.strength, window, playback.collection(scene)
        )
        if self.reach > 0:
            made.field.use_max_distance, made.field.distance_max = True, self.reach
        _list(scene, made)


class PERPETUA_OT_add_push(PerpetuaOperator, bpy.types.Operator):
    """Add a push: newtons over a ball of matter, along the arrow"""

    bl_idname = "perpetua.add_push"
    bl_label = "Add Push"

    name: StringProperty(name="Name", default="Push")  # type: ignore[valid-type]
    location: FloatVectorProperty(name="Location", subtype="TRANSLATION", default=(0, 0, 0))  # type: ignore[valid-type]
    direction: FloatVectorProperty(name="Direction", subtype="XYZ", default=(0, 0, -1))  # type: ignore[valid-type]
    force: FloatProperty(name="Force", description="N", default=5.0, min=0.0, soft_max=100.0)  # type: ignore[valid-type]
    reach: FloatProperty(name="Reach", unit="LENGTH", default=0.03, min=0.0001)  # type: ignore[valid-type]
    start: IntProperty(name="Start", description="First frame; start = end takes the round's")  # type: ignore[valid-type]
    end: IntProperty(name="End")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        scene = context.scene
        direction = _direction(self.direction)
        location = Vector(self.location)
        if not self.properties.is_property_set("location"):
            location = _centre(scene)
        window = _window(scene, self.start, self.end)
        made = forces.new_push(
            self.name, location, direction, self.force, self.reach, window, playback.collection(scene)
        )
        _list(scene, made)


class PERPETUA_OT_add_cameras(PerpetuaOperator, bpy.types.Operator):
    """Add two side cameras on an orbit around the objects"""

    bl_idname = "perpetua.add_cameras"
    bl_label = "Add Side Cameras"

    degrees: FloatProperty(name="Degrees", default=ORBIT_DEGREES, min=1.0, max=80.0)  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        add_side_cameras(context.scene, self.degrees)


class PERPETUA_OT_use_camera(PerpetuaOperator, bpy.types.Operator):
    """Add the active camera object to the take's cameras"""

    bl_idname = "perpetua.use_camera"
    bl_label = "Use Active Camera"

    role: EnumProperty(name="Role", items=ROLES, default="side")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        camera = context.view_layer.objects.active
        if camera is None or camera.type != "CAMERA":
            raise AddonError("The active object is not a camera; select a camera first.")
        cameras = context.scene.perpetua.cameras
        if any(entry.object == camera for entry in cameras):
            raise AddonError(f"'{camera.name}' is one of the take's cameras already.")
        entry = cameras.add()
        entry.name, entry.object, entry.role = bpy.path.clean_name(camera.name), camera, self.role


class PERPETUA_OT_add_round(PerpetuaOperator, bpy.types.Operator):
    """Add a round to the take; the forces whose time lies in it act in it"""

    bl_idname = "perpetua.add_round"
    bl_label = "Add Round"

    frames: IntProperty(name="Frames", min=1, max=100_000, default=36)  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        scene, settings = context.scene, context.scene.perpetua
        settings.rounds.add().frames = self.frames
        settings.round_index = len(settings.rounds) - 1
        scene.frame_end = max(scene.frame_end if len(settings.rounds) > 1 else 0, playback.planned_end(scene))


CLASSES = (
    PERPETUA_OT_add_wind,
    PERPETUA_OT_add_push,
    PERPETUA_OT_add_cameras,
    PERPETUA_OT_use_camera,
    PERPETUA_OT_add_round,
)
