"""Operators that choose what a scene plays on, and look at it."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, StringProperty

from . import inputs, look, marking, session
from .batch import see_to
from .errors import EXPECTED, AddonError, PerpetuaOperator


class PERPETUA_OT_open_picture(PerpetuaOperator, bpy.types.Operator):
    """Open a picture to play on; or several pictures of one scene, a video around it, splats (.ply, .splat), or a capture"""

    bl_idname = "perpetua.open_picture"
    bl_label = "Open"

    filepath: StringProperty(  # type: ignore[valid-type]
        name="File",
        description="The picture's, video's or splats' file, a capture's transforms.json or its folder",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    files: CollectionProperty(  # type: ignore[valid-type]
        type=bpy.types.OperatorFileListElement,
        description="Pictures of the same scene beside it, where there are several",
        options={"HIDDEN", "SKIP_SAVE"},
    )
    filter_glob: StringProperty(default=inputs.PATTERNS, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        scene, settings = context.scene, context.scene.perpetua
        path = Path(bpy.path.abspath(self.filepath)).resolve()
        chosen = inputs.opened(path, [file.name for file in self.files])
        image = None if chosen.front is None else marking.image_of(chosen.front)
        inputs.store(scene, chosen)
        settings.take_name = bpy.path.clean_name(chosen.name)
        for entry in settings.cameras:
            entry.placed = [0.0] * 17  # the next reconstruction finds the camera anew
        scene.render.resolution_percentage = 100
        if image is not None:
            scene.render.resolution_x, scene.render.resolution_y = image.size
            marking.show_picture(context)
        elif not bpy.app.background:
            _look_after_opening(scene)


def _look_after_opening(scene: bpy.types.Scene) -> None:
    """The file is open whether or not the backend can show it: what is wrong stands in the panel, beside the button that tries again."""
    try:
        see_to(look.start(scene))
    except EXPECTED as error:
        session.current().sentence = str(error)


class PERPETUA_OT_look(PerpetuaOperator, bpy.types.Operator):
    """Have the backend draw the picture that objects are clicked in; for splats, seen from before and above them"""

    bl_idname = "perpetua.look"
    bl_label = "Look"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        if inputs.kind(context.scene.perpetua) != "splats":
            raise AddonError("Only splats have to be looked at; objects are clicked in the picture itself.")
        see_to(look.start(context.scene))


CLASSES = (PERPETUA_OT_open_picture, PERPETUA_OT_look)
