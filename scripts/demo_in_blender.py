"""The demo as an artist would do it, in a Blender without a window.

    .venv-blender/bin/python scripts/demo_in_blender.py -- PICTURE X,Y MATERIAL OUT

Installs the extension from its zip, opens the picture, clicks the object, places a push, a wind and two side cameras, bakes two
rounds with a running backend (``PERPETUA_CONNECTION``), and leaves scene.blend, the cache and the videos in OUT. ``perpetua demo``
runs it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import bpy
from build_extension import build, this_platform
from mathutils import Vector

ROOT = Path(__file__).resolve().parents[1]
ROUND_FRAMES = 24
GRAVITY = 9.81
"""m/s^2"""
DENSITY = 1300.0
"""kg/m^3, about what wet things weigh; an artist would go by eye"""


def main(picture: str, click: str, material: str, out: Path) -> None:
    """Play the demo. Blender's operators raise RuntimeError with the sentence when something is wrong."""
    said("installing the add-on")
    install_addon(out)
    ops, scene = bpy.ops.perpetua, new_file(out)
    x, y = (float(number) for number in click.split(","))

    said(f"opening {Path(picture).name} and clicking the {material} at {x:g}, {y:g}")
    ops.open_picture(filepath=picture)
    ops.add_object(name="object", x=x, y=y, material=material)
    ops.reconstruct()
    ops.add_cameras(degrees=25)
    for _ in range(2):
        ops.add_round(frames=ROUND_FRAMES)

    said("placing a push in round 1 and a wind in round 2")
    body = measured(scene)
    place_push(scene, body)
    place_wind(scene, body)
    bpy.ops.wm.save_mainfile()

    said("baking two rounds")
    ops.bake_and_wait()
    scene.frame_set(scene.frame_start + 2 * ROUND_FRAMES)
    scene.frame_end = scene.frame_start + 2 * ROUND_FRAMES
    bpy.ops.wm.save_mainfile()

    said("rendering the three cameras")
    ops.render_views(directory=str(out))


def install_addon(out: Path) -> None:
    """Build the extension's zip and install it into this Blender's own user folder (``BLENDER_USER_RESOURCES``)."""
    archive = build(this_platform(), out / "extension")
    bpy.ops.extensions.package_install_files(
        filepath=str(archive), repo="user_default", enable_on_install=True
    )


def new_file(out: Path) -> bpy.types.Scene:
    """An empty scene saved as OUT/scene.blend, so that everything it points to lies beside it."""
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "scene.blend"))
    scene = bpy.context.scene
    scene.perpetua.bake_folder = str(out / "cache")
    return scene


class Measured:
    """The object as it stands in the scene: centre and half sizes [m], and its weight [N]."""

    def __init__(self, lower: Vector, upper: Vector, volume: float) -> None:
        self.centre, self.half = (lower + upper) / 2, (upper - lower) / 2
        self.weight = volume * DENSITY * GRAVITY


def measured(scene: bpy.types.Scene) -> Measured:
    """From the reconstruction's own record."""
    from perpetua_protocol.cache import read_meta

    meta = read_meta(Path(bpy.path.abspath(scene.perpetua.cache_folder)))
    return Measured(Vector(meta.lower), Vector(meta.upper), meta.particles * meta.particle_spacing**3)


def place_push(scene: bpy.types.Scene, body: Measured) -> None:
    """A thumb that presses into the object's upper right, swelling and letting go within round 1."""
    start = scene.frame_start + 2
    place = body.centre + Vector((0.55 * body.half.x, -0.2 * body.half.y, 0.75 * body.half.z))
    bpy.ops.perpetua.add_push(
        name="Thumb",
        location=place,
        direction=(-0.35, 0.1, -1.0),
        reach=0.6 * min(body.half.x, body.half.z),
        start=start,
        end=start + 14,
    )
    thumb = bpy.context.object
    for frame, newtons in (
        (start, 0.0),
        (start + 5, 6 * body.weight),
        (start + 10, 6 * body.weight),
        (start + 14, 0.0),
    ):
        thumb["perpetua_force"] = newtons
        thumb.keyframe_insert('["perpetua_force"]', frame=frame)


def place_wind(scene: bpy.types.Scene, body: Measured) -> None:
    """A gust from the left early in round 2; the still air after it slows what it set moving."""
    start = scene.frame_start + ROUND_FRAMES
    bpy.ops.perpetua.add_wind(name="Gust", direction=(1, 0.15, 0), start=start, end=start + ROUND_FRAMES)
    gust = bpy.context.object
    gust["perpetua_drag"] = 6.0  # 1/s: dense air, so that even clay feels it, and soon comes to rest in it
    for frame, speed in ((start, 0.0), (start + 1, 1.7), (start + 3, 1.7), (start + 4, 0.0)):
        gust.field.strength = speed
        gust.keyframe_insert("field.strength", frame=frame)


def said(text: str) -> None:
    """Progress on the console."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


if __name__ == "__main__":
    STARTED = time.monotonic()
    code = 1
    try:
        picture, click, material, out = sys.argv[sys.argv.index("--") + 1 :]
        main(picture, click, material, Path(out))
        code = 0
    except RuntimeError as error:
        print(f"demo: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if sys.exc_info()[0] is None:
            os._exit(code)  # bpy can hang while its interpreter shuts down
