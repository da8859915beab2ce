"""Bake: the backend, the quality and the refiner, and a bake's progress with its picture so far."""

from __future__ import annotations

import bpy

from .. import backend_process, bake, preferences, round_status, session
from . import layout as shared
from .rounds import draw_options

PICTURE_SCALE = 7.0
"""Height of the picture so far, in rows of the panel."""


class PERPETUA_PT_bake(shared.Tab, bpy.types.Panel):
    bl_label = "Bake"
    bl_idname = "PERPETUA_PT_bake"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings, state = self.layout, context.scene.perpetua, session.current()
        _draw_backend(layout)
        layout.row(align=True).prop(settings, "quality", expand=True)
        column = shared.properties(layout)
        column.prop(settings, "take_name")
        column.prop(settings, "bake_folder")
        if state.baking:
            _draw_progress(layout, state)
        else:
            _draw_buttons(layout, context)
        sentence = state.sentence or backend_process.failure()
        if sentence:
            shared.sentence(layout, sentence, context)
        if state.picture:
            layout.template_icon(state.picture, scale=PICTURE_SCALE)


class PERPETUA_PT_refiner(shared.Tab, bpy.types.Panel):
    """The take's refiner."""

    bl_label = "Refiner"
    bl_idname = "PERPETUA_PT_refiner"
    bl_parent_id = "PERPETUA_PT_bake"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.perpetua
        shared.properties(self.layout).prop(settings, "refiner")
        draw_options(self.layout, settings.refiner_options, -1)
        shared.properties(self.layout).prop(settings, "identify")


class PERPETUA_PT_quality(shared.Tab, bpy.types.Panel):
    """What is changed of the quality."""

    bl_label = "Details"
    bl_idname = "PERPETUA_PT_quality"
    bl_parent_id = "PERPETUA_PT_bake"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        column = shared.properties(self.layout)
        for name in ("particles", "video_width", "splat_width", "optimise_renders", "seed"):
            column.prop(context.scene.perpetua, name)
        column.label(text="0 takes the quality's own", icon="INFO")


def _draw_backend(layout: bpy.types.UILayout) -> None:
    row = layout.row(align=True)
    if backend_process.running():
        row.label(text="Own backend runs", icon="CHECKMARK")
        row.operator("perpetua.stop_backend", text="", icon="CANCEL")
    elif backend_process.failure() is not None:
        row.label(text="The backend ended", icon="ERROR")
        row.operator("perpetua.open_log", text="", icon="TEXT")
        row.operator("perpetua.start_backend", text="", icon="PLAY")
    elif preferences.connection_file().exists():
        row.label(text=preferences.address_in_short(), icon="LINKED")
        row.operator("perpetua.start_backend", text="", icon="PLAY")
    else:
        row.operator("perpetua.start_backend", icon="PLAY")


def _draw_buttons(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    column = layout.column(align=True)
    column.scale_y = 1.3
    if bake.can_resume(context.scene):
        column.operator("perpetua.resume", text="Resume", icon="PLAY")
    column.operator("perpetua.bake", text=bake_text(context.scene), icon="PHYSICS").through_round = -1


def bake_text(scene: bpy.types.Scene) -> str:
    """What the button would do: the rounds it bakes."""
    rounds = len(scene.perpetua.rounds)
    first = round_status.first_to_bake(round_status.statuses(scene))
    if first is None and rounds:
        return "All Is Baked"
    if rounds == 0 or first is None or first <= 1:
        return "Bake"
    return f"Bake Round {first}" if first == rounds else f"Bake Rounds {first} - {rounds}"


def _draw_progress(layout: bpy.types.UILayout, state: session.Session) -> None:
    shared.progress(layout, state)
    if state.text:
        layout.label(text=state.text)
    row = layout.row(align=True)
    row.operator("perpetua.pause", text="Pause", icon="PAUSE")
    row.operator("perpetua.cancel", text="Cancel", icon="X")


CLASSES = (PERPETUA_PT_bake, PERPETUA_PT_refiner, PERPETUA_PT_quality)
