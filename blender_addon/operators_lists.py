"""The operator that takes an entry out of any of the tab's lists."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, IntProperty

from . import forces, playback
from .errors import AddonError, PerpetuaOperator


class PERPETUA_OT_remove(PerpetuaOperator, bpy.types.Operator):
    """Take this entry out of the list. An empty or camera that Perpetua made goes too; what is yours stays"""

    bl_idname = "perpetua.remove"
    bl_label = "Remove"

    kind: EnumProperty(  # type: ignore[valid-type]
        name="List",
        description="Which list",
        items=(
            ("things", "Object", "The picture's objects"),
            ("forces", "Force", "The forces"),
            ("cameras", "Camera", "The cameras"),
            ("rounds", "Round", "The rounds"),
        ),
    )
    index: IntProperty(name="Place", description="Its place in the list; -1 is the last", default=-1)  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        scene = context.scene
        entries = getattr(scene.perpetua, self.kind)
        index = self.index if self.index >= 0 else len(entries) - 1
        if not 0 <= index < len(entries):
            raise AddonError("There is nothing to remove; choose an entry of the list.")
        carrier = getattr(entries[index], "object", None)
        entries.remove(index)
        chosen = f"{self.kind[:-1]}_index"
        setattr(scene.perpetua, chosen, max(0, min(getattr(scene.perpetua, chosen), len(entries) - 1)))
        if carrier is None:
            return
        if carrier.name in playback.collection(scene).objects:
            bpy.data.objects.remove(carrier)
        elif self.kind == "forces":
            forces.unmark(carrier)


CLASSES = (PERPETUA_OT_remove,)
