"""MP4 files: written so that they play everywhere, read whatever ffmpeg reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

H264 = ["-crf", "16", "-preset", "fast"]
"""Visually lossless for pictures of this size."""


@dataclass(frozen=True)
class Movie:
    """frames: [T, H, W, 3] uint8; fps: frames per second."""

    frames: NDArray[np.uint8]
    fps: float


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, size: tuple[int, int]) -> None:
    """Encode [H, W, 3] uint8 frames as H.264 in an MP4. ``size``: (width, height), made even if it is not."""
    writer = imageio_ffmpeg.write_frames(
        str(path),
        size,
        fps=fps,
        codec="libx264",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        output_params=H264,
    )
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def read_video(path: Path) -> Movie:
    """Every frame of a file. Raises ``OSError`` if it is no video or breaks off."""
    reader = imageio_ffmpeg.read_frames(str(path))
    try:
        about = next(reader)
        width, height = about["size"]
        frames = [np.frombuffer(data, np.uint8).reshape(height, width, 3) for data in reader]
    except (OSError, RuntimeError, ValueError, KeyError, StopIteration) as error:
        raise OSError(f"{path} is not a video that can be read") from error
    finally:
        reader.close()
    if not frames:
        raise OSError(f"{path} holds no frames")
    return Movie(np.stack(frames), float(about["fps"]))
