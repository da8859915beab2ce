"""A capture on disk: pictures, and ``transforms.json`` with their cameras, as NeRF's tools and ``scripts/render_ring.py`` write it.

    {"w": 640, "h": 360, "fl_x": 879.2, "fl_y": 879.2, "cx": 320, "cy": 180,     (or in each frame)
     "metric": true, "objects": ["ball"], "depth_unit_scale_factor": 0.001,
     "front_filename": ..., "train_filenames": [...], "test_filenames": [...],
     "ply_file_path": "sparse.ply",
     "frames": [{"file_path": "images/0.png", "transform_matrix": [[4 x 4]],
                 "depth_file_path": "depth/0.exr", "object_mask_path": "masks/0.png"}]}

``transform_matrix`` is camera to world in Blender's axes (x right, y up, looking along -z); in an object mask a pixel is 0, or the number
of the object it shows, counted from 1. The PLY file holds a sparse cloud of points, if the cameras were found with one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from perpetua.errors import CaptureError, PictureError
from perpetua.exr import write_exr_depth
from perpetua.reconstruct.capture.capture import Capture, CapturedView, check
from perpetua.reconstruct.capture.depth_file import MILLIMETRE, read_depth
from perpetua.reconstruct.picture import load_picture
from perpetua.scene.cameras import FLIP_YZ, Camera, inverse

TRANSFORMS = "transforms.json"


class Frame(msgspec.Struct, frozen=True):
    """An entry of ``frames``."""

    file_path: str
    transform_matrix: list[list[float]]
    depth_file_path: str | None = None
    object_mask_path: str | None = None
    w: int | None = None
    h: int | None = None
    fl_x: float | None = None
    fl_y: float | None = None
    cx: float | None = None
    cy: float | None = None


class Transforms(msgspec.Struct, frozen=True):
    """``transforms.json``; keys of other tools are left alone."""

    frames: list[Frame]
    w: int | None = None
    h: int | None = None
    fl_x: float | None = None
    fl_y: float | None = None
    cx: float | None = None
    cy: float | None = None
    camera_angle_x: float | None = None
    metric: bool = False
    depth_unit_scale_factor: float = MILLIMETRE
    ply_file_path: str | None = None
    objects: list[str] = []
    front_filename: str | None = None
    train_filenames: list[str] | None = None
    test_filenames: list[str] = []


def read_capture(folder: Path) -> Capture:
    """The capture in ``folder``. Raises ``CaptureError`` naming the file that is wrong and what to do."""
    path = folder / TRANSFORMS
    record = _record(folder)
    views = {frame.file_path: _view(folder, frame, record) for frame in record.frames}
    named = {*(record.train_filenames or []), *record.test_filenames, record.front_filename or ""} - {""}
    if unknown := sorted(named - set(views)):
        raise CaptureError(
            f"{path} names {unknown[0]}, which is not among its frames; add it or leave it out."
        )
    test = set(record.test_filenames)
    train = record.train_filenames or [name for name in views if name not in test]
    front = record.front_filename or (train[0] if train else "")
    if front and front not in train:
        train = [front, *train]
    capture = Capture(
        tuple(views[name] for name in train),
        train.index(front) if train else 0,
        tuple(views[name] for name in record.test_filenames),
        tuple(record.objects),
        record.metric,
        *_cloud(folder, record.ply_file_path),
    )
    check(capture)
    return capture


def _cloud(folder: Path, name: str | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points [N, 3] and colours [N, 3] in [0, 1] of a PLY file; none without a name."""
    if name is None:
        return np.empty((0, 3)), np.empty((0, 3))
    try:
        cloud = trimesh.load(folder / name)
        points = np.asarray(getattr(cloud, "vertices"), dtype=np.float64)  # noqa: B009 - of whatever kind it is
    except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise CaptureError(
            f"{folder / name} is no readable cloud of points ({error}); write it as PLY, or leave ply_file_path out of {TRANSFORMS}."
        ) from error
    colors = (
        np.asarray(getattr(cloud, "colors", np.empty((0, 4))), dtype=np.float64).reshape(-1, 4)[:, :3] / 255
    )
    return points, colors if len(colors) == len(points) else np.full_like(points, 0.5)


def files_of(folder: Path) -> tuple[Path, ...]:
    """``transforms.json`` and every file that it names. Raises ``CaptureError``."""
    return (folder / TRANSFORMS, *(folder / name for name in _names_in(_record(folder))))


