"""Operators that turn a take into files for others: videos, OpenUSD, splat files."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from . import exports
from .errors import AddonError, PerpetuaOperator
from .render_views import render_views


class PERPETUA_OT_export(PerpetuaOperator, bpy.types.Operator):
    """Export the baked take to open formats, for other programs and other people"""

    bl_idname = "perpetua.export"
    bl_label = "Export Take"
    bl_options = {"REGISTER"}  # noqa: RUF012

    directory: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="Where the files go",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        default="//export",
    )
    formats: EnumProperty(  # type: ignore[valid-type]
        name="Formats",
        description="What to write; several with Shift",
        items=exports.FORMATS,
        options={"ENUM_FLAG"},
        default={"USD"},
    )
    with_background: BoolProperty(  # type: ignore[valid-type]
        name="Background in Every PLY",
        description="Put what stands still into every file of the sequence, for viewers that show one file",
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.column().prop(self, "formats")
        self.layout.prop(self, "with_background")

    def act(self, context: bpy.types.Context) -> None:
        if not self.directory or (self.directory.startswith("//") and not bpy.data.filepath):
            raise AddonError("Save the file first, or choose a folder for the export.")
        folder = Path(bpy.path.abspath(self.directory)).resolve()
        export = exports.start(context.scene, folder, set(self.formats), self.with_background)
        if bpy.app.background:
            exports.wait(export)
            print(f"Perpetua: exported to {folder}", flush=True)
            return
        exports.start_timer()


class PERPETUA_OT_render_views(PerpetuaOperator, bpy.types.Operator):
    """Render every camera of the take over every round to round_<n>_<camera>.mp4 in a folder"""

    bl_idname = "perpetua.render_views"
    bl_label = "Render Views"
    bl_options = {"REGISTER"}  # noqa: RUF012

    directory: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="Where the videos go",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        default="//views",
    )
    frames: BoolProperty(  # type: ignore[valid-type]
        name="PNG Frames",
        description="Also write every frame as a PNG, in a folder for each video",
        default=False,
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        folder = Path(bpy.path.abspath(self.directory)).resolve()
        for path in render_views(context.scene, folder, self.frames):
            print(f"Perpetua: {path}", flush=True)


CLASSES = (PERPETUA_OT_export, PERPETUA_OT_render_views)
