"""The Perpetua tab of the 3D viewport's sidebar (and of the Image Editor's, for clicks)."""

from __future__ import annotations

import bpy

from . import backend_process, bake, forces, session
from .take_builder import round_starts


class PERPETUA_UL_things(bpy.types.UIList):
    """Objects of the picture."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property) -> None:  # type: ignore[no-untyped-def]
        row = layout.row()
        row.prop(item, "name", text="", emboss=False, icon="MESH_MONKEY")
        row.label(text=f"{len(item.clicks)} points")
        row.prop(item, "material", text="")


class PERPETUA_UL_forces(bpy.types.UIList):
    """Forces, each with its switch."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property) -> None:  # type: ignore[no-untyped-def]
        row = layout.row()
        row.prop(item, "enabled", text="")
        if item.object is None:
            row.label(text=f"{item.name} (deleted)", icon="ERROR")
            return
        row.prop(item.object, "name", text="", emboss=False, icon=_force_icon(item.object))
        row.label(text=f"{item.object.get(forces.START, 0)} - {item.object.get(forces.END, 0)}")


class PERPETUA_UL_cameras(bpy.types.UIList):
    """Cameras, each with its role."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property) -> None:  # type: ignore[no-untyped-def]
        row = layout.row()
        row.label(text=item.name if item.object else f"{item.name} (deleted)", icon="CAMERA_DATA")
        row.prop(item, "role", text="")


class PERPETUA_UL_rounds(bpy.types.UIList):
    """Rounds, with the frames each covers."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0) -> None:  # type: ignore[no-untyped-def]
        row = layout.row()
        first = context.scene.frame_start + round_starts(context.scene.perpetua)[index]
        baked = session.current().rounds_ready > index
        row.label(
            text=f"Round {index + 1}: {first} - {first + item.frames}", icon="CHECKMARK" if baked else "DOT"
        )
        row.prop(item, "frames", text="")


def _force_icon(force: bpy.types.Object) -> str:
    return "FORCE_WIND" if forces.is_wind(force) else "EMPTY_SINGLE_ARROW"


class _Tab:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Perpetua"


class PERPETUA_PT_scene(_Tab, bpy.types.Panel):
    bl_label = "Scene"
    bl_idname = "PERPETUA_PT_scene"

    def draw(self, context: bpy.types.Context) -> None:
        draw_scene(self.layout, context)


class PERPETUA_PT_picture(bpy.types.Panel):
    bl_label = "Perpetua"
    bl_idname = "PERPETUA_PT_picture"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Perpetua"

    def draw(self, context: bpy.types.Context) -> None:
        draw_scene(self.layout, context)