def _record(folder: Path) -> Transforms:
    path = folder / TRANSFORMS
    if not path.is_file():
        raise CaptureError(
            f"There is no {TRANSFORMS} in {folder}; a capture needs one, with a camera for every picture (docs/reconstruct.md)."
        )
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Transforms)
    except msgspec.DecodeError as error:
        raise CaptureError(f"{path} is no list of cameras ({error}); write it again.") from error
    for name in _names_in(record):
        # a capture that came over the wire must not open other files of this machine
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise CaptureError(
                f"{path} names {name}, which is outside of its folder; put the file beside {TRANSFORMS} or below it."
            )
    return record


def _names_in(record: Transforms) -> list[str]:
    """Every file that ``transforms.json`` names."""
    names = [record.ply_file_path]
    for frame in record.frames:
        names += [frame.file_path, frame.depth_file_path, frame.object_mask_path]
    return [name for name in names if name is not None]


def _view(folder: Path, frame: Frame, record: Transforms) -> CapturedView:
    try:
        rgb = load_picture(folder / frame.file_path, max_width=1 << 16).rgb
    except PictureError as error:
        raise CaptureError(f"{error} ({folder / TRANSFORMS} names it.)") from error
    depth = None
    if frame.depth_file_path is not None:
        depth = read_depth(folder / frame.depth_file_path, record.depth_unit_scale_factor)
    objects = None
    if frame.object_mask_path is not None:
        objects = _object_mask(folder / frame.object_mask_path, len(record.objects))
    return CapturedView(frame.file_path, _camera(frame, record, rgb), rgb, depth, objects)


def _camera(frame: Frame, record: Transforms, rgb: NDArray[np.uint8]) -> Camera:
    height, width = rgb.shape[:2]

    def value(name: str, default: float | None) -> float:
        for holder in (frame, record):
            if (found := getattr(holder, name)) is not None:
                return float(found)
        if default is None:
            raise CaptureError(
                f"The focal length of {frame.file_path} is not known; write fl_x (pixels) into {TRANSFORMS}."
            )
        return default

    angle = record.camera_angle_x
    fl_x = value("fl_x", None if angle is None else 0.5 * width / np.tan(angle / 2))
    fl_y = value("fl_y", fl_x)
    matrix = np.array(frame.transform_matrix, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or min(fl_x, fl_y) <= 0:
        raise CaptureError(
            f"The camera of {frame.file_path} is no 4 x 4 matrix of finite numbers with a focal length above zero; write it again."
        )
    K = np.array([[fl_x, 0, value("cx", width / 2)], [0, fl_y, value("cy", height / 2)], [0, 0, 1.0]])
    size = (int(value("w", width)), int(value("h", height)))
    return Camera(K, inverse(matrix @ FLIP_YZ), *size, Path(frame.file_path).stem, "side")


def _object_mask(path: Path, count: int) -> NDArray[np.int32]:
    """[H, W] the object's index, -1 for none."""
    if not path.is_file():
        raise CaptureError(f"There is no object mask at {path}; check its path.")
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise CaptureError(f"{path} cannot be read as a picture ({error}); write it again as PNG.") from error
    values = values[..., 0] if values.ndim == 3 else values
    if int(values.max()) > count:
        raise CaptureError(
            f"{path} holds object number {int(values.max())} and {TRANSFORMS} names {count}; name every object in `objects`."
        )
    return values.astype(np.int32) - 1


def write_capture(folder: Path, capture: Capture) -> None:
    """Write a capture that ``read_capture`` reads back."""
    for name in ("images", "depth", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    frames: list[dict[str, Any]] = []
    for view in (*capture.views, *capture.held_out):
        stem = Path(view.name).stem
        frame: dict[str, Any] = {
            "file_path": f"images/{stem}.png",
            "transform_matrix": view.camera.matrix_world.tolist(),
            "w": view.camera.width, "h": view.camera.height, "fl_x": float(view.camera.K[0, 0]),
            "fl_y": float(view.camera.K[1, 1]), "cx": float(view.camera.K[0, 2]), "cy": float(view.camera.K[1, 2]),
        }  # fmt: skip
        Image.fromarray(view.rgb).save(folder / frame["file_path"])
        if view.depth is not None:
            frame["depth_file_path"] = f"depth/{stem}.exr"
            write_exr_depth(folder / frame["depth_file_path"], view.depth)
        if view.objects is not None:
            frame["object_mask_path"] = f"masks/{stem}.png"
            Image.fromarray((view.objects + 1).astype(np.uint8)).save(folder / frame["object_mask_path"])
        frames.append(frame)
    record = {
        "metric": capture.metric,
        "objects": list(capture.objects),
        "front_filename": frames[capture.front]["file_path"],
        "train_filenames": [f["file_path"] for f in frames[: len(capture.views)]],
        "test_filenames": [f["file_path"] for f in frames[len(capture.views) :]],
        "frames": frames,
    }
    (folder / TRANSFORMS).write_bytes(msgspec.json.format(msgspec.json.encode(record)))
