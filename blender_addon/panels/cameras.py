"""Cameras: the take's views with their roles, a button for a good trio, and a look through each."""

from __future__ import annotations

import bpy

from . import layout as shared


class PERPETUA_UL_cameras(bpy.types.UIList):
    """Cameras, each with its role and the button to look through it."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0) -> None:  # type: ignore[no-untyped-def]
        row = layout.row(align=True)
        row.label(text=item.name if item.there else f"{item.name} (deleted)", icon="CAMERA_DATA")
        row.prop(item, "role", text="")
        if item.there:
            looking = context.scene.camera == item.object
            icon = "HIDE_OFF" if looking else "HIDE_ON"
            row.operator("perpetua.look_through", text="", icon=icon, emboss=False).index = index


class PERPETUA_PT_cameras(shared.Tab, bpy.types.Panel):
    bl_label = "Cameras"
    bl_idname = "PERPETUA_PT_cameras"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.perpetua
        buttons = shared.list_with_buttons(layout, settings, "cameras")
        buttons.operator("perpetua.use_camera", text="", icon="ADD")
        layout.operator("perpetua.add_cameras", icon="CON_CAMERASOLVER")
        fronts = [entry for entry in settings.cameras if entry.role == "front"]
        if settings.cameras and len(fronts) != 1:
            shared.sentence(layout, "A take needs exactly one front view; change a role.", context, "ERROR")


CLASSES = (PERPETUA_UL_cameras, PERPETUA_PT_cameras)
