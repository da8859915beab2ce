"""Operator that renders the scene's meshes along with the splats."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty

from . import mesh_scene
from .errors import PerpetuaOperator

ENGINES = (
    ("CYCLES", "Cycles", "Meshes in Cycles: their shadows fall on the splats, and the splats' on them"),
    ("EEVEE", "EEVEE", "Meshes in EEVEE: quicker, without shadows on the splats"),
    ("NONE", "Splats Alone", "The splats without meshes"),
)


class PERPETUA_OT_render_meshes(PerpetuaOperator, bpy.types.Operator):
    """Render the scene's meshes along with the splats: a second scene draws them, the compositor joins both by their depth"""

    bl_idname = "perpetua.render_meshes"
    bl_label = "Render with Meshes"

    engine: EnumProperty(name="Engine", description="What draws the meshes", items=ENGINES)  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context) -> None:
        if self.engine == "NONE":
            mesh_scene.take_down(context.scene)
        else:
            mesh_scene.set_up(context.scene, self.engine)


CLASSES = (PERPETUA_OT_render_meshes,)
