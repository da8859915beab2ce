"""Operators of the Scene panel: the picture's objects, their marks and parts."""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from . import marking, redraw, session
from .errors import AddonError, PerpetuaOperator
from .materials import MATERIALS, PARAMETERS
from .suggestions import change_material

DRAG_PX = 6
"""Mouse travel from which a click is a box."""


class PERPETUA_OT_add_object(PerpetuaOperator, bpy.types.Operator):
    """Add an object of the picture by a point inside it (pixels from the picture's top left corner)"""

    bl_idname = "perpetua.add_object"
    bl_label = "Add Object"

    name: StringProperty(name="Name", description="What to call it", default="object")  # type: ignore[valid-type]
    x: FloatProperty(name="X", description="Pixels from the picture's left edge", min=0.0)  # type: ignore[valid-type]
    y: FloatProperty(name="Y", description="Pixels from the picture's top edge", min=0.0)  # type: ignore[valid-type]
    material: EnumProperty(  # type: ignore[valid-type]
        name="Material", description="What it is made of", items=MATERIALS, default="clay"
    )
    height: FloatProperty(  # type: ignore[valid-type]
        name="Height", description="Real height; 0 lets Perpetua guess", unit="LENGTH", min=0.0
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def act(self, context: bpy.types.Context) -> None:
        settings = context.scene.perpetua
        if not self.name.strip():
            raise AddonError("The object needs a name; type one.")
        if self.name in settings.things:
            raise AddonError(f"There is an object '{self.name}' already; give this one another name.")
        marking.add_click(context.scene, self.name, self.x, self.y, inside=True)
        thing = settings.things[self.name]
        thing.material, thing.height = self.material, self.height


class PERPETUA_OT_add_click(PerpetuaOperator, bpy.types.Operator):
    """Add a point to an object by its pixel: inside it, or on what does not belong to it"""

    bl_idname = "perpetua.add_click"
    bl_label = "Add Point"

    name: StringProperty(name="Object", description="Name of the object")  # type: ignore[valid-type]
    region: StringProperty(name="Part", description="Name of its part; empty is the whole object")  # type: ignore[valid-type]
    x: FloatProperty(name="X", description="Pixels from the picture's left edge", min=0.0)  # type: ignore[valid-type]
    y: FloatProperty(name="Y", description="Pixels from the picture's top edge", min=0.0)  # type: ignore[valid-type]
    inside: BoolProperty(name="Inside", description="Off for what does not belong to it", default=True)  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def act(self, context: bpy.types.Context) -> None:
        if self.name not in context.scene.perpetua.things:
            raise AddonError(f"There is no object '{self.name}'; add it first.")
        marking.add_click(context.scene, self.name, self.x, self.y, self.inside, self.region)


class PERPETUA_OT_set_box(PerpetuaOperator, bpy.types.Operator):
    """Mark an object, or a part of one, by a box around it (pixels from the picture's top left corner)"""

    bl_idname = "perpetua.set_box"
    bl_label = "Set Box"

    name: StringProperty(name="Object", description="Name of the object; it is made if there is none")  # type: ignore[valid-type]
    region: StringProperty(name="Part", description="Name of its part; empty is the whole object")  # type: ignore[valid-type]
    box: FloatVectorProperty(name="Box", description="Left, top, right and bottom edge", size=4)  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        marking.set_box(context.scene, self.name, tuple(self.box), self.region)


class PERPETUA_OT_clear_marks(PerpetuaOperator, bpy.types.Operator):
    """Forget the points and the box of this object or part, to mark it anew"""

    bl_idname = "perpetua.clear_marks"
    bl_label = "Clear Marks"

    name: StringProperty(name="Object", description="Name of the object")  # type: ignore[valid-type]
    region: StringProperty(name="Part", description="Name of its part; empty is the whole object")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        marked = marking.marked(context.scene, self.name, self.region)
        marked.clicks.clear()
        marked.use_box = False


class PERPETUA_OT_click_picture(bpy.types.Operator):
    """Click the object in the picture, or drag a box around it. Ctrl-click: not the object. Esc: stop"""

    bl_idname = "perpetua.click_picture"
    bl_label = "Click in Picture"

    name: StringProperty(name="Object", description="Name of the object", default="object")  # type: ignore[valid-type]
    region: StringProperty(name="Part", description="Name of its part; empty is the whole object")  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        try:
            marking.show_picture(context)
        except AddonError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._pressed: tuple[int, int, float, float] | None = None
        context.window.cursor_modal_set("CROSSHAIR")
        context.workspace.status_text_set(self.__doc__)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type in {"ESC", "RIGHTMOUSE"}:
            self._stop(context)
            return {"CANCELLED"}
        if event.type != "LEFTMOUSE":
            return {"PASS_THROUGH"}
        try:
            place = marking.place_in_picture(context, event)
            if event.value == "PRESS" and place is not None:
                self._pressed = (event.mouse_x, event.mouse_y, *place)
                return {"RUNNING_MODAL"}
            if event.value != "RELEASE" or self._pressed is None:
                return {"PASS_THROUGH"}
            self._mark(context, event, place)
        except AddonError as error:
            self._stop(context)
            session.current().sentence = str(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._stop(context)
        session.current().sentence = ""
        redraw.editors()  # a modal operator's own area alone is drawn again, and that is another
        bpy.ops.ed.undo_push(message="Click in Picture")
        return {"FINISHED"}

    def _mark(
        self, context: bpy.types.Context, event: bpy.types.Event, place: tuple[float, float] | None
    ) -> None:
        mouse_x, mouse_y, x, y = self._pressed
        if abs(event.mouse_x - mouse_x) < DRAG_PX and abs(event.mouse_y - mouse_y) < DRAG_PX:
            marking.add_click(context.scene, self.name, x, y, not event.ctrl, self.region)
        elif place is None:
            raise AddonError("The box ended outside the picture's editor; drag it inside.")
        else:
            marking.set_box(context.scene, self.name, (x, y, *place), self.region)

    def _stop(self, context: bpy.types.Context) -> None:
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)


class PERPETUA_OT_add_region(PerpetuaOperator, bpy.types.Operator):
    """Add a part of this object that is made of something else: jam in a dumpling, ice in a drink"""

    bl_idname = "perpetua.add_region"
    bl_label = "Add Part"

    name: StringProperty(name="Object", description="Name of the object")  # type: ignore[valid-type]
    region: StringProperty(name="Part", description="What to call the part", default="part")  # type: ignore[valid-type]
    material: EnumProperty(  # type: ignore[valid-type]
        name="Material", description="What the part is made of", items=MATERIALS, default="jelly"
    )

    def act(self, context: bpy.types.Context) -> None:
        thing = marking.marked(context.scene, self.name, "")
        name, number = self.region.strip() or "part", 1
        while name in thing.regions:
            number += 1
            name = f"{self.region} {number}"
        part = thing.regions.add()
        part.name, part.material = name, self.material
        thing.region_index = len(thing.regions) - 1


class PERPETUA_OT_remove_region(PerpetuaOperator, bpy.types.Operator):
    """Take this part away; the object's own material fills its place"""

    bl_idname = "perpetua.remove_region"
    bl_label = "Remove Part"

    name: StringProperty(name="Object", description="Name of the object")  # type: ignore[valid-type]
    region: StringProperty(name="Part", description="Name of the part")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        thing = marking.marked(context.scene, self.name, "")
        marking.marked(context.scene, self.name, self.region)
        thing.regions.remove(thing.regions.find(self.region))


class PERPETUA_OT_change_material(PerpetuaOperator, bpy.types.Operator):
    """Change a number of this material, such as its density or its stiffness"""

    bl_idname = "perpetua.change_material"
    bl_label = "Adjust Material"

    name: StringProperty(name="Object", description="Name of the object")  # type: ignore[valid-type]
    region: StringProperty(name="Part", description="Name of its part; empty is the whole object")  # type: ignore[valid-type]
    parameter: EnumProperty(name="What", description="Which number", items=PARAMETERS)  # type: ignore[valid-type]
    value: FloatProperty(name="Value", description="Its value instead of the material's own", default=1000.0)  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def act(self, context: bpy.types.Context) -> None:
        change_material(context.scene, self.name, self.region, self.parameter, self.value)


class PERPETUA_OT_keep_material(PerpetuaOperator, bpy.types.Operator):
    """Use the material's own number again"""

    bl_idname = "perpetua.keep_material"
    bl_label = "Own Number Again"

    name: StringProperty(name="Object", description="Name of the object")  # type: ignore[valid-type]
    region: StringProperty(name="Part", description="Name of its part; empty is the whole object")  # type: ignore[valid-type]
    index: IntProperty(name="Number", description="Its place among the changed numbers")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        changes = marking.marked(context.scene, self.name, self.region).changes
        if not 0 <= self.index < len(changes):
            raise AddonError("There is no such change of the material.")
        changes.remove(self.index)


CLASSES = (
    PERPETUA_OT_add_object,
    PERPETUA_OT_add_click,
    PERPETUA_OT_set_box,
    PERPETUA_OT_clear_marks,
    PERPETUA_OT_click_picture,
    PERPETUA_OT_add_region,
    PERPETUA_OT_remove_region,
    PERPETUA_OT_change_material,
    PERPETUA_OT_keep_material,
)
