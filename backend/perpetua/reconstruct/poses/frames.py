"""Frames of a video from which poses are found: sharp ones, evenly spread over the camera's way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import CaptureError
from perpetua.progress import Progress
from perpetua.reconstruct.poses.shot import Shot

Array = NDArray[np.float64]
Grey = NDArray[np.uint8]

logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)
"""It warns whenever frames are read at another size than the video's, as they are here."""

LOOK_WIDTH = 320
"""Pixels, at which motion and sharpness are measured."""
MOST_LOOKED = 1200
"""Frames that are looked at; of a longer video every second, third, ..."""
CORNERS = 200
LEAST_MOTION = 0.1
"""Of the picture's width that what is seen must move in all: less is no way around anything."""
FEWEST_FRAMES = 8


def chosen_frames(path: Path, count: int, largest_width: int, progress: Progress) -> list[Shot]:
    """At most ``count`` frames of the video at ``path``, the first one always, no wider than ``largest_width`` pixels.

    Raises ``CaptureError`` if it is no video, too short, or the camera hardly moves.
    """
    width, height, frames = _about(path)
    step = max(1, -(-frames // MOST_LOOKED))
    small = (LOOK_WIDTH, max(2, round(height * LOOK_WIDTH / width)))
    motions, sharpness = [0.0], []
    before: Grey | None = None
    for index, rgb in _frames(path, small, step):
        grey: Grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        sharpness.append(float(cv2.Laplacian(grey, cv2.CV_64F).var()))
        if before is not None:
            motions.append(_motion(before, grey))
        before = grey
        progress(min(1.0, index / max(frames, 1)), f"looking at frame {index}")
    if len(sharpness) < FEWEST_FRAMES:
        raise CaptureError(
            f"{path.name} has {len(sharpness) * step} frames; film the scene for some seconds while you walk around it."
        )
    way = np.cumsum(motions)
    if way[-1] < LEAST_MOTION * LOOK_WIDTH:
        raise CaptureError(
            f"The camera hardly moves in {path.name} ({way[-1] / LOOK_WIDTH:.0%} of the picture's width in all); walk around the objects "
            "while you film, or use its first frame as a picture."
        )
    wanted = {step * index for index in spread(way, np.array(sharpness), count)}
    scale = min(1.0, largest_width / width)
    size = (round(width * scale), round(height * scale))
    found = [
        Shot(f"frame_{index:05d}.png", rgb, size[0] / width)
        for index, rgb in _frames(path, size, 1)
        if index in wanted
    ]
    progress(1.0, f"{len(found)} frames chosen")
    return found


def first_frame(path: Path) -> NDArray[np.uint8]:
    """[H, W, 3] what a video's objects are clicked in. Raises ``CaptureError``."""
    width, height, _ = _about(path)
    for _, rgb in _frames(path, (width, height), 1):
        return rgb
    raise _unreadable(path)


def spread(way: Array, sharpness: Array, count: int) -> list[int]:
    """Indices of at most ``count`` frames, growing: the first, and the sharpest of each stretch of equal ``way`` [N] (growing)."""
    slots = np.minimum((way / max(way[-1], 1e-9) * count).astype(int), count - 1)
    chosen = {0}
    for slot in range(1, count):
        own = np.flatnonzero(slots == slot)
        if len(own):
            chosen.add(int(own[np.argmax(sharpness[own])]))
    return sorted(chosen)


def _motion(before: Grey, after: Grey) -> float:
    """Pixels that corners move in the median (Lucas and Kanade's tracker); 0 where there are none."""
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 5)
    if corners is None:
        return 0.0
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, corners.copy())
    kept = found.ravel() == 1
    if not kept.any():
        return 0.0
    return float(np.median(np.linalg.norm((moved - corners)[kept].reshape(-1, 2), axis=1)))


def _about(path: Path) -> tuple[int, int, int]:
    """(width, height, number of frames, about) of a video."""
    if not path.is_file():
        raise CaptureError(f"There is no video at {path}; check the path of the take's picture.")
    reader = imageio_ffmpeg.read_frames(str(path))
    try:
        about = next(reader)
        width, height = about["size"]
        return int(width), int(height), max(1, round(about["duration"] * about["fps"]))
    except (OSError, RuntimeError, ValueError, KeyError, StopIteration) as error:
        raise _unreadable(path) from error
    finally:
        reader.close()


def _frames(path: Path, size: tuple[int, int], step: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(index, [H, W, 3]) of every ``step``-th frame at ``size`` (width, height)."""
    reader = imageio_ffmpeg.read_frames(
        str(path), output_params=["-vf", f"scale={size[0]}:{size[1]}:flags=area"]
    )
    try:
        next(reader)
        for index, data in enumerate(reader):
            if index % step == 0:
                yield index, np.frombuffer(data, np.uint8).reshape(size[1], size[0], 3)
    except (OSError, RuntimeError, ValueError, StopIteration) as error:
        raise _unreadable(path) from error
    finally:
        reader.close()


def _unreadable(path: Path) -> CaptureError:
    return CaptureError(f"{path.name} is no video that can be read; save it as MP4 (H.264).")
