"""Playback: what is shown of the take and how, its time, and its videos."""

from __future__ import annotations

import bpy

from .. import exports
from . import layout as shared


class PERPETUA_PT_playback(shared.Tab, bpy.types.Panel):
    bl_label = "Playback"
    bl_idname = "PERPETUA_PT_playback"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.perpetua
        name = bpy.path.basename(settings.cache_folder.rstrip("/\\"))
        layout.operator("perpetua.load_cache", text=name or "Load Cache", icon="FILE_CACHE")
        layout.row(align=True).prop(settings, "display", expand=True)
        row = layout.row(align=True)
        row.prop(settings, "show_splats", toggle=True)
        row.prop(settings, "show_background", toggle=True)
        column = shared.properties(layout)
        if settings.display == "SPLATS":
            column.prop(settings, "density")
        column.prop(settings, "frame_offset")
        column.prop(settings, "speed")
        column.prop(settings, "loop")
        if context.scene.view_settings.view_transform != "Standard":
            layout.operator("perpetua.match_picture", icon="COLOR")
        layout.operator("perpetua.render_views", icon="RENDER_ANIMATION")
        exporting = exports.running() is not None
        row = layout.row()
        row.enabled = not exporting
        row.operator("perpetua.export", text="Exporting" if exporting else "Export", icon="EXPORT")
        layout.operator_menu_enum("perpetua.render_meshes", "engine", icon="MESH_MONKEY")


CLASSES = (PERPETUA_PT_playback,)
