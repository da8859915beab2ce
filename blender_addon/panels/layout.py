"""What the panels share: where the tab is, a list with its buttons, sentences that wrap."""

from __future__ import annotations

import blf
import bpy

from .. import session

FONT = 0
"""The interface's own."""
BESIDE_PX = 76
"""What a line of text leaves free of the sidebar's width, at a scale of 1: its icon, the margins and the tabs."""
WITHOUT_WINDOW_PX = 300
MOST_ROWS = 6
"""Of a list; a longer one scrolls."""


class Tab:
    """Where the panels are: the sidebar of the 3D viewport."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Perpetua"


def properties(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A column of properties with their names to the left, as in Blender's own panels."""
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def list_with_buttons(
    layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, kind: str, rows: int = 2
) -> bpy.types.UILayout:
    """The list ``kind`` ("forces" ...) of the settings, and the column of buttons at its right, with the one to remove.

    rows: of a list that is short, as many as there are buttons beside it. The lists' classes are named
    ``PERPETUA_UL_<kind>``, the chosen entry ``<kind without s>_index``.
    """
    row = layout.row()
    chosen = f"{kind[:-1]}_index"
    shown = min(max(rows, len(getattr(settings, kind))), MOST_ROWS)
    row.template_list(f"PERPETUA_UL_{kind}", "", settings, kind, settings, chosen, rows=shown, maxrows=shown)
    buttons = row.column(align=True)
    removing = buttons.row(align=True)
    removing.enabled = 0 <= getattr(settings, chosen) < len(getattr(settings, kind))
    button = removing.operator("perpetua.remove", text="", icon="REMOVE")
    button.kind, button.index = kind, getattr(settings, chosen)
    return buttons


def chosen(settings: bpy.types.PropertyGroup, kind: str) -> bpy.types.PropertyGroup | None:
    """The chosen entry of the list ``kind``, None when the list is empty."""
    entries, index = getattr(settings, kind), getattr(settings, f"{kind[:-1]}_index")
    return entries[index] if 0 <= index < len(entries) else None


def progress(layout: bpy.types.UILayout, state: session.Session) -> None:
    """The bar of the bake under way: the stage, how far all of it is, and the time left once it is known."""
    left = f" - {session.clock(state.eta_s)} left" if state.eta_s is not None else ""
    text = f"{state.stage or 'waiting'} {state.overall:.0%}{left}"
    layout.progress(text=text, factor=state.overall, type="BAR")


def sentence(layout: bpy.types.UILayout, text: str, context: bpy.types.Context, icon: str = "INFO") -> None:
    """A sentence over as many lines as the sidebar's width needs."""
    scale = context.preferences.system.ui_scale or 1.0  # 0 without a window
    width = context.region.width / scale if context.region else WITHOUT_WINDOW_PX
    blf.size(FONT, context.preferences.ui_styles[0].widget.points)
    line = ""
    column = layout.column(align=True)
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and blf.dimensions(FONT, longer)[0] > width - BESIDE_PX:
            column.label(text=line, icon=icon)
            longer, icon = word, "BLANK1"
        line = longer
    column.label(text=line, icon=icon)
