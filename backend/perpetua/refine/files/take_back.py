"""What another program gives back: numbered pictures or a movie, as the video that was asked for.

Put right, and said: another size of the same shape (resampled), another constant frame rate over the same time (blended to ours), up to
``SPARE_FRAMES`` too many at the end (cut: many models make 4n + 1 or 8n + 1 frames). Refused, with the sentence that names
it: anything else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import RefinerError
from perpetua.mp4 import read_video
from perpetua.progress import Progress
from perpetua.refine.api import RenderedVideo, Video

PICTURES = (".png", ".jpg", ".jpeg")
MOVIES = (".mp4", ".mov", ".mkv", ".webm")
SPARE_FRAMES = 7
OPAQUE = 0.98
"""Coverage of a pixel from which on it counts as whole."""
SAME_SHAPE = 0.02
"""Relative difference of width / height up to which two sizes have the same shape (sizes are rounded to multiples of 16)."""


def given_files(folder: Path) -> dict[str, Any]:
    """Name -> size and time of every file that was given back; empty as long as there is none."""
    pictures = [p for p in _shown(folder / "refined", "*") if p.suffix.lower() in PICTURES]
    movies = [p for p in _shown(folder, "refined.*") if p.suffix.lower() in MOVIES]
    stats = {path.relative_to(folder).as_posix(): path.stat() for path in [*pictures, *movies]}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def refuse_others(folder: Path) -> None:
    """Raises ``RefinerError`` if what was given back is of kinds that are not read, where nothing else was."""
    for path in [*_shown(folder, "refined.*"), *_shown(folder / "refined", "*")]:
        raise RefinerError(
            f"{path} is neither a PNG or JPEG picture nor a movie (.mp4, .mov, .mkv, .webm); export the refined video as one of them."
        )


def _shown(folder: Path, pattern: str) -> list[Path]:
    """Files, but for hidden ones, which systems write beside pictures."""
    return [p for p in sorted(folder.glob(pattern)) if p.is_file() and not p.name.startswith(".")]


def take_back(folder: Path, video: RenderedVideo, fps: float, progress: Progress) -> Video:
    """The refined video that lies in ``folder``, of the shape of ``video.rgb``; what was put right is said to ``progress``.

    Raises ``RefinerError`` for a missing, see-through or unreadable frame, and for a size, length or rate that cannot be put right.
    """
    given = [folder / name for name in given_files(folder)]
    movies = [path for path in given if path.suffix.lower() in MOVIES]
    if len(movies) > 1 or (movies and len(given) > 1):
        raise RefinerError(
            f"There is more than one refined video in {folder} ({given[0].name} and {given[-1].name}); keep the one you mean."
        )
    frames: NDArray[np.float32]
    rate: float | None = None
    if movies:
        try:
            movie = read_video(movies[0])
        except OSError as error:
            raise RefinerError(f"{error}; export it again as MP4.") from error
        frames, rate, where = movie.frames.astype(np.float32), movie.fps, str(movies[0])
        frames /= 255
    else:
        frames, where = read_pictures(given), str(folder / "refined")
    frames = in_time(frames, len(video.rgb), rate, fps, where, progress)
    return in_space(frames, video.rgb.shape[1:3], where, progress)


def read_pictures(paths: list[Path]) -> NDArray[np.float32]:
    """[T, H, W, 3] in [0, 1] of pictures in the order of the number that ends their names."""
    numbered: dict[int, Path] = {}
    for path in paths:
        found = re.findall(r"\d+", path.stem)
        if not found:
            raise RefinerError(f"{path} has no number in its name; number the frames (frame_0000.png, ...).")
        other = numbered.setdefault(int(found[-1]), path)
        if other != path:
            raise RefinerError(f"{other} and {path.name} have the same number; keep one of them.")
    first, last = min(numbered), max(numbered)
    if missing := sorted(set(range(first, last + 1)) - set(numbered)):
        raise RefinerError(
            f"Frame {missing[0]} is missing in {paths[0].parent} ({len(missing)} of {last - first + 1}); add it and bake again."
        )
    pictures = [_picture(numbered[number]) for number in sorted(numbered)]
    for number, picture in zip(sorted(numbered), pictures, strict=True):
        if picture.shape != pictures[0].shape:
            raise RefinerError(
                f"{numbered[number]} is {picture.shape[1]}x{picture.shape[0]} and the first frame is "
                f"{pictures[0].shape[1]}x{pictures[0].shape[0]}; give all frames one size."
            )
    return np.stack(pictures)


def in_time(
    frames: NDArray[np.float32], wanted: int, rate: float | None, fps: float, where: str, progress: Progress
) -> NDArray[np.float32]:
    """``wanted`` frames at ``fps``, from frames at ``rate`` (None: unknown)."""
    count = len(frames)
    if count == wanted:
        return frames
    if rate is not None and abs(rate - fps) > 0.01 * fps:
        ours, theirs = (wanted - 1) / fps, (count - 1) / rate
        if abs(ours - theirs) > 1 / min(rate, fps):
            raise RefinerError(
                f"{where} lasts {theirs:.2f} s ({count} frames at {rate:g} a second) and the round {ours:.2f} s ({wanted} "
                f"frames at {fps:g}); give a video of the round's length."
            )
        progress(0.5, f"{count} frames at {rate:g} a second are blended to {wanted} at {fps:g}")
        at = np.linspace(0, count - 1, wanted, dtype=np.float32)
        before = np.floor(at).astype(int)
        after = np.minimum(before + 1, count - 1)
        share = (at - before).reshape(-1, 1, 1, 1)
        return (1 - share) * frames[before] + share * frames[after]
    if wanted < count <= wanted + SPARE_FRAMES:
        progress(0.5, f"{count - wanted} frames too many at the end are cut")
        return frames[:wanted]
    raise RefinerError(
        f"{where} holds {count} frames and the round has {wanted}; give one refined frame for each coarse one."
    )


def in_space(
    frames: NDArray[np.float32], size: tuple[int, ...], where: str, progress: Progress
) -> NDArray[np.float32]:
    """``frames`` at ``size`` (height, width)."""
    (height, width), (given_height, given_width) = size, frames.shape[1:3]
    if (given_height, given_width) == (height, width):
        return frames
    shape, given = width / height, given_width / given_height
    if abs(given / shape - 1) > SAME_SHAPE:
        raise RefinerError(
            f"{where} is {given_width}x{given_height} and the view {width}x{height}, which is another shape; render it at "
            "the view's size or a multiple of it, without cropping."
        )
    progress(0.6, f"{given_width}x{given_height} pixels are resampled to {width}x{height}")
    how = cv2.INTER_AREA if given_width > width else cv2.INTER_CUBIC
    return np.clip(np.stack([cv2.resize(f, (width, height), interpolation=how) for f in frames]), 0, 1)


def _picture(path: Path) -> NDArray[np.float32]:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    ways = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, cv2.IMREAD_UNCHANGED
    image, whole = (cv2.imdecode(data, way) if len(data) else None for way in ways)
    if image is None or whole is None:
        raise RefinerError(f"{path} is not a picture that can be read; write it again.")
    most = 65535 if image.dtype == np.uint16 else 255
    if whole.ndim == 3 and whole.shape[2] == 4 and whole[..., 3].min() < OPAQUE * most:
        raise RefinerError(
            f"{path} is see-through in places, and nobody knows what is behind; lay it over the coarse frame and write it without alpha."
        )
    return image[..., ::-1].astype(np.float32) / np.float32(most)
