"""A clip on disk: what a video shows and, as far as it is known, where everything in it is and goes.

    clip/
      clip.json                 {"format": "perpetua-clip", "version": 1, "fps": 24.0}; needed with numbered pictures, else optional
      rgb.mp4  or  rgb/*.png    the picture, T frames
      depth.npz, depth/*.exr  or  depth/*.png
      flow.npz                  forward   [T-1, H, W, 2] pixels; occluded [T-1, H, W] bool, optional
      scene_flow.npz            forward   [T-1, H, W, 3] m, camera axes of frame t
      masks.npz                 object    [T, H, W] integers, 0 where there is no object
      tracks.npz                position  [T, N, 3] m, world; visible [T, N] bool
      cameras.npz or .json      K [T, 3, 3] or [3, 3] pixels; world_to_camera [T, 4, 4] or [4, 4], OpenCV, metres
      take_2.mp4  or  take_2/*.png    the same scene played a second time, which says how much physics leaves to chance

Everything but the picture is optional; what needs a layer that is not there is reported as unavailable. Forward flow of frame t is how far
the matter that a pixel of frame t sees has moved in the image at frame t + 1; scene flow, how far in space, in the axes that the camera
has at frame t. The centre of the first pixel is (0.5, 0.5).

Raises ``ClipError`` naming the file that is wrong and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.clips.layers import read_arrays, read_depth, read_rgb, same_shape
from perpetua.errors import ClipError

FORMAT, VERSION = "perpetua-clip", 1
ABOUT = "clip.json"


class ClipFile(msgspec.Struct, frozen=True):
    """``clip.json``. Other fields, such as a scene's parameters and seed, are kept by whoever wrote them."""

    fps: float
    format: str = FORMAT
    version: int = VERSION
    inverse_depth_per_count: float | None = None
    """1/m that one count of a 16-bit depth picture stands for."""


@dataclass(frozen=True)
class Cameras:
    """K: [T, 3, 3] pixels; world_to_camera: [T, 4, 4], OpenCV, metres."""

    K: NDArray[np.float64]
    world_to_camera: NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """forward: [T-1, H, W, 2] pixels; occluded: [T-1, H, W], whether what a pixel sees is hidden in the next frame, if known."""

    forward: NDArray[np.float32]
    occluded: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Tracks:
    """position: [T, N, 3] m, world; visible: [T, N]."""

    position: NDArray[np.float32]
    visible: NDArray[np.bool_]


