"""Rounds: the take's stretches on the timeline, what is baked and what is outdated, other takes, and each round's refiner."""

from __future__ import annotations

import bpy

from .. import following, round_status, session, suggestions, takes
from ..round_status import Status
from ..take_builder import round_starts
from . import layout as shared

ICONS: dict[str, str] = {"baked": "CHECKMARK", "outdated": "ERROR", "unbaked": "DOT", "baking": "SORTTIME"}

FRAMES_WIDTH = 2.5
"""Of the field for a round's frames, in heights of a row."""


class PERPETUA_UL_rounds(bpy.types.UIList):
    """Rounds, with the frames each covers and how it stands."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0) -> None:  # type: ignore[no-untyped-def]
        row = layout.row(align=True)
        first = context.scene.frame_start + round_starts(context.scene.perpetua)[index]
        status = _standing(context.scene, index)
        row.label(text=f"Round {index + 1}: {first} - {first + item.frames}", icon=ICONS[status])
        part = row.row()
        part.ui_units_x = FRAMES_WIDTH
        part.prop(item, "frames", text="")


def _standing(scene: bpy.types.Scene, index: int) -> str:
    """How round ``index`` (0-based) stands: as ``round_status`` says, or baking."""
    if following.running() is not None and session.current().rounds_ready == index:
        return "baking"
    return _drawn[index + 1] if index + 1 < len(_drawn) else "unbaked"


_drawn: list[Status] = []
"""How the rounds stood when the panel was last drawn: asked once a drawing, not once a row."""


class PERPETUA_PT_rounds(shared.Tab, bpy.types.Panel):
    bl_label = "Rounds"
    bl_idname = "PERPETUA_PT_rounds"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.perpetua
        _drawn[:] = round_status.statuses(context.scene)
        _draw_takes(layout, context)
        buttons = shared.list_with_buttons(layout, settings, "rounds")
        buttons.operator("perpetua.add_round", text="", icon="ADD")
        row = layout.row(align=True)
        row.enabled = bool(settings.rounds) and following.running() is None
        row.operator("perpetua.bake", text="Bake to Here", icon="PHYSICS").through_round = (
            settings.round_index + 1
        )
        row.operator(
            "perpetua.branch_take", text="Branch Here", icon="DECORATE_LIBRARY_OVERRIDE"
        ).after_round = settings.round_index + 1
        number = settings.round_index + 1
        if number < len(_drawn) and _drawn[number] == "baked" and following.running() is None:
            layout.operator("perpetua.bake_again", icon="FILE_REFRESH").round = number
        _draw_suggestion(layout, context)
        if "outdated" in _drawn:
            first = _drawn.index("outdated")
            what = "The picture's scene" if first == 0 else f"Round {first}"
            shared.sentence(
                layout, f"{what} has changed since it was baked; a bake goes on from there.", context
            )


def _draw_suggestion(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What the chosen round's videos say of the physics."""
    number = context.scene.perpetua.round_index + 1
    found = suggestions.of_round(context.scene, number)
    if found is None:
        return
    box = layout.box()
    shared.sentence(box, f"Its videos need {found.explains:.0%} less correction with:", context, "LIGHT")
    for index, finding in enumerate(found.findings):
        shared.sentence(box, suggestions.in_words(finding), context, "BLANK1")
        if suggestions.can_use(finding) and not found.accepted:
            button = box.operator("perpetua.use_suggestion", icon="CHECKMARK")
            button.round, button.index = number, index


def _draw_takes(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The takes of the picture, if there are several, and which one is compared with this."""
    found = takes.takes_of(context.scene)
    if len(found) < 2:
        return
    row = layout.row(align=True)
    for scene in found:
        button = row.operator(
            "perpetua.show_take", text=scene.perpetua.take_name, depress=scene == context.scene
        )
        button.scene = scene.name
    column = shared.properties(layout)
    column.prop(context.scene.perpetua, "compared")
    if context.scene.perpetua.compared is not None:
        column.prop(context.scene.perpetua, "compare_distance")


class PERPETUA_PT_round_refiner(shared.Tab, bpy.types.Panel):
    """The chosen round's own refiner."""

    bl_label = "Own Refiner for This Round"
    bl_idname = "PERPETUA_PT_round_refiner"
    bl_parent_id = "PERPETUA_PT_rounds"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return len(context.scene.perpetua.rounds) > 0

    def draw_header(self, context: bpy.types.Context) -> None:
        turn = shared.chosen(context.scene.perpetua, "rounds")
        if turn is not None:
            self.layout.prop(turn, "use_refiner", text="")

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.perpetua
        turn = shared.chosen(settings, "rounds")
        if turn is None:
            return
        column = self.layout.column()
        column.enabled = turn.use_refiner
        shared.properties(column).prop(turn, "refiner")
        draw_options(column, turn.options, settings.round_index)


def draw_options(layout: bpy.types.UILayout, options: bpy.types.bpy_prop_collection, of_round: int) -> None:
    """A refiner's options as rows of name and value. of_round: its place in the list, -1 for the take's refiner."""
    for option in options:
        row = layout.row(align=True)
        row.prop(option, "name", text="")
        row.prop(option, "value", text="")
        button = row.operator("perpetua.remove_option", text="", icon="X")
        button.round, button.name = of_round, option.name
    layout.operator("perpetua.add_option", icon="ADD").round = of_round


CLASSES = (PERPETUA_UL_rounds, PERPETUA_PT_rounds, PERPETUA_PT_round_refiner)
