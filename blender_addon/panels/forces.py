"""Forces: buttons for every kind of action, the list with switches, and the chosen one's numbers, time and objects."""

from __future__ import annotations

import bpy

from .. import force_sampling
from .. import forces as carriers
from ..errors import AddonError
from ..force_kinds import END, KINDS, START, Kind
from . import layout as shared

WINDOW_WIDTH = 3.0
"""Of a force's frames in the list, in heights of a row."""


class PERPETUA_UL_forces(bpy.types.UIList):
    """Forces, each with its switch and the frames it acts in."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property) -> None:  # type: ignore[no-untyped-def]
        row = layout.row(align=True)
        row.prop(item, "enabled", text="")
        if not item.there:
            row.label(text=f"{item.name} (deleted)", icon="ERROR")
            return
        row.prop(item.object, "name", text="", emboss=False, icon=_icon(item.object))
        window = row.row()
        window.ui_units_x = WINDOW_WIDTH
        window.alignment = "RIGHT"
        window.label(text=f"{item.object.get(START, 0):g} - {item.object.get(END, 0):g}")


def _unlisted(context: bpy.types.Context) -> bpy.types.Object | None:
    """The active object, if it carries a force that is not in the list: a copy, or a field of Blender's own."""
    active = context.active_object
    if active is None or not active.select_get() or not carriers.carries_force(active):
        return None
    listed = any(entry.object == active for entry in context.scene.perpetua.forces)
    return None if listed else active


def _icon(carrier: bpy.types.Object) -> str:
    try:
        return carriers.kind_of(carrier).icon
    except AddonError:  # the field was taken off it
        return "ERROR"


class PERPETUA_PT_forces(shared.Tab, bpy.types.Panel):
    bl_label = "Forces"
    bl_idname = "PERPETUA_PT_forces"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.perpetua
        grid = layout.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
        for kind in KINDS.values():
            grid.operator("perpetua.add_force", text=kind.label, icon=kind.icon).kind = kind.name
        buttons = shared.list_with_buttons(layout, settings, "forces", rows=3)
        buttons.operator("perpetua.use_force", text="", icon="EYEDROPPER")
        buttons.prop(settings, "show_forces", text="", icon="OVERLAY")
        if (copied := _unlisted(context)) is not None:
            shared.sentence(layout, f"'{copied.name}' does not act: take it over with the pipette.", context)
        entry = shared.chosen(settings, "forces")
        if entry is None or not entry.there:
            return
        shared.properties(layout).prop(settings, "effectors", text="Only Those in")
        try:
            kind = carriers.kind_of(entry.object)
        except AddonError as error:
            shared.sentence(layout, str(error), context, icon="ERROR")
            return
        _draw_numbers(layout.column(align=True), entry.object, kind)
        if kind.name == "emitter":
            _draw_matter(shared.properties(layout), entry)
        else:
            _draw_targets(layout, settings, entry, force_sampling.emitters(context.scene))


class PERPETUA_PT_falloff(shared.Tab, bpy.types.Panel):
    """How far a field reaches: Blender's own falloff."""

    bl_label = "Reach and Falloff"
    bl_idname = "PERPETUA_PT_falloff"
    bl_parent_id = "PERPETUA_PT_forces"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        entry = shared.chosen(context.scene.perpetua, "forces")
        return entry is not None and entry.there and _has_field(entry.object)

    def draw(self, context: bpy.types.Context) -> None:
        entry = shared.chosen(context.scene.perpetua, "forces")
        if entry is not None and entry.there and _has_field(entry.object):
            _draw_falloff(shared.properties(self.layout), entry.object.field)


def _has_field(carrier: bpy.types.Object) -> bool:
    try:
        return bool(carriers.kind_of(carrier).field)
    except AddonError:
        return False


def _draw_numbers(column: bpy.types.UILayout, carrier: bpy.types.Object, kind: Kind) -> None:
    for entry in kind.fields:
        column.prop(carrier.field, entry.name, text=entry.label)
    for entry in kind.own:
        if entry.name in carrier:
            column.prop(carrier, f'["{entry.name}"]', text=entry.label)
    window = column.row(align=True)
    for name, text in ((START, "From"), (END, "To")):
        if name in carrier:
            window.prop(carrier, f'["{name}"]', text=text)


def _draw_matter(column: bpy.types.UILayout, entry: bpy.types.PropertyGroup) -> None:
    column.prop(entry, "material")
    row = column.row(heading="Own Colour")
    row.prop(entry, "use_colour", text="")
    part = row.row()
    part.enabled = entry.use_colour
    part.prop(entry, "colour", text="")


def _draw_targets(
    layout: bpy.types.UILayout,
    settings: bpy.types.PropertyGroup,
    entry: bpy.types.PropertyGroup,
    emitters: list[str],
) -> None:
    chosen = force_sampling.targets(entry)
    names = [thing.name for thing in settings.things] + emitters
    if not names:
        return
    layout.label(text="Acts on")
    button = layout.operator("perpetua.toggle_target", text="Everything", depress=not chosen)
    button.index, button.name = settings.force_index, ""
    grid = layout.grid_flow(row_major=True, columns=3, even_columns=True, align=True)
    for name in names:
        button = grid.operator("perpetua.toggle_target", text=name, depress=name in chosen)
        button.index, button.name = settings.force_index, name


def _draw_falloff(column: bpy.types.UILayout, field: bpy.types.FieldSettings) -> None:
    _limit(column, field, "distance_max", "use_max_distance", "Reach (m)")
    _limit(column, field, "distance_min", "use_min_distance", "Full within (m)")
    column.prop(field, "falloff_type", text="Shape")
    column.prop(field, "falloff_power", text="Power")
    column.prop(field, "z_direction", text="Side")
    if field.falloff_type == "SPHERE":
        return
    unit = "\u00b0" if field.falloff_type == "CONE" else "m"
    column.prop(field, "radial_falloff", text="Radial Power")
    _limit(column, field, "radial_min", "use_radial_min", f"Full within ({unit})")
    _limit(column, field, "radial_max", "use_radial_max", f"Out to ({unit})")


def _limit(
    column: bpy.types.UILayout, field: bpy.types.FieldSettings, name: str, use: str, text: str
) -> None:
    row = column.row(heading=text)
    row.prop(field, use, text="")
    part = row.row()
    part.enabled = getattr(field, use)
    part.prop(field, name, text="")


CLASSES = (PERPETUA_UL_forces, PERPETUA_PT_forces, PERPETUA_PT_falloff)
