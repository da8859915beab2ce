"""What the panels share: where the tab is, a list with its buttons, sentences that wrap."""

from __future__ import annotations

import bpy

from .. import session

LETTER_PX = 7
"""About how wide a letter is at a scale of 1."""


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
    layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, kind: str, rows: int = 3
) -> bpy.types.UILayout:
    """The list ``kind`` ("forces" ...) of the settings, and the column of buttons at its right, with the one to remove.

    The lists' classes are named ``PERPETUA_UL_<kind>``, the chosen entry ``<kind without s>_index``.
    """
    row = layout.row()
    chosen = f"{kind[:-1]}_index"
    row.template_list(f"PERPETUA_UL_{kind}", "", settings, kind, settings, chosen, rows=rows, maxrows=8)
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
    width = context.region.width if context.region else 300
    scale = context.preferences.system.ui_scale or 1.0  # 0 without a window
    letters = max(20, int(width / (LETTER_PX * scale)) - 8)
    line = ""
    column = layout.column(align=True)
    for word in text.split():
        if line and len(line) + len(word) >= letters:
            column.label(text=line, icon=icon)
            line, icon = "", "BLANK1"
        line = f"{line} {word}".strip()
    column.label(text=line, icon=icon)
