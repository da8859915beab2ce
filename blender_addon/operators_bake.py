"""Operators of the Bake panel, and those that load what was baked."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import IntProperty, StringProperty

from . import backend_process, bake, following, playback
from .batch import bake_and_wait, see_to
from .errors import EXPECTED, AddonError, PerpetuaOperator
from .reconstruction import import_reconstruction, match_picture

ALL_ROUNDS = -1


def _through(scene: bpy.types.Scene, through_round: int) -> int:
    rounds = len(scene.perpetua.rounds)
    if through_round == ALL_ROUNDS and rounds == 0:
        raise AddonError("The take has no round; add one and a force in it, or only reconstruct the picture.")
    return rounds if through_round == ALL_ROUNDS else through_round


class PERPETUA_OT_start_backend(PerpetuaOperator, bpy.types.Operator):
    """Start a backend on this machine; it ends with Blender"""

    bl_idname = "perpetua.start_backend"
    bl_label = "Start Backend"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        backend_process.start()


class PERPETUA_OT_stop_backend(PerpetuaOperator, bpy.types.Operator):
    """Stop the backend that this Blender started; what it baked is kept"""

    bl_idname = "perpetua.stop_backend"
    bl_label = "Stop Backend"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        if not backend_process.running():
            raise AddonError("No backend was started from this Blender.")
        backend_process.stop()


class PERPETUA_OT_reconstruct(PerpetuaOperator, bpy.types.Operator):
    """Turn the picture into a scene of splats: frame 0"""

    bl_idname = "perpetua.reconstruct"
    bl_label = "Reconstruct"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        see_to(bake.start(context.scene, 0))


class PERPETUA_OT_bake(PerpetuaOperator, bpy.types.Operator):
    """Bake the rounds; finished ones play while later ones bake, and what has not changed is not baked again"""

    bl_idname = "perpetua.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER"}  # noqa: RUF012

    through_round: IntProperty(  # type: ignore[valid-type]
        name="Through Round", description="The last round to bake; -1 is all", default=ALL_ROUNDS, min=-1
    )

    def act(self, context: bpy.types.Context) -> None:
        see_to(bake.start(context.scene, _through(context.scene, self.through_round)))


class PERPETUA_OT_bake_again(PerpetuaOperator, bpy.types.Operator):
    """Bake this round anew though nothing has changed, with other random choices of the video model; later rounds become outdated"""

    bl_idname = "perpetua.bake_again"
    bl_label = "Bake Again"
    bl_options = {"REGISTER"}  # noqa: RUF012

    round: IntProperty(name="Round", description="Its number, from 1", min=1)  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        scene = context.scene
        if self.round > len(scene.perpetua.rounds):
            raise AddonError(f"There is no round {self.round}; choose one in the list.")
        turn = scene.perpetua.rounds[self.round - 1]
        turn.draw += 1
        try:
            see_to(bake.start(scene, self.round))
        except EXPECTED:  # what is baked already is still what the round is
            turn.draw -= 1
            raise


class PERPETUA_OT_bake_and_wait(PerpetuaOperator, bpy.types.Operator):
    """Bake the rounds and return when they are done; for blender -b and scripts"""

    bl_idname = "perpetua.bake_and_wait"
    bl_label = "Bake and Wait"
    bl_options = {"REGISTER"}  # noqa: RUF012

    through_round: IntProperty(  # type: ignore[valid-type]
        name="Through Round", description="The last round to bake; -1 is all", default=ALL_ROUNDS, min=-1
    )

    def act(self, context: bpy.types.Context) -> None:
        bake_and_wait(context.scene, _through(context.scene, self.through_round))


class PERPETUA_OT_cancel(PerpetuaOperator, bpy.types.Operator):
    """Stop the bake; finished rounds are kept"""

    bl_idname = "perpetua.cancel"
    bl_label = "Cancel Bake"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        job = following.running()
        if job is None:
            raise AddonError("Nothing is baking.")
        job.cancel()


class PERPETUA_OT_pause(PerpetuaOperator, bpy.types.Operator):
    """Stop the bake for now; Resume goes on with the stage it is in, also after Blender was closed"""

    bl_idname = "perpetua.pause"
    bl_label = "Pause Bake"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        job = following.running()
        if job is None:
            raise AddonError("Nothing is baking.")
        job.pause()


class PERPETUA_OT_resume(PerpetuaOperator, bpy.types.Operator):
    """Go on with the bake that was paused, failed, or left running when its file was closed"""

    bl_idname = "perpetua.resume"
    bl_label = "Resume Bake"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        see_to(bake.resume(context.scene))


class PERPETUA_OT_load_cache(PerpetuaOperator, bpy.types.Operator):
    """Play a baked cache folder, with its cameras"""

    bl_idname = "perpetua.load_cache"
    bl_label = "Load Cache"

    directory: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="The folder that holds the cache's meta.json",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        if not self.directory:
            raise AddonError("No folder was chosen; choose the folder that holds the cache's meta.json.")
        playback.attach(context.scene, Path(bpy.path.abspath(self.directory)).resolve())
        import_reconstruction(context.scene)


class PERPETUA_OT_match_picture(PerpetuaOperator, bpy.types.Operator):
    """Show colours as the picture has them: view transform Standard, without a look, exposure or gamma"""

    bl_idname = "perpetua.match_picture"
    bl_label = "Match the Picture's Colours"

    def act(self, context: bpy.types.Context) -> None:
        match_picture(context.scene)


CLASSES = (
    PERPETUA_OT_start_backend,
    PERPETUA_OT_stop_backend,
    PERPETUA_OT_reconstruct,
    PERPETUA_OT_bake,
    PERPETUA_OT_bake_again,
    PERPETUA_OT_bake_and_wait,
    PERPETUA_OT_pause,
    PERPETUA_OT_resume,
    PERPETUA_OT_cancel,
    PERPETUA_OT_load_cache,
    PERPETUA_OT_match_picture,
)
