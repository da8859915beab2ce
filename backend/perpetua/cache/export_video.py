"""Videos of a cache: one MP4 per round and camera, drawn by the engine's own renderer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.mp4 import write_video
from perpetua.progress import Progress
from perpetua.render import Layers, render_layers
from perpetua.render.film import compose
from perpetua.scene import Camera, Gaussians
from perpetua_protocol.cache import Cache, CameraRecord, RoundRecord


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


def _frames(
    cache: Cache, round_: RoundRecord, camera: Camera, backdrop: Layers
) -> Iterator[NDArray[np.uint8]]:
    for number in range(round_.start, round_.start + round_.frames):
        layer = compose(render_layers(gaussians_of(cache.frame(number)), camera), backdrop)
        yield (layer.rgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def gaussians_of(arrays: dict[str, NDArray[np.float32]]) -> Gaussians:
    """The cache's arrays as gaussians."""
    t = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    base = t["radiance_base"]
    opacity = torch.logit(base[:, 3].clamp(1e-6, 1 - 1e-6))
    return Gaussians(t["position"], t["rotation"], t["scale"].log(), opacity, base[:, None, :3])


def camera_of(record: CameraRecord) -> Camera:
    """The cache's camera as the renderer's."""
    matrix = np.array(record.matrix_world, dtype=np.float64).reshape(4, 4)
    return Camera.from_blender(
        matrix, record.horizontal_fov_degrees, record.width, record.height, record.name, record.role
    )
