"""Operators for work without a window: render frames, and a whole shot from its bake to its last frame."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from . import frame_ranges, playback, rendered_frames, round_status
from .batch import bake_and_wait
from .errors import AddonError, PerpetuaOperator

ALL_ROUNDS = -1


class _RendersFrames(PerpetuaOperator):
    """What both operators are told of the frames."""

    directory: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="Where the frames go; empty is //renders/<name of the .blend>",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    frames: StringProperty(  # type: ignore[valid-type]
        name="Frames", description="Frames of the timeline, such as 1-48 or 1,5,10-20; empty is all of it"
    )
    again: BoolProperty(  # type: ignore[valid-type]
        name="Again", description="Also render frames that are there and as they should be"
    )

    def render(self, scene: bpy.types.Scene) -> None:
        """Render what is missing and say what was done."""
        if self.frames.strip():
            frames = frame_ranges.parse(self.frames)
        else:
            frames = list(range(scene.frame_start, scene.frame_end + 1))
        folder = _folder(self.directory)
        outcome = rendered_frames.render_frames(scene, folder, frames, self.again)
        done = f"{len(outcome.rendered)} rendered, {len(outcome.kept)} found"
        print(f"Perpetua: {len(frames)} frames in {folder}: {done}", flush=True)


class PERPETUA_OT_render_frames(_RendersFrames, bpy.types.Operator):
    """Render the frames that are missing in a folder; one that was stopped goes on where it was"""

    bl_idname = "perpetua.render_frames"
    bl_label = "Render Frames"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        self.render(context.scene)


class PERPETUA_OT_bake_and_render(_RendersFrames, bpy.types.Operator):
    """Bake the rounds that are not baked as the scene stands, save, and render the frames that are missing"""

    bl_idname = "perpetua.bake_and_render"
    bl_label = "Bake and Render"
    bl_options = {"REGISTER"}  # noqa: RUF012

    through_round: IntProperty(  # type: ignore[valid-type]
        name="Through Round", description="The last round to bake; -1 is all", default=ALL_ROUNDS, min=-1
    )
    scene: StringProperty(name="Scene", description="Name of the scene; empty is the one that is shown")  # type: ignore[valid-type]
    do_bake: BoolProperty(name="Bake", description="Bake what is not baked", default=True)  # type: ignore[valid-type]
    do_render: BoolProperty(name="Render", description="Render the frames", default=True)  # type: ignore[valid-type]
    save: BoolProperty(  # type: ignore[valid-type]
        name="Save",
        description="Save the file after a bake, so that it opens with what was baked",
        default=True,
    )

    def act(self, context: bpy.types.Context) -> None:
        scene = bpy.data.scenes.get(self.scene) if self.scene else context.scene
        if scene is None:
            names = ", ".join(found.name for found in bpy.data.scenes)
            raise AddonError(f"There is no scene '{self.scene}'; there are: {names}.")
        if self.do_bake:
            self._bake(scene)
        if self.do_render:
            self.render(scene)

    def _bake(self, scene: bpy.types.Scene) -> None:
        rounds = len(scene.perpetua.rounds)
        through = rounds if self.through_round == ALL_ROUNDS else min(self.through_round, rounds)
        first = round_status.first_to_bake(round_status.statuses(scene)[: through + 1])
        if first is None:
            print(f"Perpetua: '{scene.name}' is baked", flush=True)
            return
        bake_and_wait(scene, through)
        if self.save and bpy.data.filepath:
            bpy.ops.wm.save_mainfile()


def _folder(directory: str) -> Path:
    if directory:
        return playback.resolve(directory)
    if not bpy.data.filepath:
        raise AddonError("Save the file first, or name a folder for the frames.")
    return playback.resolve(f"//renders/{Path(bpy.data.filepath).stem}")


CLASSES = (PERPETUA_OT_render_frames, PERPETUA_OT_bake_and_render)
