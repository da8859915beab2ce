"""Videos of a cache: one MP4 per round and camera, drawn by the engine's own renderer, and those that it was corrected by."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.cache.arrays import gaussians_of
from perpetua.errors import CacheError
from perpetua.mp4 import write_video
from perpetua.progress import Progress
from perpetua.render import Layers, render_layers
from perpetua.render.film import compose
from perpetua.scene import Camera
from perpetua_protocol.cache import REFINED, Cache, CameraRecord, RoundRecord


def export_videos(folder: Path, out: Path, progress: Progress, width: int | None = None) -> list[Path]:
    """Write ``round_<n>_<camera>.mp4`` for every round and camera of the cache. Returns the paths."""
    cache = Cache(folder)
    out.mkdir(parents=True, exist_ok=True)
    rounds = [r for r in cache.meta.rounds if r.index > 0]
    total = len(rounds) * len(cache.meta.cameras)
    paths: list[Path] = []
    for record in cache.meta.cameras:
        camera = camera_of(record) if width is None else camera_of(record).resized(width)
        backdrop = render_layers(gaussians_of(cache.background()), camera)
        for round_ in rounds:
            path = out / f"round_{round_.index}_{record.name}.mp4"
            write_video(
                path, _frames(cache, round_, camera, backdrop), cache.meta.fps, (camera.width, camera.height)
            )
            paths.append(path)
            progress(len(paths) / total, path.name)
    return paths


def export_refined(folder: Path, out: Path) -> list[Path]:
    """Copy the videos that the rounds were corrected by to ``round_<n>_<camera>_refined.mp4``. Returns the paths.

    Raises ``CacheError`` when no round has any, ``DamagedCache`` when one is not there.
    """
    cache = Cache(folder)
    found = [
        (
            cache.path(f"{round_.folder}/{REFINED}{camera.name}.mp4"),
            f"round_{round_.index}_{camera.name}_refined.mp4",
        )
        for round_ in cache.meta.rounds
        for camera in cache.meta.cameras
        if f"{round_.folder}/{REFINED}{camera.name}.mp4" in cache.meta.files
    ]
    if not found:
        raise CacheError(f"The take at {folder} was baked without a refiner, so it has no refined videos.")
    out.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, out / name)) for path, name in found]


def _frames(
    cache: Cache, round_: RoundRecord, camera: Camera, backdrop: Layers
) -> Iterator[NDArray[np.uint8]]:
    for number in range(round_.start, round_.start + round_.frames):
        layer = compose(render_layers(gaussians_of(cache.frame(number)), camera), backdrop)
        yield (layer.rgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def camera_of(record: CameraRecord) -> Camera:
    """The cache's camera as the renderer's."""
    matrix = np.array(record.matrix_world, dtype=np.float64).reshape(4, 4)
    return Camera.from_blender(
        matrix, record.horizontal_fov_degrees, record.width, record.height, record.name, record.role
    )
