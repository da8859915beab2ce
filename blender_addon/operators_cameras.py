"""Operators of the Cameras panel: a good trio, cameras of the artist's own, and a look through each."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty

from . import redraw
from .errors import AddonError, PerpetuaOperator
from .properties import ROLES
from .reconstruction import add_side_cameras
from .take_builder import ORBIT_DEGREES


class PERPETUA_OT_add_cameras(PerpetuaOperator, bpy.types.Operator):
    """Place a good trio: the picture's own view, and one to each side on an orbit around the objects"""

    bl_idname = "perpetua.add_cameras"
    bl_label = "Place Trio"

    degrees: FloatProperty(  # type: ignore[valid-type]
        name="Degrees",
        description="How far the side cameras stand from the front; beyond 45 they see what no picture shows",
        default=ORBIT_DEGREES,
        min=1.0,
        max=80.0,
    )

    def act(self, context: bpy.types.Context) -> None:
        add_side_cameras(context.scene, self.degrees)


class PERPETUA_OT_use_camera(PerpetuaOperator, bpy.types.Operator):
    """Add the active camera object to the take's cameras"""

    bl_idname = "perpetua.use_camera"
    bl_label = "Use Active Camera"

    role: EnumProperty(name="Role", description="What the view is for", items=ROLES, default="side")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        camera = context.view_layer.objects.active
        if camera is None or camera.type != "CAMERA":
            raise AddonError("The active object is not a camera; select a camera first.")
        cameras = context.scene.perpetua.cameras
        if any(entry.object == camera for entry in cameras):
            raise AddonError(f"'{camera.name}' is one of the take's cameras already.")
        entry = cameras.add()
        entry.name, entry.object, entry.role = bpy.path.clean_name(camera.name), camera, self.role
        context.scene.perpetua.camera_index = len(cameras) - 1


class PERPETUA_OT_look_through(PerpetuaOperator, bpy.types.Operator):
    """Look through this camera, and render from it"""

    bl_idname = "perpetua.look_through"
    bl_label = "Look Through"

    index: IntProperty(name="Camera", description="Its place in the list")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        cameras = context.scene.perpetua.cameras
        if not 0 <= self.index < len(cameras) or not cameras[self.index].there:
            raise AddonError("There is no such camera; choose one in the list.")
        context.scene.camera = cameras[self.index].object
        context.scene.perpetua.camera_index = self.index
        redraw.through_camera()


CLASSES = (PERPETUA_OT_add_cameras, PERPETUA_OT_use_camera, PERPETUA_OT_look_through)
