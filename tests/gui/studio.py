"""What the acts of the window's test share: where things are, and what the add-on says of itself.

Runs inside Blender. The command line names the act's folder, into which pictures of the screen go, and the picture to play on.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

import bpy
from hands import Hands, Wait

MODULE = "bl_ext.user_default.perpetua"
PICTURE, PICTURES = (Path(argument) for argument in sys.argv[sys.argv.index("--") + 1 :])
SHOT = PICTURES / "shot.blend"
BAKE_S = 900.0
"""Longest a small bake may take on a busy machine without a GPU."""
STOP_S = 60.0
BELOW_PX = 250
"""How far to scroll to see what stands below the Bake panel's buttons."""


def part(name: str) -> ModuleType:
    """A module of the add-on."""
    return sys.modules[f"{MODULE}.{name}"]


def session() -> object:
    """What the panels show of the bake."""
    return part("session").current()


def settings() -> bpy.types.PropertyGroup:
    return bpy.context.scene.perpetua


def trouble() -> str:
    """What the panel says is wrong, with the last of what our backend said; empty while nothing is."""
    process = part("backend_process")
    sentence = session().sentence or process.failure() or ""
    log = process.log_file()
    return sentence and f"{sentence}\n{log.read_text()[-2000:] if log.is_file() else ''}"


def press_to_bake(hands: Hands, button: str) -> Wait:
    """Press a button that begins a bake or goes on with one, and wait for the backend's word."""
    session().sentence = ""
    yield from hands.press(button)
    yield from hands.until(
        lambda: session().baking and session().stage, BAKE_S, "the bake was under way", trouble
    )


def press_to_go_on(hands: Hands) -> Wait:
    """Press Resume and wait until the bake goes on, or is found to have come to its end while nobody listened."""
    session().sentence = ""
    yield from hands.press("perpetua.resume")
    yield from hands.until(
        lambda: not part("bake").can_resume(bpy.context.scene), BAKE_S, "the bake went on", trouble
    )


def set_up(hands: Hands) -> Wait:
    """The startup file with the add-on, as an artist who has just installed it sees it."""
    yield from hands.key("ESC")  # the splash screen
    # else each move of the mouse over the sidebar draws the splats below it again, without a GPU
    bpy.context.preferences.system.use_region_overlap = False
    bpy.ops.preferences.addon_enable(module=MODULE)


def quit_blender() -> None:
    """Close Blender as an artist does who does not save."""
    print("ARTIST is happy", flush=True)
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.wm.quit_blender()


def stopped(error: BaseException) -> None:
    """End at once with what went wrong."""
    traceback.print_exception(error)
    print("ARTIST stopped; the panel says:", trouble(), flush=True)
    sys.stderr.flush()
    os._exit(1)