def draw_scene(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The picture, its objects, and the button that reconstructs it."""
    settings = context.scene.perpetua
    row = layout.row(align=True)
    row.prop(settings, "picture", text="")
    row.operator("perpetua.open_picture", text="", icon="FILE_FOLDER")
    layout.template_list(
        "PERPETUA_UL_things", "", settings, "things", settings, "thing_index", rows=2, maxrows=6
    )
    row = layout.row(align=True)
    row.operator("perpetua.add_object", icon="ADD")
    if 0 <= settings.thing_index < len(settings.things):
        thing = settings.things[settings.thing_index]
        row.operator("perpetua.click_picture", text="Click", icon="RESTRICT_SELECT_OFF").name = thing.name
        row.operator("perpetua.add_click", text="", icon="CURSOR").name = thing.name
        remove(row, "things", settings.thing_index)
        column = layout.column()
        column.use_property_split = True
        column.prop(thing, "material")
        column.prop(thing, "height")
        column.prop(thing, "resting")
    else:
        row.operator("perpetua.click_picture", text="Click", icon="RESTRICT_SELECT_OFF").name = "object"
    column = layout.column()
    column.use_property_split = True
    column.prop(settings, "horizontal_fov")
    column.prop(settings, "pitch")
    column.prop(settings, "use_horizon")
    if settings.use_horizon:
        column.prop(settings, "horizon_y")
    column.prop(settings, "table_edge_y")
    row = layout.row()
    row.enabled = bake.running() is None
    row.operator("perpetua.reconstruct", icon="OUTLINER_OB_POINTCLOUD")


def remove(layout: bpy.types.UILayout, kind: str, index: int) -> None:
    """A button that removes an entry of a list."""
    button = layout.operator("perpetua.remove", text="", icon="REMOVE")
    button.kind, button.index = kind, index


class PERPETUA_PT_forces(_Tab, bpy.types.Panel):
    bl_label = "Forces"
    bl_idname = "PERPETUA_PT_forces"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.perpetua
        layout.template_list("PERPETUA_UL_forces", "", settings, "forces", settings, "force_index", rows=2)
        row = layout.row(align=True)
        row.operator("perpetua.add_wind", text="Wind", icon="FORCE_WIND")
        row.operator("perpetua.add_push", text="Push", icon="EMPTY_SINGLE_ARROW")
        if not 0 <= settings.force_index < len(settings.forces):
            return
        remove(row, "forces", settings.force_index)
        entry = settings.forces[settings.force_index]
        if entry.object is None:
            return
        column = layout.column()
        column.use_property_split = True
        for name, text in (
            (forces.FORCE, "Force (N)"),
            (forces.REACH, "Reach (m)"),
            (forces.DRAG, "Drag (1/s)"),
        ):
            if name in entry.object:
                column.prop(entry.object, f'["{name}"]', text=text)
        if forces.is_wind(entry.object):
            column.prop(entry.object.field, "strength", text="Speed (m/s)")
            column.prop(entry.object.field, "use_max_distance", text="Limit Reach")
            if entry.object.field.use_max_distance:
                column.prop(entry.object.field, "distance_max", text="Reach (m)")
        for name, text in ((forces.START, "Start"), (forces.END, "End")):
            if name in entry.object:
                column.prop(entry.object, f'["{name}"]', text=text)
        column.prop(entry, "targets")


class PERPETUA_PT_cameras(_Tab, bpy.types.Panel):
    bl_label = "Cameras"
    bl_idname = "PERPETUA_PT_cameras"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.perpetua
        layout.template_list("PERPETUA_UL_cameras", "", settings, "cameras", settings, "camera_index", rows=3)
        row = layout.row(align=True)
        row.operator("perpetua.add_cameras", text="Side Cameras", icon="ADD")
        row.operator("perpetua.use_camera", text="Use Active", icon="CAMERA_DATA")
        if 0 <= settings.camera_index < len(settings.cameras):
            remove(row, "cameras", settings.camera_index)


class PERPETUA_PT_rounds(_Tab, bpy.types.Panel):
    bl_label = "Rounds"
    bl_idname = "PERPETUA_PT_rounds"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.perpetua
        layout.template_list("PERPETUA_UL_rounds", "", settings, "rounds", settings, "round_index", rows=3)
        row = layout.row(align=True)
        row.operator("perpetua.add_round", icon="ADD")
        if 0 <= settings.round_index < len(settings.rounds):
            remove(row, "rounds", settings.round_index)


class PERPETUA_PT_bake(_Tab, bpy.types.Panel):
    bl_label = "Bake"
    bl_idname = "PERPETUA_PT_bake"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings, state = self.layout, context.scene.perpetua, session.current()
        if backend_process.running():
            layout.operator("perpetua.stop_backend", icon="PAUSE")
        else:
            layout.operator("perpetua.start_backend", icon="PLAY")
        column = layout.column()
        column.use_property_split = True
        column.prop(settings, "take_name")
        column.prop(settings, "quality")
        column.prop(settings, "refiner")
        column.prop(settings, "seed")
        column.prop(settings, "bake_folder")
        if state.baking:
            row = layout.row(align=True)
            row.progress(text=progress_text(state), factor=state.overall, type="BAR")
            row.operator("perpetua.cancel", text="", icon="X")
            if state.text:
                layout.label(text=state.text)
        else:
            layout.operator("perpetua.bake", icon="PHYSICS")
        sentence = state.sentence or backend_process.failure()
        if sentence:
            draw_sentence(layout, sentence, context.region.width if context.region else 300)


def progress_text(state: session.Session) -> str:
    """What the progress bar says: the stage, and the time left once it is known."""
    left = f" - {session.clock(state.eta_s)} left" if state.eta_s is not None else ""
    return f"{state.stage or 'waiting'} {state.overall:.0%}{left}"


def draw_sentence(layout: bpy.types.UILayout, sentence: str, width: int) -> None:
    """A sentence over as many lines as the sidebar's width [px] needs."""
    letters = max(20, width // 8)
    line, icon = "", "INFO"
    column = layout.column(align=True)
    for word in sentence.split():
        if line and len(line) + len(word) >= letters:
            column.label(text=line, icon=icon)
            line, icon = "", "BLANK1"
        line = f"{line} {word}".strip()
    column.label(text=line, icon=icon)


class PERPETUA_PT_playback(_Tab, bpy.types.Panel):
    bl_label = "Playback"
    bl_idname = "PERPETUA_PT_playback"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.perpetua
        row = layout.row(align=True)
        row.prop(settings, "cache_folder", text="")
        row.operator("perpetua.load_cache", text="", icon="FILE_FOLDER")
        column = layout.column()
        column.use_property_split = True
        column.prop(settings, "frame_offset")
        column.prop(settings, "show_splats")
        column.prop(settings, "show_background")
        column.prop(settings, "density")
        layout.operator("perpetua.render_views", icon="RENDER_ANIMATION")


CLASSES = (
    PERPETUA_UL_things,
    PERPETUA_UL_forces,
    PERPETUA_UL_cameras,
    PERPETUA_UL_rounds,
    PERPETUA_PT_scene,
    PERPETUA_PT_picture,
    PERPETUA_PT_forces,
    PERPETUA_PT_cameras,
    PERPETUA_PT_rounds,
    PERPETUA_PT_bake,
    PERPETUA_PT_playback,
)
