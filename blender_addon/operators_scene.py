"""Operators of the Scene panel: the picture, its objects and clicks, and the reconstruction."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from . import bake, session
from .batch import bake_and_wait
from .errors import AddonError, PerpetuaOperator
from .properties import MATERIALS
from .take_builder import picture_path


def picture_image(scene: bpy.types.Scene) -> bpy.types.Image:
    """The picture as a Blender image. Raises ``AddonError`` when it cannot be read."""
    path = picture_path(scene)
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise AddonError(f"{path.name} is not a picture Blender can read; use a PNG or JPEG.") from error
    if image.size[0] == 0 or image.size[1] == 0:
        raise AddonError(f"{path.name} is not a picture Blender can read; use a PNG or JPEG.")
    return image


def add_click(scene: bpy.types.Scene, name: str, x: float, y: float, inside: bool) -> None:
    """Add a click [px from the picture's top left] to the object ``name``, which is made if there is none."""
    width, height = picture_image(scene).size
    if not (0 <= x < width and 0 <= y < height):
        raise AddonError(f"The click at {x:g}, {y:g} is outside the picture ({width} x {height} pixels).")
    settings = scene.perpetua
    thing = settings.things.get(name)
    if thing is None:
        thing = settings.things.add()
        thing.name = name
        settings.thing_index = len(settings.things) - 1
    click = thing.clicks.add()
    click.x, click.y, click.inside = x, y, inside


class PERPETUA_OT_open_picture(PerpetuaOperator, bpy.types.Operator):
    """Open the picture to play on"""

    bl_idname = "perpetua.open_picture"
    bl_label = "Open Picture"

    filepath: StringProperty(subtype="FILE_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"})  # type: ignore[valid-type]
    filter_image: BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        scene, settings = context.scene, context.scene.perpetua
        path = Path(bpy.path.abspath(self.filepath)).resolve()
        before, settings.picture = settings.picture, str(path)
        try:
            image = picture_image(scene)
        except AddonError:
            settings.picture = before
            raise
        settings.take_name = bpy.path.clean_name(path.stem)
        settings.things.clear()
        for entry in settings.cameras:
            entry.placed = [0.0] * 17  # the next reconstruction finds the camera anew
        scene.render.resolution_x, scene.render.resolution_y = image.size
        scene.render.resolution_percentage = 100
        for window in context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "IMAGE_EDITOR":
                    area.spaces.active.image = image


class PERPETUA_OT_add_object(PerpetuaOperator, bpy.types.Operator):
    """Add an object of the picture by a point inside it (pixels from the picture's top left corner)"""

    bl_idname = "perpetua.add_object"
    bl_label = "Add Object"

    name: StringProperty(name="Name", default="object")  # type: ignore[valid-type]
    x: FloatProperty(name="X", min=0.0)  # type: ignore[valid-type]
    y: FloatProperty(name="Y", min=0.0)  # type: ignore[valid-type]
    material: EnumProperty(name="Material", items=MATERIALS, default="clay")  # type: ignore[valid-type]
    height: FloatProperty(name="Height", unit="LENGTH", min=0.0)  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def act(self, context: bpy.types.Context) -> None:
        settings = context.scene.perpetua
        if not self.name.strip():
            raise AddonError("The object needs a name; type one.")
        if self.name in settings.things:
            raise AddonError(f"There is an object '{self.name}' already; give this one another name.")
        add_click(context.scene, self.name, self.x, self.y, inside=True)
        thing = settings.things[self.name]
        thing.material, thing.height = self.material, self.height


class PERPETUA_OT_add_click(PerpetuaOperator, bpy.types.Operator):
    """Add a point to an object by its pixel: inside it, or on what does not belong to it"""

    bl_idname = "perpetua.add_click"
    bl_label = "Add Point"

    name: StringProperty(name="Object")  # type: ignore[valid-type]
    x: FloatProperty(name="X", min=0.0)  # type: ignore[valid-type]
    y: FloatProperty(name="Y", min=0.0)  # type: ignore[valid-type]
    inside: BoolProperty(name="Inside", default=True)  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def act(self, context: bpy.types.Context) -> None:
        if self.name not in context.scene.perpetua.things:
            raise AddonError(f"There is no object '{self.name}'; add it first.")
        add_click(context.scene, self.name, self.x, self.y, self.inside)


class PERPETUA_OT_click_picture(bpy.types.Operator):
    """Click the object in an Image Editor that shows the picture (Ctrl-click: not the object; Esc: stop)"""

    bl_idname = "perpetua.click_picture"
    bl_label = "Click in Picture"

    name: StringProperty(name="Object", default="object")  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not any(area.type == "IMAGE_EDITOR" for area in context.screen.areas):
            self.report({"ERROR"}, "Open an Image Editor to click in, or type the pixel with Add Object.")
            return {"CANCELLED"}
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type in {"ESC", "RIGHTMOUSE"}:
            context.window.cursor_modal_restore()
            return {"CANCELLED"}
        if event.type != "LEFTMOUSE" or event.value != "PRESS":
            return {"PASS_THROUGH"}
        place = _place_in_picture(context, event)
        if place is None:
            return {"PASS_THROUGH"}
        context.window.cursor_modal_restore()
        try:
            add_click(context.scene, self.name, *place, inside=not event.ctrl)
        except AddonError as error:
            session.current().sentence = str(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.current().sentence = ""
        bpy.ops.ed.undo_push(message="Click in Picture")
        return {"FINISHED"}


def _place_in_picture(context: bpy.types.Context, event: bpy.types.Event) -> tuple[float, float] | None:
    """Pixel under the mouse, from the picture's top left; None outside every Image Editor."""
    for area in context.screen.areas:
        if area.type != "IMAGE_EDITOR":
            continue
        region = next(region for region in area.regions if region.type == "WINDOW")
        x, y = event.mouse_x - region.x, event.mouse_y - region.y
        if 0 <= x < region.width and 0 <= y < region.height:
            u, v = region.view2d.region_to_view(x, y)
            width, height = picture_image(context.scene).size
            return u * width, (1 - v) * height
    return None


class PERPETUA_OT_reconstruct(PerpetuaOperator, bpy.types.Operator):
    """Turn the picture into a scene of splats: frame 0"""

    bl_idname = "perpetua.reconstruct"
    bl_label = "Reconstruct"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def act(self, context: bpy.types.Context) -> None:
        if bpy.app.background:
            bake_and_wait(context.scene, 0)
            return
        bake.start(context.scene, 0)
        bake.start_timer()


class PERPETUA_OT_remove(PerpetuaOperator, bpy.types.Operator):
    """Remove this entry of the list (a force's or camera's object as well)"""

    bl_idname = "perpetua.remove"
    bl_label = "Remove"

    kind: EnumProperty(  # type: ignore[valid-type]
        items=(
            ("things", "Object", ""),
            ("forces", "Force", ""),
            ("cameras", "Camera", ""),
            ("rounds", "Round", ""),
        )
    )
    index: IntProperty(default=-1)  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        entries = getattr(context.scene.perpetua, self.kind)
        index = self.index if self.index >= 0 else len(entries) - 1
        if not 0 <= index < len(entries):
            raise AddonError("There is nothing to remove; choose an entry of the list.")
        thing = getattr(entries[index], "object", None)
        entries.remove(index)
        if thing is not None:
            bpy.data.objects.remove(thing)


CLASSES = (
    PERPETUA_OT_open_picture,
    PERPETUA_OT_add_object,
    PERPETUA_OT_add_click,
    PERPETUA_OT_click_picture,
    PERPETUA_OT_reconstruct,
    PERPETUA_OT_remove,
)
