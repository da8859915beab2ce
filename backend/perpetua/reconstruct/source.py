"""What a take starts from, and who makes a scene of it: a picture, a picture with its depth map, pictures from unknown
places, a video, a capture, or splats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua import registry
from perpetua.errors import CaptureError
from perpetua.progress import Progress
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.capture.capture import Capture
from perpetua.reconstruct.capture.depth_file import read_depth
from perpetua.reconstruct.capture.folder import files_of, read_capture
from perpetua.reconstruct.existing.reconstructor import SplatFile, front_view
from perpetua.reconstruct.picture import load_picture
from perpetua.reconstruct.poses.frames import first_frame
from perpetua.reconstruct.poses.shots import ShotFiles
from perpetua.scene.cameras import Camera
from perpetua.scene.scene import Scene
from perpetua_protocol.inputs import kind_of
from perpetua_protocol.take import Take

LARGEST_WIDTH = 1 << 16
"""Pixels: clicks are counted in the file's own."""
SHAPE_TOLERANCE = 0.01
"""Relative difference of the shapes of a picture and its depth map."""


@dataclass(frozen=True)
class Source:
    """given: what was read; reconstructor: the registered name of who makes a scene of it; files: all that was read."""

    given: Picture | Capture | SplatFile | ShotFiles
    reconstructor: str
    files: tuple[Path, ...]

    def reconstruct(self, take: Take, progress: Progress) -> Scene:
        """The world of frame 0. Raises what the reconstructor does."""
        scene: Scene = registry.load("reconstructor", self.reconstructor)().reconstruct(
            self.given, take, progress
        )
        return scene


def open_source(path: Path, take: Take) -> Source:
    """Read what ``take`` starts from, whose main file lies at ``path``. Raises ``PictureError``, ``CaptureError`` or ``ExrError``."""
    kind = kind_of(take.picture)
    if kind == "capture":
        return Source(read_capture(path.parent), "views", files_of(path.parent))
    if kind == "splats":
        return Source(SplatFile(path), "splats", (path,))
    if kind == "video":
        return Source(ShotFiles((path,), take.scene.video_frames), "shots", (path,))
    if take.scene.views:
        files = (path, *(path.parent / name for name in take.scene.views))
        return Source(ShotFiles(files), "shots", files)
    picture = load_picture(path, name=Path(take.picture).name)
    if take.scene.depth_estimator.name:
        if take.scene.depth:
            raise CaptureError(
                f"The take names both a depth map ('{take.scene.depth}') and a depth_estimator; leave one of them out."
            )
        return Source(picture, "depth", (path,))
    if not take.scene.depth:
        return Source(picture, "embedded", (path,))
    beside = path.parent / take.scene.depth
    if Path(take.scene.depth).name != take.scene.depth:
        raise CaptureError(
            f"The depth map '{take.scene.depth}' must lie beside the picture; put it there and write its name only."
        )
    return Source(_with_depth(picture, beside), "depth", (path, beside))


def front_picture(path: Path, take: Take) -> tuple[NDArray[np.uint8], Camera | None]:
    """[H, W, 3] what objects are clicked in, and its camera where that is known. Raises as ``open_source``, or ``SplatError``."""
    kind = kind_of(take.picture)
    if kind == "splats":
        view = front_view(path, take)
        return view.rgb, view.camera
    if kind == "capture":
        view = read_capture(path.parent).front_view
        return view.rgb, view.camera
    if kind == "video":
        return first_frame(path), None
    return load_picture(path, LARGEST_WIDTH, Path(take.picture).name).rgb, None


def _with_depth(picture: Picture, path: Path) -> Picture:
    """The picture with its depth map at the picture's size."""
    depth = read_depth(path)
    height, width = picture.rgb.shape[:2]
    rows, columns = depth.shape
    if abs(rows * width / (columns * height) - 1) > SHAPE_TOLERANCE:
        raise CaptureError(
            f"The depth map {path.name} is {columns} x {rows} pixels, of another shape than its picture ({width} x {height}); "
            "give the depth map of this very picture."
        )
    resized = cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST)
    return replace(picture, depth=np.asarray(resized, np.float32))
