"""The artist opens the file again that was closed while it baked: the bake goes on, its frames play and are rendered.

    blender --enable-event-simulate --python tests/gui/next_day.py -- PICTURE PICTURES_FOLDER

Runs after ``first_take.py`` in the same folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy
from mathutils import Vector

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "protocol"), str(Path(__file__).parent)]

import viewport  # noqa: E402
from hands import RIGHT, Hands, Wait, play  # noqa: E402
from studio import (  # noqa: E402
    BAKE_S,
    BELOW_PX,
    MODULE,
    PICTURES,
    SHOT,
    part,
    press_to_go_on,
    quit_blender,
    session,
    set_up,
    settings,
    stopped,
)


def open_again(hands: Hands) -> Wait:
    yield from set_up(hands)
    bpy.ops.wm.open_mainfile(filepath=str(SHOT))
    yield 1.0
    yield from hands.open_tab("Perpetua")
    yield from hands.find("perpetua.resume")
    yield from hands.picture("15_opened_again")


def resume(hands: Hands) -> Wait:
    yield from press_to_go_on(hands)
    yield from hands.until(lambda: not session().baking, BAKE_S, "all is baked")
    assert session().sentence == "", session().sentence
    scene = bpy.context.scene
    frames = sum(turn.frames for turn in settings().rounds)
    assert part("playback").meta(scene).frames == 1 + frames
    assert part("round_status").statuses(scene) == ["baked"] * (1 + len(settings().rounds))
    yield from hands.scroll(BELOW_PX)
    yield from hands.picture("16_baked")


def change(hands: Hands) -> Wait:
    """What a change outdates is marked, and nothing else."""
    scene, push = bpy.context.scene, settings().forces[0].object
    yield from hands.press("perpetua.branch_take", RIGHT)
    assert hands.window.scene != scene, "the branch has a scene of its own"
    yield from hands.picture("17_branched")
    with bpy.context.temp_override(window=hands.window):
        bpy.ops.perpetua.show_take(scene=scene.name)
    push["perpetua_force"] = 6.0
    yield from hands.find("perpetua.bake(through_round=-1")
    yield from hands.scroll(BELOW_PX // 2)
    found = part("round_status").statuses(scene)
    assert found[:2] == ["baked", "outdated"], found
    yield from hands.picture("18_outdated")
    push["perpetua_force"] = 5.0


def look_closely(hands: Hands) -> Wait:
    """Keep what the viewport draws at the first and the last frame, and with a mesh before and behind the object."""
    scene = bpy.context.scene
    body = part("playback").meta(scene).bodies[0]
    middle = (Vector(body.lower) + Vector(body.upper)) / 2
    size = (Vector(body.upper) - Vector(body.lower)).length
    away = size * (middle - scene.camera.matrix_world.translation).normalized()
    for name, frame in (("first", scene.frame_start), ("last", scene.frame_end)):
        scene.frame_set(frame)
        yield from viewport.bare(hands, f"close_{name}")
    for name, place in (("before", middle - away), ("behind", middle + away)):
        with bpy.context.temp_override(window=hands.window):
            bpy.ops.mesh.primitive_cube_add(size=0.2 * size, location=place)
        yield from viewport.bare(hands, f"close_{name}")
        bpy.data.objects.remove(scene.objects["Cube.001"])
    (PICTURES / "frame.json").write_text(json.dumps(viewport.frame(hands)))


def scrub(hands: Hands) -> Wait:
    scene = bpy.context.scene
    region = hands.region("DOPESHEET_EDITOR")
    for frame in (3, 9, 5):
        x, _ = region.view2d.view_to_region(frame, 0, clip=False)
        yield from hands.click(region.x + x, region.y + region.height - 8)
        yield from hands.until(
            lambda frame=frame: scene.frame_current == frame, 60, f"frame {frame} was shown"
        )
    for display in ("POINTS", "ELLIPSOIDS", "SPLATS"):
        settings().display = display
        yield from hands.picture(f"19_{display.lower()}")


def render(hands: Hands) -> Wait:
    scene = bpy.context.scene
    scene.render.resolution_percentage = 30
    still = PICTURES / "still.png"
    scene.render.filepath = str(still)
    bpy.ops.render.render("INVOKE_DEFAULT", write_still=True)
    yield from hands.until(still.is_file, 300, "the picture was rendered")
    yield 1.0


def render_among_meshes(hands: Hands) -> Wait:
    """The same picture with a cube before the object, which EEVEE draws."""
    scene = bpy.context.scene
    body = part("playback").meta(scene).bodies[0]
    middle = (Vector(body.lower) + Vector(body.upper)) / 2
    size = (Vector(body.upper) - Vector(body.lower)).length
    towards = (scene.camera.matrix_world.translation - middle).normalized()
    with bpy.context.temp_override(window=hands.window):
        bpy.ops.mesh.primitive_cube_add(size=0.2 * size, location=middle + size * towards)
        bpy.ops.perpetua.render_meshes(engine="EEVEE")
    settings().mesh_scene.eevee.taa_render_samples = 1
    picture = PICTURES / "among_meshes.png"
    scene.render.filepath = str(picture)
    bpy.ops.render.render("INVOKE_DEFAULT", write_still=True)
    yield from hands.until(picture.is_file, BAKE_S, "the picture with a mesh was rendered")
    yield 1.0


def look_at_preferences(hands: Hands) -> Wait:
    bpy.ops.screen.userpref_show("INVOKE_DEFAULT")
    yield 1.0
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Perpetua"
    bpy.ops.preferences.addon_expand(module=MODULE)
    yield from hands.picture("20_preferences")


play(
    (open_again, resume, change, look_closely, scrub, render, render_among_meshes, look_at_preferences),
    PICTURES,
    quit_blender,
    stopped,
)
