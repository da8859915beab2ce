"""What a scene plays on: a picture, several pictures, a capture, a video or splats; and the picture that objects are clicked in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy
import msgspec

from perpetua_protocol.inputs import SPLATS, VIDEOS, Kind, kind_of
from perpetua_protocol.take import CAPTURE, Provider, SceneSettings, SplatView, Vec3

from .errors import AddonError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr")
PATTERNS = ";".join(f"*{suffix}" for suffix in (*PICTURES, *sorted(VIDEOS), *sorted(SPLATS))) + f";{CAPTURE}"
"""Of the files that can be opened, as Blender's file browser reads them."""
AXES: dict[str, Vec3] = {
    f"{sign}{axis}": tuple(float(f"{sign}1") * (axis == other) for other in "XYZ")  # type: ignore[misc]
    for axis in "XYZ"
    for sign in ("", "-")
}


class _Frame(msgspec.Struct):
    file_path: str
    object_mask_path: str | None = None


class _Capture(msgspec.Struct):
    frames: list[_Frame]
    objects: list[str] = []
    front_filename: str | None = None
    train_filenames: list[str] | None = None


@dataclass(frozen=True)
class Opened:
    """What was chosen in the file browser. path: of the main file. views: names of further pictures beside it. front: the picture
    that is clicked in, None while it has to be made. objects: by their masks' names."""

    path: Path
    views: tuple[str, ...] = ()
    front: Path | None = None
    objects: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a take of it is called at first."""
        return self.path.parent.name if self.path.name == CAPTURE else self.path.stem


def opened(path: Path, names: list[str]) -> Opened:
    """What the file or folder ``path`` is, with the files ``names`` that were chosen along with it.

    Raises ``AddonError`` for what cannot be opened, or not together.
    """
    if (path / CAPTURE).is_file():
        path = path / CAPTURE
    if not path.is_file():
        raise AddonError(
            f"There is no file at {path}; choose a picture, a video, splats, or a capture's {CAPTURE}."
        )
    others = tuple(sorted(name for name in names if name and name != path.name))
    kind = kind_of(path.name)
    if others and any(kind_of(name) != "picture" for name in (path.name, *others)):
        raise AddonError(
            "Only pictures can be opened together; choose several pictures, or one video, capture or file of splats."
        )
    if kind == "capture":
        return _capture(path)
    if kind == "picture" and path.suffix.lower() not in PICTURES:
        raise AddonError(
            f"{path.name} is nothing to play on; open a picture, a video, a .ply or .splat file, or a capture's {CAPTURE}."
        )
    return Opened(path, others, None if kind == "splats" else path)


def _capture(path: Path) -> Opened:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Capture)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AddonError(f"{path} is no list of cameras ({error}); write it again.") from error
    if not record.frames:
        raise AddonError(f"{path} names no picture; write the capture again.")
    front = record.front_filename or (record.train_filenames or [record.frames[0].file_path])[0]
    masked = all(frame.object_mask_path for frame in record.frames)
    return Opened(path, (), path.parent / front, tuple(record.objects) if masked else ())


def store(scene: bpy.types.Scene, chosen: Opened) -> None:
    """Let the scene play on it. What was known of an input before is forgotten."""
    settings = scene.perpetua
    settings.input.views.clear()
    for known in settings.input.bl_rna.properties:
        if not known.is_readonly:
            settings.input.property_unset(known.identifier)
    settings.picture = str(chosen.path)
    settings.input.front = "" if chosen.front in (None, chosen.path) else str(chosen.front)
    for name in chosen.views:
        settings.input.views.add().name = name
    settings.things.clear()
    settings.input.has_masks = bool(chosen.objects)
    for name in chosen.objects:
        settings.things.add().name = name


def kind(settings: bpy.types.PropertyGroup) -> Kind:
    """What kind of input the scene plays on."""
    return kind_of(settings.picture)


def clicked_path(settings: bpy.types.PropertyGroup) -> Path | None:
    """The picture, or the video, that objects are clicked in; None while there is none: splats are looked at first."""
    stored = settings.input.front or ("" if kind(settings) == "splats" else settings.picture)
    return Path(bpy.path.abspath(stored)) if stored else None


def in_words(settings: bpy.types.PropertyGroup) -> str:
    """What the input is, where its name alone does not say it; empty for a single picture."""
    known = settings.input
    match kind(settings):
        case "picture" if known.views:
            return f"{1 + len(known.views)} pictures of one scene"
        case "picture":
            return "with its depth map" if known.depth else ""
        case "capture":
            return "A capture, with masks" if known.has_masks else "A capture"
        case "video":
            return "A video around a still scene"
        case _:
            return "Splats" if known.front else "Splats, not looked at yet"


def scene_settings(settings: bpy.types.PropertyGroup) -> SceneSettings:
    """What the artist says of the input. Raises ``AddonError`` for a depth map that does not lie beside the picture."""
    known, kind_ = settings.input, kind(settings)
    single = kind_ == "picture" and not known.views
    learned = single and not known.depth and known.depth_estimator != "none"
    return SceneSettings(
        horizontal_fov_degrees=settings.horizontal_fov or None,
        horizon_y=settings.horizon_y if settings.use_horizon else None,
        table_edge_y=settings.table_edge_y or None,
        camera_pitch_degrees=settings.pitch or None,
        depth=_depth(settings) if single else "",
        views=tuple(view.name for view in known.views),
        video_frames=known.video_frames,
        metres_per_unit=known.metres_per_unit or None,
        up=AXES.get(known.up) if kind_ == "splats" else None,
        view=_view(known) if kind_ == "splats" else None,
        depth_estimator=Provider(known.depth_estimator) if learned else Provider(),
        segmenter=Provider(known.segmenter) if known.segmenter != "grabcut" else Provider(),
    )


def further_files(settings: bpy.types.PropertyGroup) -> list[str]:
    """Paths of the files beside the main one, as far as the scene names them."""
    folder = Path(bpy.path.abspath(settings.picture)).parent
    depth = [settings.input.depth] if settings.input.depth else []
    return [*(str(folder / view.name) for view in settings.input.views), *depth]


def _depth(settings: bpy.types.PropertyGroup) -> str:
    if not settings.input.depth:
        return ""
    depth = Path(bpy.path.abspath(settings.input.depth))
    folder = Path(bpy.path.abspath(settings.picture)).parent
    if not depth.is_relative_to(folder):
        raise AddonError(
            f"The depth map {depth} does not lie beside its picture; copy it to {folder} and choose it there."
        )
    return depth.relative_to(folder).as_posix()


def _view(known: bpy.types.PropertyGroup) -> SplatView | None:
    if known.look_fov == 0.0:
        return None
    width, height = known.look_size
    return SplatView(tuple(known.look_matrix), known.look_fov, width, height)
