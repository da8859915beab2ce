"""Videos of a take: every camera of it over every round, through Blender's own render and encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

from . import playback
from .errors import AddonError
from .rendered_frames import MEDIA, set_format
from .splat_engine import ENGINE


def render_views(scene: bpy.types.Scene, folder: Path, frames: bool = False) -> list[Path]:
    """Write ``<folder>/round_<n>_<camera>.mp4`` (H.264, yuv420p) for every round and camera of the scene's cache.

    frames: also ``<folder>/round_<n>_<camera>/<frame of the take>.png``. Returns the videos' paths. The scene's
    settings are the same afterwards. Raises ``AddonError`` when nothing is baked, there is no camera or a render fails.
    """
    meta = playback.meta(scene)
    rounds = [record for record in meta.rounds if record.index > 0]
    cameras = [entry for entry in scene.perpetua.cameras if entry.there]
    if not rounds:
        raise AddonError("No round is baked yet; bake the take first.")
    if not cameras:
        raise AddonError("The take has no camera; reconstruct the picture first.")
    folder.mkdir(parents=True, exist_ok=True)
    first = scene.frame_start + scene.perpetua.frame_offset
    paths = []
    with _settings_kept(scene):
        scene.render.engine = ENGINE
        scene.perpetua.speed, scene.perpetua.loop = 1.0, False
        for entry in cameras:
            scene.camera = entry.object
            for record in rounds:
                start = first + record.start
                path = folder / f"round_{record.index}_{entry.name}.mp4"
                _render(scene, start, start + record.frames - 1, path)
                paths.append(path)
                if frames:
                    _write_frames(scene, start, record.frames, record.start, path.with_suffix(""))
    return paths


def _render(scene: bpy.types.Scene, start: int, end: int, path: Path) -> None:
    render = scene.render
    set_format(scene, "FFMPEG")
    render.image_settings.color_mode = "RGB"
    render.ffmpeg.format, render.ffmpeg.codec = "MPEG4", "H264"
    render.ffmpeg.constant_rate_factor, render.ffmpeg.ffmpeg_preset = "HIGH", "GOOD"
    render.ffmpeg.audio_codec = "NONE"
    render.filepath, render.use_file_extension = str(path), True
    path.unlink(missing_ok=True)
    _animate(scene, start, end)
    if not path.is_file():
        raise AddonError(f"Blender did not write {path}; see its console.")


def _write_frames(scene: bpy.types.Scene, start: int, count: int, take_start: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    set_format(scene, "PNG")
    scene.render.image_settings.color_mode = "RGB"
    for number in range(count):
        scene.frame_set(start + number)
        scene.render.filepath = str(folder / f"{take_start + number:04d}.png")
        _run(scene, write_still=True)


def _animate(scene: bpy.types.Scene, start: int, end: int) -> None:
    # playback counts the take's frames from the start frame, so the offset takes up its move
    scene.perpetua.frame_offset += scene.frame_start - start
    scene.frame_start, scene.frame_end = start, end
    _run(scene, animation=True)


def _run(scene: bpy.types.Scene, **how: bool) -> None:
    try:
        bpy.ops.render.render(scene=scene.name, **how)
    except RuntimeError as error:  # the engine's error report
        raise AddonError(str(error).strip().removeprefix("Error: ")) from error


@contextmanager
def _settings_kept(scene: bpy.types.Scene) -> Iterator[None]:
    render, image, ffmpeg = scene.render, scene.render.image_settings, scene.render.ffmpeg
    kept = [
        (scene, "camera"),
        (scene, "frame_start"),
        (scene, "frame_end"),
        (scene.perpetua, "frame_offset"),
        (scene.perpetua, "speed"),
        (scene.perpetua, "loop"),
        (render, "engine"),
        (render, "filepath"),
        (render, "use_file_extension"),
        (ffmpeg, "format"),
        (ffmpeg, "codec"),
        (ffmpeg, "constant_rate_factor"),
        (ffmpeg, "ffmpeg_preset"),
        (ffmpeg, "audio_codec"),
        *([(image, MEDIA)] if hasattr(image, MEDIA) else []),
        (image, "file_format"),
        (image, "color_mode"),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name in kept]
    frame = scene.frame_current
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
        scene.frame_set(frame)
