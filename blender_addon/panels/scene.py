"""Scene: the picture, its objects with their materials and parts, and the button that reconstructs it."""

from __future__ import annotations

import bpy

from .. import guide, inputs, marking, session
from . import layout as shared

ICONS = {
    "picture": "IMAGE_DATA",
    "capture": "RENDERLAYERS",
    "video": "FILE_MOVIE",
    "splats": "OUTLINER_OB_POINTCLOUD",
}
"""Of the kinds of input."""


class PERPETUA_UL_things(bpy.types.UIList):
    """Objects of the picture."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property) -> None:  # type: ignore[no-untyped-def]
        row = layout.row(align=True)
        row.prop(item, "name", text="", emboss=False, icon="OUTLINER_OB_POINTCLOUD")
        row.label(text=marks(item) or ("mask" if data.input.has_masks else "not marked"))


def marks(item: bpy.types.PropertyGroup) -> str:
    """How an object is marked in the picture, in a word or two; empty if it is not."""
    points = len(item.clicks)
    words = ["box"] if item.use_box else []
    if points:
        words.append(f"{points} point{'s' if points > 1 else ''}")
    return ", ".join(words)


class PERPETUA_PT_guide(shared.Tab, bpy.types.Panel):
    """What to do next, above all panels."""

    bl_label = "Next"
    bl_idname = "PERPETUA_PT_guide"
    bl_options = {"HIDE_HEADER"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        shared.sentence(self.layout, guide.next_step(context.scene), context, "RIGHTARROW")


class PERPETUA_PT_scene(shared.Tab, bpy.types.Panel):
    bl_label = "Scene"
    bl_idname = "PERPETUA_PT_scene"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)


class PERPETUA_PT_picture(bpy.types.Panel):
    """The same beside the picture, in the Image Editor."""

    bl_label = "Perpetua"
    bl_idname = "PERPETUA_PT_picture"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Perpetua"

    def draw(self, context: bpy.types.Context) -> None:
        draw(self.layout, context)


class PERPETUA_PT_guesses(shared.Tab, bpy.types.Panel):
    """What the artist knows of how the picture was taken."""

    bl_label = "How It Was Taken"
    bl_idname = "PERPETUA_PT_guesses"
    bl_parent_id = "PERPETUA_PT_scene"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.perpetua
        column = shared.properties(self.layout)
        kind = inputs.kind(settings)
        several = len(settings.input.views) > 0
        if kind in ("picture", "video"):
            column.prop(settings, "horizontal_fov")
        if kind == "picture" and not several:
            column.prop(settings.input, "depth")
            if not settings.input.depth:
                column.prop(settings.input, "depth_estimator")
            column.prop(settings, "pitch")
            column.prop(settings, "use_horizon")
            if settings.use_horizon:
                column.prop(settings, "horizon_y")
            column.prop(settings, "table_edge_y")
        if kind == "video":
            column.prop(settings.input, "video_frames")
        if kind != "picture" or several:
            column.prop(settings.input, "metres_per_unit")
        if kind != "splats":
            column.prop(settings.input, "segmenter")
        column.label(text="0 lets Perpetua guess", icon="INFO")


class PERPETUA_PT_place(shared.Tab, bpy.types.Panel):
    """What the viewport shows of the place, and the scene's gravity."""

    bl_label = "Table, Bounds and Gravity"
    bl_idname = "PERPETUA_PT_place"
    bl_parent_id = "PERPETUA_PT_scene"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.perpetua
        row = self.layout.row(align=True)
        for name, icon in (
            ("show_table", "MESH_GRID"),
            ("show_bounds", "CUBE"),
            ("show_gravity", "EMPTY_ARROWS"),
        ):
            row.prop(settings, name, toggle=True, icon=icon)
        column = shared.properties(self.layout)
        column.prop(context.scene, "use_gravity", text="Gravity")
        part = column.column()
        part.enabled = context.scene.use_gravity
        part.prop(context.scene, "gravity", text="m/s\u00b2")


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The picture, its objects, and the button that reconstructs it."""
    settings = context.scene.perpetua
    _draw_input(layout, settings)
    column = layout.column()
    column.enabled = inputs.clicked_path(settings) is not None
    buttons = shared.list_with_buttons(column, settings, "things")
    buttons.operator("perpetua.click_picture", text="", icon="ADD").name = marking.new_name(settings)
    thing = shared.chosen(settings, "things")
    name = thing.name if thing is not None else marking.new_name(settings)
    row = column.row(align=True)
    row.operator("perpetua.click_picture", text="Click or Box It", icon="RESTRICT_SELECT_OFF").name = name
    if thing is not None:
        row.operator("perpetua.clear_marks", text="", icon="X").name = name
        _draw_thing(column, thing)
    if session.current().baking:
        row = layout.row(align=True)
        shared.progress(row, session.current())
        row.operator("perpetua.cancel", text="", icon="X")
        return
    row = layout.row()
    row.scale_y = 1.3
    row.enabled = len(settings.things) > 0
    row.operator("perpetua.reconstruct", icon="OUTLINER_OB_POINTCLOUD")


def _draw_input(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """What the scene plays on."""
    name = bpy.path.basename(settings.picture)
    row = layout.row(align=True)
    row.operator("perpetua.open_picture", text=name or "Open Picture, Video or Splats", icon="FILE_FOLDER")
    if not settings.picture:
        return
    words, kind = inputs.in_words(settings), inputs.kind(settings)
    if words:
        layout.label(text=words, icon=ICONS[kind])
    if kind == "splats" and not session.current().baking:
        row.operator("perpetua.look", text="Look", icon="HIDE_OFF")
    if kind == "splats":
        shared.properties(layout).prop(settings.input, "up")


def _draw_thing(layout: bpy.types.UILayout, thing: bpy.types.PropertyGroup) -> None:
    column = shared.properties(layout)
    column.prop(thing, "material")
    _draw_changes(column, thing, thing.name, "")
    row = column.row(heading="Height")
    row.prop(thing, "knows_height", text="")
    if thing.knows_height:
        row.prop(thing, "height", text="")
    else:
        row.label(text="guessed")
    column.prop(thing, "outline")
    column.prop(thing, "resting")
    if thing.material in ("cotton", "silk", "denim"):
        column.prop(thing, "held")
    for part in thing.regions:
        _draw_region(layout.box(), thing, part)
    row = layout.row(align=True)
    row.operator("perpetua.add_region", icon="ADD").name = thing.name


def _draw_region(
    box: bpy.types.UILayout, thing: bpy.types.PropertyGroup, part: bpy.types.PropertyGroup
) -> None:
    row = box.row(align=True)
    row.prop(part, "name", text="", icon="MOD_MASK")
    for operator, icon in (
        ("perpetua.click_picture", "RESTRICT_SELECT_OFF"),
        ("perpetua.clear_marks", "X"),
        ("perpetua.remove_region", "REMOVE"),
    ):
        button = row.operator(operator, text="", icon=icon)
        button.name, button.region = thing.name, part.name
    column = shared.properties(box)
    column.label(text=marks(part) or "not marked")
    column.prop(part, "material")
    _draw_changes(column, part, thing.name, part.name)


def _draw_changes(
    column: bpy.types.UILayout, marked: bpy.types.PropertyGroup, name: str, region: str
) -> None:
    for index, change in enumerate(marked.changes):
        row = column.row(align=True)
        label = change.bl_rna.properties["parameter"].enum_items[change.parameter].name
        row.prop(change, "value", text=label)
        button = row.operator("perpetua.keep_material", text="", icon="X")
        button.name, button.region, button.index = name, region, index
    button = column.operator("perpetua.change_material", icon="OPTIONS")
    button.name, button.region = name, region


CLASSES = (
    PERPETUA_PT_guide,
    PERPETUA_UL_things,
    PERPETUA_PT_scene,
    PERPETUA_PT_picture,
    PERPETUA_PT_guesses,
    PERPETUA_PT_place,
)
