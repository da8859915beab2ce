"""What a take starts from: the kinds of input, and the files that one consists of.

    picture    one picture; ``scene.depth`` its depth map, ``scene.views`` further pictures of the same still scene
    capture    ``transforms.json`` and the pictures, depth maps and masks that it names
    video      a video of a still scene from a camera that goes around it
    splats     an existing set of 3D Gaussians

The kind is told by the name of the main file (``Take.picture``). All other files lie beside the main file or below its folder.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from perpetua_protocol import limits
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import CAPTURE, Take

Kind = Literal["picture", "capture", "video", "splats"]

VIDEOS = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi"})
SPLATS = frozenset({".ply", ".splat"})
PACKED_SPLATS = frozenset({".spz", ".ksplat", ".sog", ".splatv"})
"""Splats in formats that are not read: refused as such, and not as pictures."""


class InputFile(msgspec.Struct, frozen=True):
    """A file of an input. name: relative to the main file's folder, ``/`` between parts."""

    name: str
    path: Path


class _Frame(msgspec.Struct):
    file_path: str
    depth_file_path: str | None = None
    object_mask_path: str | None = None


class _Transforms(msgspec.Struct):
    """The names in a ``transforms.json``."""

    frames: list[_Frame]
    ply_file_path: str | None = None


def kind_of(picture: str) -> Kind:
    """What kind of input a take's ``picture`` names."""
    name = PurePosixPath(picture.replace("\\", "/"))
    if name.name == CAPTURE:
        return "capture"
    suffix = name.suffix.lower()
    return "video" if suffix in VIDEOS else "splats" if suffix in SPLATS | PACKED_SPLATS else "picture"


def input_files(take: Take, path: Path) -> tuple[InputFile, ...]:
    """Every file of the input whose main file lies at ``path``; the main file comes first.

    Raises ``InvalidTake`` for a file that is missing, too large or outside of the main file's folder, or if there are too many.
    """
    names = [path.name]
    kind = kind_of(take.picture)
    if kind == "capture":
        names += _named_by(path)
    elif kind == "picture":
        names += [take.scene.depth] * bool(take.scene.depth) + list(take.scene.views)
    files = tuple(_file(path.parent, name) for name in dict.fromkeys(names))
    if len(files) > limits.INPUT_FILES:
        raise InvalidTake(
            f"{path.name} has {len(files)} files; at most {limits.INPUT_FILES} can be sent. Leave pictures out."
        )
    total = sum(file.path.stat().st_size for file in files)
    if total > limits.INPUT_BYTES:
        raise InvalidTake(
            f"{path.name} and its files are {total / limits.MIB:.0f} MiB; at most {limits.INPUT_BYTES // limits.MIB} MiB can be sent. "
            "Make the pictures smaller, or leave some out."
        )
    return files


def _named_by(path: Path) -> list[str]:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Transforms)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidTake(f"{path} is no list of cameras ({error}); write it again.") from error
    names = [record.ply_file_path]
    for frame in record.frames:
        names += [frame.file_path, frame.depth_file_path, frame.object_mask_path]
    return [str(PurePosixPath(name.replace("\\", "/"))) for name in names if name]


def _file(folder: Path, name: str) -> InputFile:
    path = folder / name
    if not limits.is_cache_path(name):
        raise InvalidTake(
            f"The file '{name}' cannot be sent: it must lie beside {folder.name}'s other files, under a plain name."
        )
    if not path.is_file():
        raise InvalidTake(f"There is no file at {path}; check its path.")
    if path.stat().st_size > limits.FILE_BYTES:
        raise InvalidTake(
            f"{name} is {path.stat().st_size / limits.MIB:.0f} MiB; at most {limits.FILE_BYTES // limits.MIB} MiB can be sent. "
            "Make it smaller."
        )
    return InputFile(name, path)
