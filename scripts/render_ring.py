"""Render a mesh scene from a ring of cameras: pictures, depth, masks of objects and exact poses, in an open folder.

    blender -b shot.blend --python scripts/render_ring.py -- --objects Ball Pin --out shot_ring
    .venv-blender/bin/python scripts/render_ring.py --blend shot.blend --objects Ball Pin --out shot_ring

The folder holds ``transforms.json`` (docs/reconstruct.md describes it), ``images/``, ``depth/`` (EXR, metres along the optical axis)
and ``masks/`` (8-bit PNG: 0 nothing, n the n-th object). The scene's own camera, if it has one, becomes the front view.
Everything else of the scene (light, materials, Cycles' samples, colour management) is rendered as it is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "backend"))
from perpetua.exr import read_exr_channel, write_exr_depth

ELEVATIONS = (15.0, 38.0, 25.0)
"""Degrees above the horizon at which the ring's cameras stand by turns."""
FILL = 1.6
"""Widths of the objects' bounding sphere that a picture is wide."""
DEPTH_NAMES = ("Depth.Z", "Depth.V")
INDEX_NAMES = ("IndexOB.X", "Object Index.X")
"""Channels of Cycles' passes in Blender 4 and 5."""
PIXEL_CENTRE_PX = 0.01
"""Width of the pixel filter at which depth and masks are of the pixel's centre."""


@dataclass(frozen=True)
class Shot:
    """A camera to render from. matrix: camera to world, Blender's axes; fov: horizontal, radians; role: of its picture."""

    name: str
    matrix: Matrix
    fov: float
    role: str


def ring(
    centre: Vector, radius: float, fov: float, count: int, role: str = "train", turn: float = 0.0
) -> list[Shot]:
    """``count`` cameras around the vertical through ``centre``, ``radius`` m from it, the first in front (at -Y) turned by ``turn``
    of a step, at ELEVATIONS by turns."""
    shots = []
    for index in range(count):
        angle = math.radians(-90) + 2 * math.pi * (index + turn) / count
        up = math.radians(ELEVATIONS[index % len(ELEVATIONS)])
        away = Vector((math.cos(angle) * math.cos(up), math.sin(angle) * math.cos(up), math.sin(up)))
        shots.append(Shot(f"{role}_{index:03d}", looking(centre + radius * away, centre), fov, role))
    return shots


def looking(place: Vector, at: Vector) -> Matrix:
    """The matrix of a camera at ``place`` that looks at ``at``."""
    turn = (at - place).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    return Matrix.Translation(place) @ turn


def bounding_sphere(objects: list[bpy.types.Object]) -> tuple[Vector, float]:
    """Centre and radius, m, of a sphere around the boxes of ``objects``."""
    corners = [thing.matrix_world @ Vector(corner) for thing in objects for corner in thing.bound_box]
    low = Vector(min(c[i] for c in corners) for i in range(3))
    high = Vector(max(c[i] for c in corners) for i in range(3))
    return (low + high) / 2, (high - low).length / 2


