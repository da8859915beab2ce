"""What each camera of a cache shows in a round: drawn from the cache's splats, or read from videos of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.cache.arrays import gaussians_of
from perpetua.cache.export_video import camera_of
from perpetua.errors import ClipError
from perpetua.mp4 import read_video
from perpetua.render import render_layers
from perpetua.render.film import compose
from perpetua.scene import Camera
from perpetua_protocol.cache import Cache, RoundRecord

COVERED = 0.05
"""Pixels that moving splats cover by less than this are still."""


@dataclass(frozen=True)
class View:
    """A camera's video of a round. rgb: [T, H, W, 3] uint8; depth: [T, H, W] m and covered: [T, H, W] (by what moves), as the cache has them."""

    camera: Camera
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    covered: NDArray[np.bool_]


@torch.no_grad()
def views_of(cache: Cache, round_: RoundRecord, width: int, videos: Path | None) -> list[View]:
    """Every camera's view of a round at ``width`` pixels, or at that of ``videos``: ``round_<n>_<camera>.mp4``, as ``perpetua export
    --video`` names them."""
    found = []
    for record in cache.meta.cameras:
        given = None if videos is None else _video(videos / f"round_{round_.index}_{record.name}.mp4", round_)
        camera = camera_of(record).resized(width if given is None else given.shape[2])
        if given is not None and given.shape[1] != camera.height:
            raise ClipError(
                f"{videos}/round_{round_.index}_{record.name}.mp4 is {given.shape[2]}x{given.shape[1]} pixels, which is not "
                f"the shape of camera '{record.name}' ({camera.width}x{camera.height}); make it so."
            )
        backdrop = render_layers(gaussians_of(cache.background()), camera)
        rgb, depth, covered = [], [], []
        for number in range(round_.start, round_.start + round_.frames):
            layer = compose(render_layers(gaussians_of(cache.frame(number)), camera), backdrop)
            rgb.append((layer.rgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy())
            depth.append(layer.depth.numpy())
            covered.append(layer.alpha.numpy() > COVERED)
        found.append(
            View(camera, np.stack(rgb) if given is None else given, np.stack(depth), np.stack(covered))
        )
    return found


def _video(path: Path, round_: RoundRecord) -> NDArray[np.uint8]:
    if not path.is_file():
        raise ClipError(
            f"There is no video {path}; add it, or leave --videos out to judge what the cache itself shows."
        )
    try:
        frames = read_video(path).frames
    except OSError as error:
        raise ClipError(f"{path} cannot be read ({error}); encode it again as H.264.") from error
    if len(frames) != round_.frames:
        raise ClipError(
            f"{path} has {len(frames)} frames and round {round_.index} {round_.frames}; cut or bake it alike."
        )
    return frames
