"""Rendering frames to a folder so that a render that was stopped goes on with the frames that are missing.

Beside the pictures lies ``rendered.json``: for every picture, what it was made from. A picture is kept while that is the same: the
.blend on disk, the frame of the cache, and the picture's size and format.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import bpy
import msgspec

from perpetua_protocol.errors import ProtocolError

from . import playback, render_guard
from .errors import AddonError

FILE = "rendered.json"
MEDIA = "media_type"
"""From Blender 5.0 on a file format can be chosen only among those of its kind."""
KINDS = {
    "FFMPEG": "VIDEO",
    "AVI_JPEG": "VIDEO",
    "AVI_RAW": "VIDEO",
    "OPEN_EXR_MULTILAYER": "MULTI_LAYER_IMAGE",
}
"""What kind a file format is; the others are "IMAGE"."""
PRINT_EVERY_S = 2.0


class Rendered(msgspec.Struct):
    """``rendered.json``: a picture's name, and the digest of what it was made from."""

    frames: dict[str, str] = {}


@dataclass(frozen=True)
class Outcome:
    """What a render did: the pictures it wrote, and those that it found as they should be."""

    folder: Path
    rendered: list[Path]
    kept: list[Path]


def render_frames(scene: bpy.types.Scene, folder: Path, frames: list[int], again: bool = False) -> Outcome:
    """Render ``frames`` of the timeline to ``<folder>/<scene>_<frame>.<ending>`` with the scene's engine and format.

    A scene that writes a movie gets PNG here, as a movie cannot be gone on with. again: also those that are there. Raises
    ``AddonError`` when a frame cannot be rendered; the ones before it stay.
    """
    if not frames:
        raise AddonError("There is no frame to render; name some, such as 1-48.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AddonError(
            f"{folder} cannot be made ({error.strerror}); choose another folder for the frames."
        ) from error
    outcome, known = Outcome(folder, [], []), _read(folder)
    before = (scene.frame_current, scene.render.filepath, scene.render.image_settings.file_format)
    printed = time.monotonic()
    try:
        if _kind(before[2]) == "VIDEO":
            set_format(scene, "PNG")
        common = _common(scene)
        for place, frame in enumerate(frames):
            path = folder / f"{bpy.path.clean_name(scene.name)}_{frame:04d}{scene.render.file_extension}"
            made_from = _digest(scene, frame, common)
            if path.is_file() and known.frames.get(path.name) == made_from and not again:
                outcome.kept.append(path)
                continue
            try:
                _render(scene, frame, path)
                known.frames[path.name] = made_from
                _write(folder, known)
            except OSError as error:
                raise AddonError(
                    f"Frame {frame} cannot be kept in {folder} ({error.strerror}); make room there, or choose another folder."
                ) from error
            outcome.rendered.append(path)
            if time.monotonic() - printed > PRINT_EVERY_S:
                printed = time.monotonic()
                print(f"Perpetua: frame {frame}, {place + 1} of {len(frames)}", flush=True)
    finally:
        scene.render.filepath = before[1]
        set_format(scene, before[2])
        scene.frame_set(before[0])
    return outcome


def _render(scene: bpy.types.Scene, frame: int, path: Path) -> None:
    """One picture, there whole or not at all."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    scene.frame_set(frame)
    scene.render.filepath = str(part)
    try:
        if (sentence := render_guard.missing(scene)) is not None:
            raise RuntimeError(sentence)
        bpy.ops.render.render(scene=scene.name, write_still=True)
    except RuntimeError as error:  # the engine's error report
        sentence = str(error).strip().removeprefix("Error: ")
        raise AddonError(f"Frame {frame} of '{scene.name}' was not rendered: {sentence}") from error
    if not part.is_file():
        raise AddonError(f"Blender did not write {path}; see its console.")
    os.replace(part, path)


def _common(scene: bpy.types.Scene) -> list[str]:
    """What all frames are made from, as words."""
    blend = Path(bpy.data.filepath)
    saved = hashlib.sha256(blend.read_bytes()).hexdigest() if bpy.data.filepath else ""
    render, image = scene.render, scene.render.image_settings
    size = (render.resolution_x, render.resolution_y, render.resolution_percentage)
    return [saved, scene.name, render.engine, str(size), image.file_format, image.color_mode]


def _digest(scene: bpy.types.Scene, frame: int, common: list[str]) -> str:
    """Of what a frame is made from."""
    return hashlib.sha256("\n".join([*common, str(frame), _baked(scene, frame)]).encode()).hexdigest()


def _baked(scene: bpy.types.Scene, frame: int) -> str:
    """The cache's frame that a frame of the timeline shows: the digest of its round, and its place in it."""
    try:
        cache = playback.cache_of(scene)
    except (AddonError, ProtocolError):
        return ""
    record, local = cache.locate(playback.take_frame_at(scene, frame, cache.meta.frames))
    return f"{cache.meta.background_folder} {record.digest} {local}"


def set_format(scene: bpy.types.Scene, file_format: str) -> None:
    """Choose what Blender writes: an identifier of its image settings."""
    image = scene.render.image_settings
    if hasattr(image, MEDIA):
        setattr(image, MEDIA, _kind(file_format))
    image.file_format = file_format


def _kind(file_format: str) -> str:
    return KINDS.get(file_format, "IMAGE")


def _read(folder: Path) -> Rendered:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Rendered)
    except (FileNotFoundError, msgspec.MsgspecError):  # then no picture is known, and all are rendered
        return Rendered()


def _write(folder: Path, rendered: Rendered) -> None:
    part = folder / f".{FILE}.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(rendered)))
    os.replace(part, folder / FILE)
