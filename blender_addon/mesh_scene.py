"""Rendering splats together with Blender's meshes: Cycles or EEVEE draws the meshes in a scene of its own, the compositor joins them.

    splats before the meshes, in their shadows  over  the meshes  over  splats behind the meshes, in their shadows

The second scene links what the first has, without Perpetua's own collection. Its layer "Meshes" sees the meshes. Its layer "Shadows",
of Cycles alone, sees only the stand-ins, which catch the shadows of the meshes (``stand_ins``).
"""

from __future__ import annotations

import bpy
from bpy.app.handlers import persistent

from . import compositor, handlers, playback, stand_ins
from .clouds import below
from .errors import AddonError
from .splat_engine import ENGINE

ENGINES = {"CYCLES": ("CYCLES",), "EEVEE": ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE")}
"""What the artist may choose: its names in Blender, of which each version has one."""
SAMPLES = 64
"""Of Cycles to begin with; the artist changes it in the second scene."""
MESHES, SHADOWS = "Meshes", "Shadows"
LOOSE = "Perpetua loose"
"""Collection of the second scene for objects that lie in none in the first."""
SAME = (
    "use_multiview",
    "views_format",
    "resolution_x",
    "resolution_y",
    "resolution_percentage",
    "pixel_aspect_x",
    "pixel_aspect_y",
    "use_border",
    "use_crop_to_border",
    "border_min_x",
    "border_max_x",
    "border_min_y",
    "border_max_y",
    "fps",
    "fps_base",
)
"""Render settings that both scenes share."""


def set_up(scene: bpy.types.Scene, engine: str) -> bpy.types.Scene:
    """Render the meshes of ``scene`` with ``engine`` (a key of ``ENGINES``) along with its splats. Returns the second scene.

    Raises ``AddonError`` when nothing is reconstructed, or the scene's compositor does not show it.
    """
    meta = playback.meta(scene)
    compositor.check(scene)
    meshes = scene.perpetua.mesh_scene or _new_scene(scene, engine)
    _name_engine(meshes, engine)
    if engine == "CYCLES" and SHADOWS not in meshes.view_layers:
        meshes.view_layers.new(SHADOWS)
    elif engine != "CYCLES" and SHADOWS in meshes.view_layers:
        meshes.view_layers.remove(meshes.view_layers[SHADOWS])
    stand_ins.make(meshes, scene.perpetua.splats, meta)
    scene.render.engine = ENGINE
    scene.perpetua.mesh_scene = meshes
    match(scene)
    compositor.part(scene)
    compositor.join(scene, meshes, MESHES, SHADOWS if engine == "CYCLES" else "")
    return meshes


def _new_scene(scene: bpy.types.Scene, engine: str) -> bpy.types.Scene:
    made = bpy.data.scenes.new(f"{scene.name} meshes")
    made.view_layers[0].name = MESHES
    try:
        _name_engine(made, engine)
    except AddonError:
        bpy.data.scenes.remove(made)
        raise
    if engine == "CYCLES":
        made.cycles.samples = SAMPLES
    return made


def take_down(scene: bpy.types.Scene) -> None:
    """Render the splats alone again. Raises ``AddonError`` when they are."""
    meshes = scene.perpetua.mesh_scene
    if meshes is None:
        raise AddonError("The splats are rendered alone already.")
    compositor.part(scene)
    scene.perpetua.mesh_scene = None
    stand_ins.remove(meshes)
    bpy.data.collections.remove(_loose(meshes))
    bpy.data.scenes.remove(meshes)


def leave(made: bpy.types.Scene, copied_from: bpy.types.Scene) -> None:
    """Make a copied scene one that renders its splats alone: the scene of the first one's meshes is not its own."""
    made.perpetua.mesh_scene = None
    compositor.own(made, copied_from)
    compositor.part(made)


def match(scene: bpy.types.Scene) -> None:
    """Give the second scene what the first one has now: objects, camera, world, size and time."""
    meshes = scene.perpetua.mesh_scene
    for name in SAME:
        setattr(meshes.render, name, getattr(scene.render, name))
    meshes.frame_start, meshes.frame_end = scene.frame_start, scene.frame_end
    meshes.camera, meshes.world = scene.camera, scene.world
    meshes.render.film_transparent = True
    own, loose = stand_ins.collection(meshes), _loose(meshes)
    kept = [loose] if own is None else [own, loose]  # the artist may have deleted the stand-ins
    _link_same(meshes.collection.children, [*scene.collection.children, *kept])
    _link_same(loose.objects, scene.collection.objects)
    hidden = playback.collection(scene)
    excluded = {child.collection for child in below(scene.view_layers[0].layer_collection) if child.exclude}
    for layer in meshes.view_layers:
        layer.update()  # its collections follow only then
        shadows = layer.name == SHADOWS
        for child in below(layer.layer_collection):  # from above: what is set for one is set for those in it
            standing_in = child.collection == own
            left_out = standing_in and meshes.render.engine != "CYCLES"
            _set(child, "exclude", left_out or child.collection == hidden or child.collection in excluded)
        for child in layer.layer_collection.children:
            _set(child, "indirect_only", (child.collection == own) != shadows)


def _set(child: bpy.types.LayerCollection, name: str, value: bool) -> None:
    """Set it if it is another: as a render begins, EEVEE of Blender 5.2 crashes when a layer is built anew for nothing."""
    if getattr(child, name) != value:
        setattr(child, name, value)


def _link_same(linked: bpy.types.bpy_prop_collection, wanted: list[bpy.types.ID]) -> None:
    for extra in set(linked) - set(wanted):
        linked.unlink(extra)
    for missing in set(wanted) - set(linked):
        linked.link(missing)


def _loose(meshes: bpy.types.Scene) -> bpy.types.Collection:
    for child in meshes.collection.children:
        if child.name.split(".")[0] == LOOSE:
            return child
    made = bpy.data.collections.new(LOOSE)
    meshes.collection.children.link(made)
    return made


def _name_engine(meshes: bpy.types.Scene, engine: str) -> None:
    for name in ENGINES[engine]:
        try:
            meshes.render.engine = name
        except TypeError:  # another version's name
            continue
        return
    raise AddonError(f"This Blender has no engine {engine}; switch its add-on on in the preferences.")


@persistent
def on_render(scene: bpy.types.Scene, *_: object) -> None:
    if scene.perpetua.mesh_scene is not None:
        match(scene)


HANDLERS = {"render_init": on_render}


def start() -> None:
    """Keep second scenes like their first from now on."""
    handlers.add(HANDLERS)


def stop() -> None:
    """Stop doing so."""
    handlers.remove(HANDLERS)