@dataclass(frozen=True)
class Clip:
    """rgb: [T, H, W, 3] uint8; depth: [T, H, W] m along the optical axis, 0 or infinite where there is none."""

    name: str
    folder: Path
    fps: float
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32] | None = None
    flow: Flow | None = None
    scene_flow: NDArray[np.float32] | None = None
    masks: NDArray[np.integer] | None = None
    tracks: Tracks | None = None
    cameras: Cameras | None = None
    take_2: NDArray[np.uint8] | None = None

    @property
    def frames(self) -> int:
        return len(self.rgb)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels."""
        return self.rgb.shape[2], self.rgb.shape[1]


def is_clip(folder: Path) -> bool:
    """Whether a folder holds a video."""
    return (folder / "rgb.mp4").is_file() or (folder / "rgb").is_dir()


def read_clip(folder: Path) -> Clip:
    """The clip in ``folder`` with all its layers, each checked for shape and for numbers that are none."""
    about = _about(folder)
    rgb, video_fps = read_rgb(folder, "rgb")
    if about is None and video_fps is None:
        raise ClipError(
            f'{folder} has numbered pictures but no {ABOUT}: add one that holds {{"fps": 24}} with the frame rate that is true.'
        )
    fps = about.fps if about is not None else video_fps
    assert fps is not None
    if not np.isfinite(fps) or fps <= 0:
        raise ClipError(f"{folder / ABOUT} says {fps} frames a second; write the video's true frame rate.")
    T, H, W = rgb.shape[:3]
    depth = read_depth(folder, None if about is None else about.inverse_depth_per_count)
    if depth is not None:
        same_shape(folder / "depth", depth, (T, H, W))
    second = read_rgb(folder, "take_2")[0] if _has(folder, "take_2") else None
    if second is not None and second.shape[1:] != rgb.shape[1:]:
        raise ClipError(
            f"{folder / 'take_2'} is {second.shape[2]}x{second.shape[1]} pixels and rgb {W}x{H}; film both takes at one size."
        )
    return Clip(
        folder.name, folder, float(fps), rgb, depth, _flow(folder, (T - 1, H, W)), _scene_flow(folder, (T - 1, H, W)),
        _masks(folder, (T, H, W)), _tracks(folder, T), _cameras(folder, T), second,
    )  # fmt: skip


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.mp4").is_file() or (folder / name).is_dir()


def _about(folder: Path) -> ClipFile | None:
    path = folder / ABOUT
    if not folder.is_dir():
        raise ClipError(f"There is no folder {folder}; check the path.")
    if not path.is_file():
        return None
    try:
        about = msgspec.json.decode(path.read_bytes(), type=ClipFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ClipError(f"{path} is not readable ({error}); write it again.") from error
    if (about.format, about.version) != (FORMAT, VERSION):
        raise ClipError(
            f"{path} has format {about.format} {about.version}, this program reads {FORMAT} {VERSION}; write the clip again."
        )
    return about


def _flow(folder: Path, shape: tuple[int, int, int]) -> Flow | None:
    path = folder / "flow.npz"
    found = read_arrays(path, ("forward",), ("occluded",))
    if found is None:
        return None
    same_shape(path, found["forward"], (*shape, 2), "forward")
    occluded = found.get("occluded")
    if occluded is not None:
        same_shape(path, occluded, shape, "occluded")
        occluded = occluded.astype(bool)
    return Flow(found["forward"].astype(np.float32), occluded)


def _scene_flow(folder: Path, shape: tuple[int, int, int]) -> NDArray[np.float32] | None:
    path = folder / "scene_flow.npz"
    found = read_arrays(path, ("forward",))
    if found is None:
        return None
    same_shape(path, found["forward"], (*shape, 3), "forward")
    return found["forward"].astype(np.float32)


def _masks(folder: Path, shape: tuple[int, int, int]) -> NDArray[np.integer] | None:
    path = folder / "masks.npz"
    found = read_arrays(path, ("object",))
    if found is None:
        return None
    masks = found["object"]
    same_shape(path, masks, shape, "object")
    if not np.issubdtype(masks.dtype, np.integer) and masks.dtype != bool:
        raise ClipError(
            f"{path} holds 'object' of type {masks.dtype}; write each object's number, 0 for none."
        )
    return masks.astype(np.int32)


def _tracks(folder: Path, frames: int) -> Tracks | None:
    path = folder / "tracks.npz"
    found = read_arrays(path, ("position", "visible"))
    if found is None:
        return None
    points = found["position"].shape[1] if found["position"].ndim == 3 else 0
    same_shape(path, found["position"], (frames, points, 3), "position")
    same_shape(path, found["visible"], (frames, points), "visible")
    return Tracks(found["position"].astype(np.float32), found["visible"].astype(bool))


def _cameras(folder: Path, frames: int) -> Cameras | None:
    path = folder / "cameras.npz"
    if not path.is_file() and (folder / "cameras.json").is_file():
        path = folder / "cameras.json"
    found = read_arrays(path, ("K", "world_to_camera"))
    if found is None:
        return None
    many = {}
    for name, side in (("K", 3), ("world_to_camera", 4)):
        array = found[name].astype(np.float64)
        if array.ndim == 2:
            array = np.broadcast_to(array, (frames, *array.shape))
        same_shape(path, array, (frames, side, side), name)
        many[name] = array
    rotation = many["world_to_camera"][:, :3, :3]
    if not np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-3):
        raise ClipError(
            f"{path} has a world_to_camera that scales or shears; write rotations and translations only."
        )
    return Cameras(many["K"], many["world_to_camera"])
