"""Operators of the Rounds panel: rounds one after the other, other takes of the same picture, a round's own refiner."""

from __future__ import annotations

import bpy
from bpy.props import IntProperty, StringProperty

from . import playback, suggestions, takes
from .errors import AddonError, PerpetuaOperator


class PERPETUA_OT_add_round(PerpetuaOperator, bpy.types.Operator):
    """Add a round to the take; the forces whose time lies in it act in it"""

    bl_idname = "perpetua.add_round"
    bl_label = "Add Round"

    frames: IntProperty(  # type: ignore[valid-type]
        name="Frames", description="How long the round is", min=1, max=100_000, default=36
    )

    def act(self, context: bpy.types.Context) -> None:
        scene, settings = context.scene, context.scene.perpetua
        before = scene.frame_end if settings.rounds else 0
        settings.rounds.add().frames = self.frames
        settings.round_index = len(settings.rounds) - 1
        scene.frame_end = max(before, playback.planned_end(scene))


class PERPETUA_OT_branch_take(PerpetuaOperator, bpy.types.Operator):
    """Try something else after this round: a second take in a scene of its own, with the rounds so far"""

    bl_idname = "perpetua.branch_take"
    bl_label = "Branch Take"

    name: StringProperty(name="Name", description="Name of the new take; numbered if empty")  # type: ignore[valid-type]
    after_round: IntProperty(  # type: ignore[valid-type]
        name="After Round", description="Rounds it shares with this take; -1 is all", default=-1, min=-1
    )

    def act(self, context: bpy.types.Context) -> None:
        scene = context.scene
        rounds = len(scene.perpetua.rounds)
        number = 1 + len(takes.takes_of(scene))
        name = self.name or f"{scene.perpetua.take_name} {number}"
        made = takes.branch(scene, name, rounds if self.after_round < 0 else self.after_round)
        if context.window is not None:
            context.window.scene = made


class PERPETUA_OT_show_take(PerpetuaOperator, bpy.types.Operator):
    """Go to this take's scene"""

    bl_idname = "perpetua.show_take"
    bl_label = "Show Take"

    scene: StringProperty(name="Scene", description="Name of the take's scene")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        found = bpy.data.scenes.get(self.scene)
        if found is None:
            raise AddonError(f"There is no scene '{self.scene}'; choose a take of the list.")
        context.window.scene = found


class _OfRefiner(PerpetuaOperator):
    """An option of the take's refiner, or of a round's own."""

    round: IntProperty(name="Round", description="Its place in the list; -1 is the take", default=-1, min=-1)  # type: ignore[valid-type]

    def chosen_options(self, context: bpy.types.Context) -> bpy.types.bpy_prop_collection:
        settings = context.scene.perpetua
        if self.round < 0:
            return settings.refiner_options
        if self.round >= len(settings.rounds):
            raise AddonError("There is no such round; choose one in the list.")
        return settings.rounds[self.round].options


class PERPETUA_OT_add_option(_OfRefiner, bpy.types.Operator):
    """Give the refiner an option, such as its model, prompt or strength"""

    bl_idname = "perpetua.add_option"
    bl_label = "Add Option"

    name: StringProperty(name="Name", description="Name of the option", default="prompt")  # type: ignore[valid-type]
    value: StringProperty(name="Value", description="A number, true, false, or words")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        options = self.chosen_options(context)
        if self.name in options:
            raise AddonError(f"The refiner has the option '{self.name}' already; change it there.")
        made = options.add()
        made.name, made.value = self.name, self.value


class PERPETUA_OT_remove_option(_OfRefiner, bpy.types.Operator):
    """Take this option away; the refiner's own value counts again"""

    bl_idname = "perpetua.remove_option"
    bl_label = "Remove Option"

    name: StringProperty(name="Name", description="Name of the option")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        options = self.chosen_options(context)
        if self.name not in options:
            raise AddonError(f"The refiner has no option '{self.name}'.")
        options.remove(options.find(self.name))


class PERPETUA_OT_use_suggestion(PerpetuaOperator, bpy.types.Operator):
    """Give the material this value, which the round's refined videos speak for. The take is outdated by it"""

    bl_idname = "perpetua.use_suggestion"
    bl_label = "Use"

    round: IntProperty(name="Round", description="Its number, from 1", min=1)  # type: ignore[valid-type]
    index: IntProperty(name="Finding", description="Its place among the round's findings", min=0)  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        found = suggestions.of_round(context.scene, self.round)
        if found is None or self.index >= len(found.findings):
            raise AddonError(
                "The round's videos suggest nothing of the kind; bake it with Ask the Videos first."
            )
        suggestions.use(context.scene, found.findings[self.index])


CLASSES = (
    PERPETUA_OT_add_round,
    PERPETUA_OT_branch_take,
    PERPETUA_OT_show_take,
    PERPETUA_OT_add_option,
    PERPETUA_OT_remove_option,
    PERPETUA_OT_use_suggestion,
)
