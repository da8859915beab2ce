"""An artist's first quarter of an hour with Perpetua, in Blender's window, against a real backend.

    blender --enable-event-simulate --python tests/gui/artist.py -- PICTURE PICTURES_FOLDER

``test_window.py`` runs it. Each step leaves a picture of the screen. The last line printed says whether all went well.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "protocol"), str(Path(__file__).parent)]

from hands import BESIDE_LIST, RIGHT, Hands, Wait, play  # noqa: E402

MODULE = "bl_ext.user_default.perpetua"
BAKE_S = 900.0
"""Longest a small bake may take on a busy machine without a GPU."""
MIDDLE = (640, 470)
"""Pixel of the ball in the picture, from its top left."""

picture, folder = (Path(argument) for argument in sys.argv[sys.argv.index("--") + 1 :])


def steps(hands: Hands) -> Wait:
    yield from set_up(hands)
    yield from open_picture(hands)
    yield from click_object(hands)
    yield from reconstruct(hands)
    yield from place_forces(hands)
    yield from place_cameras(hands)
    yield from scrub_and_render(hands)


def set_up(hands: Hands) -> Wait:
    yield from hands.key("ESC")  # the splash screen
    # else each move of the mouse over the sidebar draws the splats below it again, without a GPU
    bpy.context.preferences.system.use_region_overlap = False
    bpy.ops.preferences.addon_enable(module=MODULE)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    hands.area("VIEW_3D").spaces.active.shading.type = "SOLID"
    yield from hands.open_tab("Perpetua")
    settings = bpy.context.scene.perpetua
    settings.quality = "preview"
    settings.particles, settings.video_width, settings.splat_width, settings.optimise_renders = (
        400,
        96,
        192,
        12,
    )
    yield from hands.picture("01_empty")


def open_picture(hands: Hands) -> Wait:
    yield from hands.press("perpetua.open_picture")
    windows = bpy.context.window_manager.windows
    yield from hands.until(lambda: browsers(), 30, "the file browser opened")
    window, area = browsers()[0]
    area.spaces.active.params.directory = str(picture.parent).encode()
    area.spaces.active.params.filename = picture.name
    yield 1.0
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.file.execute("INVOKE_DEFAULT")
    yield from hands.until(lambda: bpy.context.scene.perpetua.picture, 30, "the picture was chosen")
    assert len(windows) == 1
    assert Path(bpy.path.abspath(bpy.context.scene.perpetua.picture)) == picture
    assert hands.area("IMAGE_EDITOR").spaces.active.image is not None, (
        "the picture is shown beside the viewport"
    )
    yield from hands.picture("02_picture")


def browsers() -> list[tuple[bpy.types.Window, bpy.types.Area]]:
    windows = bpy.context.window_manager.windows
    return [(w, area) for w in windows for area in w.screen.areas if area.type == "FILE_BROWSER"]


def click_object(hands: Hands) -> Wait:
    yield from hands.press("perpetua.click_picture")
    region = hands.region("IMAGE_EDITOR")
    width, height = hands.area("IMAGE_EDITOR").spaces.active.image.size
    x, y = region.view2d.view_to_region(MIDDLE[0] / width, 1 - MIDDLE[1] / height, clip=False)
    yield from hands.click(region.x + x, region.y + y)
    (thing,) = bpy.context.scene.perpetua.things
    (click,) = thing.clicks
    assert abs(click.x - MIDDLE[0]) < 4, click.x
    assert abs(click.y - MIDDLE[1]) < 4, click.y
    thing.material = "clay"
    yield from hands.picture("03_clicked")


def reconstruct(hands: Hands) -> Wait:
    yield from hands.press("perpetua.reconstruct")
    yield from hands.until(lambda: session().baking, 30, "the bake began")
    yield from hands.until(lambda: session().stage, 120, "the backend said its stage")
    yield from hands.picture("04_reconstructing")
    yield from hands.until(lambda: not session().baking, BAKE_S, "the picture was reconstructed")
    assert session().sentence == "", session().sentence
    scene = bpy.context.scene
    assert scene.perpetua.splats is not None
    assert scene.objects["Cube"].hide_viewport
    assert hands.area("VIEW_3D").spaces.active.region_3d.view_perspective == "CAMERA"
    yield from hands.picture("05_reconstructed")


def place_forces(hands: Hands) -> Wait:
    settings = bpy.context.scene.perpetua
    for _ in range(2):
        yield from hands.press("perpetua.add_round", BESIDE_LIST)
    assert len(settings.rounds) == 2
    for turn in settings.rounds:
        turn.frames = 4
    yield from hands.press("perpetua.add_force(kind='push'", RIGHT)
    push = settings.forces[0].object
    assert bpy.context.object == push
    push.location.z, push["perpetua_force"] = 0.05, 4.0
    yield from hands.picture("06_push")
    bpy.context.scene.frame_set(6)
    yield from hands.press("perpetua.add_force(kind='wind'")
    for kind in ("vortex", "turbulence"):
        bpy.ops.perpetua.add_force(kind=kind)
    assert [entry.object.field.type for entry in settings.forces[1:]] == ["WIND", "VORTEX", "TURBULENCE"]
    settings.show_bounds = settings.show_gravity = True
    yield from hands.picture("07_fields")
    settings.show_bounds = settings.show_gravity = False
    for entry in settings.forces[2:]:
        entry.enabled = False


def place_cameras(hands: Hands) -> Wait:
    yield from hands.press("perpetua.add_cameras")
    cameras = bpy.context.scene.perpetua.cameras
    assert [(c.name, c.role) for c in cameras] == [("front", "front"), ("left", "side"), ("right", "side")]
    bpy.ops.perpetua.look_through(index=1)
    yield from hands.picture("08_cameras")
    bpy.ops.perpetua.look_through(index=0)


def scrub_and_render(hands: Hands) -> Wait:
    scene = bpy.context.scene
    region = hands.region("DOPESHEET_EDITOR")
    for frame in (3, 9, 5):
        x, _ = region.view2d.view_to_region(frame, 0, clip=False)
        yield from hands.click(region.x + x, region.y + region.height - 8)
        yield from hands.until(
            lambda frame=frame: scene.frame_current == frame, 60, f"frame {frame} was shown"
        )
    for display in ("POINTS", "ELLIPSOIDS", "SPLATS"):
        scene.perpetua.display = display
        yield from hands.picture(f"09_{display.lower()}")
    scene.render.resolution_percentage = 30
    still = folder / "still.png"
    scene.render.filepath = str(still)
    bpy.ops.render.render("INVOKE_DEFAULT", write_still=True)
    yield from hands.until(still.is_file, 300, "the picture was rendered")
    yield 1.0


def session() -> object:
    return sys.modules[f"{MODULE}.session"].current()


def done(error: BaseException | None) -> None:
    if error is not None:
        traceback.print_exception(error)
    print("ARTIST", "stopped" if error else "is happy", flush=True)
    sys.stderr.flush()
    os._exit(1 if error else 0)


play(steps, folder, done)