def render(
    shots: list[Shot],
    objects: dict[str, list[bpy.types.Object]],
    out: Path,
    size: tuple[int, int],
    extra: dict[str, object] | None = None,
) -> None:
    """Render ``shots`` of the current scene at ``size`` pixels; ``objects`` by name, each of one mesh or more. ``extra`` goes into
    transforms.json."""
    scene = bpy.context.scene
    for folder in ("images", "depth", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for thing in scene.objects:
        thing.pass_index = 0
    for index, parts in enumerate(objects.values(), 1):
        for part in parts:
            part.pass_index = index
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    camera = bpy.data.objects.new("ring", bpy.data.cameras.new("ring"))
    camera.data.sensor_fit, camera.data.lens_unit, camera.data.clip_start = "HORIZONTAL", "FOV", 0.01
    scene.collection.objects.link(camera)
    scene.camera = camera
    frames = []
    for number, shot in enumerate(shots, 1):
        camera.matrix_world, camera.data.angle = shot.matrix, shot.fov
        frames.append(_render(scene, shot, out))
        print(f"{number} of {len(shots)}: {shot.name}", flush=True)
    focal = size[0] / 2 / math.tan(shots[0].fov / 2)
    record = {
        "camera_model": "PINHOLE",
        "w": size[0], "h": size[1], "fl_x": focal, "fl_y": focal, "cx": size[0] / 2, "cy": size[1] / 2,
        "metric": True,
        "objects": list(objects),
        "front_filename": next((f["file_path"] for f, s in zip(frames, shots) if s.role == "front"), frames[0]["file_path"]),
        "train_filenames": [f["file_path"] for f, s in zip(frames, shots) if s.role in ("train", "front")],
        "test_filenames": [f["file_path"] for f, s in zip(frames, shots) if s.role not in ("train", "front")],
        "frames": frames,
        **(extra or {}),
    }  # fmt: skip
    (out / "transforms.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _render(scene: bpy.types.Scene, shot: Shot, out: Path) -> dict[str, object]:
    """One picture, its depth and its mask; returns its entry of transforms.json."""
    settings = scene.render.image_settings
    _choose(settings, "IMAGE", "PNG")
    settings.color_mode, settings.color_depth = "RGB", "8"
    scene.render.filepath = str(out / "images" / f"{shot.name}.png")
    bpy.ops.render.render(write_still=True)

    kept = _without_blur(scene)
    _choose(settings, "MULTI_LAYER_IMAGE", "OPEN_EXR_MULTILAYER")
    settings.color_depth, settings.exr_codec = "32", "ZIP"
    if hasattr(settings, "use_exr_interleave"):
        settings.use_exr_interleave = True  # one part, as Blender 4 writes it
    passes = out / "passes.exr"
    scene.render.filepath = str(passes)
    try:
        bpy.ops.render.render(write_still=True)
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)
    depth = read_exr_channel(passes, DEPTH_NAMES)
    index = read_exr_channel(passes, INDEX_NAMES)
    passes.unlink()
    write_exr_depth(out / "depth" / f"{shot.name}.exr", depth)
    (out / "masks" / f"{shot.name}.png").write_bytes(grey_png(np.rint(index).astype(np.uint8)))
    return {
        "file_path": f"images/{shot.name}.png",
        "depth_file_path": f"depth/{shot.name}.exr",
        "object_mask_path": f"masks/{shot.name}.png",
        "transform_matrix": [list(row) for row in shot.matrix],
    }


def _choose(settings: bpy.types.ImageFormatSettings, medium: str, file_format: str) -> None:
    """Set a file format; Blender 5 wants to know of what medium first."""
    if hasattr(settings, "media_type"):
        settings.media_type = medium
    settings.file_format = file_format


def _without_blur(scene: bpy.types.Scene) -> list[tuple[object, str, object]]:
    """Set the scene to render depth and object indices of pixel centres, and return what to put back."""
    layer = scene.view_layers[0]
    wanted = [
        (layer, "use_pass_z", True),
        (layer, "use_pass_object_index", True),
        (scene.cycles, "samples", 1),
        (scene.cycles, "max_bounces", 0),
        (scene.cycles, "use_denoising", False),
        (scene.cycles, "pixel_filter_type", "BOX"),
        (scene.cycles, "filter_width", PIXEL_CENTRE_PX),
    ]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
    for owner, name, value in wanted:
        setattr(owner, name, value)
    return kept


def grey_png(values: np.ndarray) -> bytes:
    """An 8-bit grey PNG of [H, W] (Blender's own images would go through colour management)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), values], 1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blend", type=Path, help="the .blend; none inside `blender -b shot.blend`")
    parser.add_argument("--objects", nargs="+", required=True, help="names of the objects that will move")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", type=int, default=30)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--fov", type=float, default=40.0, help="degrees, horizontal")
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    asked = parser.parse_args(own)
    if asked.blend is not None:
        bpy.ops.wm.open_mainfile(filepath=str(asked.blend))
    missing = [name for name in asked.objects if name not in bpy.data.objects]
    if missing:
        parser.error(f"the scene has no object called {', '.join(missing)}; look at the outliner")
    objects = {name: [bpy.data.objects[name]] for name in asked.objects}
    centre, radius = bounding_sphere([part for parts in objects.values() for part in parts])
    fov = math.radians(asked.fov)
    shots = ring(centre, FILL * radius / math.tan(fov / 2), fov, asked.views)
    own_camera = bpy.context.scene.camera
    if own_camera is not None:
        shots.insert(0, Shot("front_000", own_camera.matrix_world.copy(), fov, "front"))
    render(shots, objects, asked.out, (asked.size[0], asked.size[1]))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    if "--" not in sys.argv:
        os._exit(0)  # Blender as a module can hang at its exit
