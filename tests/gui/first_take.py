"""An artist's first quarter of an hour with Perpetua, in Blender's window, against a real backend.

    blender --enable-event-simulate --python tests/gui/first_take.py -- PICTURE PICTURES_FOLDER

``test_window.py`` runs it, and ``next_day.py`` after it. Pictures of the screen are left on the way. It prints that the artist is
happy and closes Blender while a bake runs; if anything goes wrong it ends with 1.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "protocol"), str(Path(__file__).parent)]

from hands import BESIDE_LIST, RIGHT, Hands, Wait, play  # noqa: E402
from studio import (  # noqa: E402
    BAKE_S,
    BELOW_PX,
    PICTURE,
    PICTURES,
    SHOT,
    STOP_S,
    part,
    press_to_bake,
    press_to_go_on,
    quit_blender,
    session,
    set_up,
    settings,
    stopped,
    trouble,
)

MIDDLE = (640, 470)
"""Pixel of the ball in the picture, from its top left."""
ROUNDS, FRAMES = 3, 4


def begin(hands: Hands) -> Wait:
    yield from set_up(hands)
    bpy.ops.wm.save_as_mainfile(filepath=str(SHOT))
    hands.area("VIEW_3D").spaces.active.shading.type = "SOLID"
    yield from hands.open_tab("Perpetua")
    chosen = settings()
    chosen.quality = "preview"
    chosen.particles, chosen.video_width, chosen.splat_width, chosen.optimise_renders = 400, 96, 192, 12
    yield from hands.picture("01_empty")


def open_picture(hands: Hands) -> Wait:
    yield from hands.press("perpetua.open_picture")
    yield from hands.until(lambda: browsers(), 30, "the file browser opened")
    window, area = browsers()[0]
    area.spaces.active.params.directory = str(PICTURE.parent).encode()
    area.spaces.active.params.filename = PICTURE.name
    yield 1.0
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.file.execute("INVOKE_DEFAULT")
    yield from hands.until(lambda: settings().picture, 30, "the picture was chosen")
    assert len(bpy.context.window_manager.windows) == 1
    assert Path(bpy.path.abspath(settings().picture)) == PICTURE
    shown = hands.area("IMAGE_EDITOR").spaces.active.image
    assert shown is not None, "the picture is shown beside the viewport"
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
    (thing,) = settings().things
    (click,) = thing.clicks
    assert abs(click.x - MIDDLE[0]) < 4, click.x
    assert abs(click.y - MIDDLE[1]) < 4, click.y
    thing.material = "clay"
    yield from hands.picture("03_clicked")


def reconstruct(hands: Hands) -> Wait:
    """No backend runs: the button starts one."""
    assert not part("backend_process").running()
    yield from press_to_bake(hands, "perpetua.reconstruct")
    assert part("backend_process").running()
    yield from hands.picture("04_reconstructing")
    yield from baked(hands, 0)
    scene = bpy.context.scene
    assert settings().splats is not None
    assert scene.objects["Cube"].hide_viewport
    assert hands.area("VIEW_3D").spaces.active.region_3d.view_perspective == "CAMERA"
    yield from hands.picture("05_reconstructed")


def undo_takes_no_splats(hands: Hands) -> Wait:
    yield from hands.key("Z", ctrl=True)
    yield from hands.until(lambda: not settings().things, 20, "the click was undone")
    assert settings().splats is not None
    assert settings().cache_folder
    assert [entry.role for entry in settings().cameras] == ["front", "side", "side"]
    yield from hands.key("Z", ctrl=True, shift=True)
    yield from hands.until(lambda: settings().things, 20, "the click was done again")
    assert settings().splats is not None
    settings().things[0].material = "clay"


def place_forces(hands: Hands) -> Wait:
    for _ in range(ROUNDS):
        yield from hands.press("perpetua.add_round", BESIDE_LIST)
    assert len(settings().rounds) == ROUNDS
    for turn in settings().rounds:
        turn.frames = FRAMES
    yield from hands.press("perpetua.add_force(kind='push'", RIGHT)
    push = settings().forces[0].object
    assert bpy.context.object == push
    push.location.z, push["perpetua_force"] = 0.05, 4.0
    yield from hands.picture("06_push")
    bpy.context.scene.frame_set(6)
    yield from hands.press("perpetua.add_force(kind='wind'")
    for kind in ("vortex", "turbulence"):
        bpy.ops.perpetua.add_force(kind=kind)
    assert [entry.object.field.type for entry in settings().forces[1:]] == ["WIND", "VORTEX", "TURBULENCE"]
    settings().show_bounds = settings().show_gravity = True
    yield from hands.picture("07_fields")
    settings().show_bounds = settings().show_gravity = False
    for entry in settings().forces[2:]:
        entry.enabled = False


def place_cameras(hands: Hands) -> Wait:
    yield from hands.press("perpetua.add_cameras")
    cameras = settings().cameras
    assert [(c.name, c.role) for c in cameras] == [("front", "front"), ("left", "side"), ("right", "side")]
    bpy.ops.perpetua.look_through(index=1)
    yield from hands.picture("08_cameras")
    bpy.ops.perpetua.look_through(index=0)


def cancel(hands: Hands) -> Wait:
    yield from bake(hands)
    yield from hands.press("perpetua.cancel", RIGHT)
    yield from hands.until(lambda: not session().baking, STOP_S, "the bake was cancelled")
    assert session().sentence.startswith("Cancelled"), session().sentence
    assert not part("bake").can_resume(bpy.context.scene)
    yield from hands.picture("09_cancelled")


def pause_and_undo(hands: Hands) -> Wait:
    yield from bake(hands)
    settings().seed = 5
    bpy.ops.ed.undo_push(message="Seed")
    yield from hands.key("Z", ctrl=True)
    yield from hands.until(lambda: settings().seed == 0, 20, "the seed was undone")
    assert session().baking, "undo does not stop a bake"
    yield from hands.picture("10_baking")
    yield from hands.press("perpetua.pause")
    yield from hands.until(lambda: not session().baking, STOP_S, "the bake was paused")
    assert session().sentence.startswith("Paused"), session().sentence
    yield from hands.scroll(BELOW_PX)
    yield from hands.picture("11_paused")


def resume(hands: Hands) -> Wait:
    yield from press_to_bake(hands, "perpetua.resume")
    yield from hands.until(
        lambda: session().rounds_ready >= 1, BAKE_S, "round 1 played while others baked", trouble
    )
    bpy.context.scene.frame_set(FRAMES)
    yield from hands.scroll(BELOW_PX)
    yield from hands.picture("12_first_round_plays")


def backend_dies(hands: Hands) -> Wait:
    if not session().baking:  # a fast machine was done before the picture was taken
        settings().seed = 6
        yield from bake(hands)
    os.kill(part("backend_process")._process.pid, signal.SIGKILL)
    yield from hands.until(lambda: not session().baking, STOP_S, "the panel said that the backend is gone")
    assert "Resume goes on" in session().sentence, session().sentence
    assert part("playback").meta(bpy.context.scene).frames >= 1 + FRAMES, "what was baked plays"
    yield from hands.scroll(BELOW_PX)
    yield from hands.picture("13_backend_died")


def resume_with_another_backend(hands: Hands) -> Wait:
    yield from press_to_go_on(hands)
    yield from baked(hands, ROUNDS)
    yield from hands.picture("14_resumed")


def close_while_baking(hands: Hands) -> Wait:
    settings().forces[0].object["perpetua_force"] = 5.0
    yield from press_to_bake(hands, "perpetua.bake(through_round=-1")
    assert session().baking
    bpy.ops.wm.save_mainfile()
    (PICTURES / "backend.pid").write_text(str(part("backend_process")._process.pid))


def bake(hands: Hands) -> Wait:
    """Press Bake, wait until it simulates, and bring what stands below the button into sight."""
    yield from press_to_bake(hands, "perpetua.bake(through_round=-1")
    yield from hands.scroll(BELOW_PX)
    yield from hands.until(
        lambda: "round 1" in session().stage, BAKE_S, "the first round was simulated", trouble
    )


def baked(hands: Hands, through_round: int) -> Wait:
    yield from hands.until(lambda: not session().baking, BAKE_S, f"round {through_round} was baked")
    assert session().sentence == "", session().sentence


play(
    (
        begin,
        open_picture,
        click_object,
        reconstruct,
        undo_takes_no_splats,
        place_forces,
        place_cameras,
        cancel,
        pause_and_undo,
        resume,
        backend_dies,
        resume_with_another_backend,
        close_while_baking,
    ),
    PICTURES,
    quit_blender,
    stopped,
)
