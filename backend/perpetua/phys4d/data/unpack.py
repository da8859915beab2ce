"""Clips as folders that ``perpetua evaluate video`` reads: the truth, and the coarse video as a prediction of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.errors import DataError
from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.store import About, Entry, read_clips
from perpetua.progress import Progress

TRUTH, COARSE, REFINED = "truth", "coarse", "refined"
Refine = Callable[[ClipArrays], tuple[NDArray[np.uint8], dict[str, dict[str, NDArray]]]]
"""The refined picture [T, H, W, 3] of a clip's coarse video, and its layers as ``coarse_layers``."""


def unpack(entries: Sequence[Entry], out: Path, progress: Progress, refine: Refine | None = None) -> None:
    """Write ``out/truth/<clip>`` and ``out/coarse/<clip>`` for each of ``entries``, and ``out/refined/<clip>`` if ``refine`` is given."""
    for number, (about, clip) in enumerate(read_clips(entries)):
        write_clip(out / TRUTH / about.clip, about, clip.rgb, true_layers(clip))
        write_clip(out / COARSE / about.clip, about, clip.coarse_rgb, coarse_layers(clip))
        if refine is not None:
            write_clip(out / REFINED / about.clip, about, *refine(clip))
        progress((number + 1) / len(entries), about.clip)


def true_layers(clip: ClipArrays) -> dict[str, dict[str, NDArray]]:
    """The truth's ``.npz`` files by name."""
    return {
        "depth": {
            "inverse_depth": clip.inverse_depth,
            "inverse_depth_per_count": clip.inverse_depth_per_count[0],
        },
        "flow": {"forward": clip.flow, "occluded": clip.occluded},
        "scene_flow": {"forward": clip.scene_flow},
        "masks": {"object": clip.masks},
        "tracks": {"position": clip.track_position, "visible": clip.track_visible},
        "cameras": {"K": clip.K, "world_to_camera": clip.world_to_camera},
    }


def coarse_layers(clip: ClipArrays) -> dict[str, dict[str, NDArray]]:
    """The coarse video's."""
    return {
        "depth": {
            "inverse_depth": clip.coarse_inverse_depth,
            "inverse_depth_per_count": clip.inverse_depth_per_count[1],
        },
        "flow": {"forward": clip.coarse_flow},
        "cameras": {"K": clip.K, "world_to_camera": clip.world_to_camera},
    }


def write_clip(
    folder: Path, about: About, rgb: NDArray[np.uint8], layers: Mapping[str, Mapping[str, NDArray]]
) -> None:
    """A clip's folder: numbered PNG files, so that nothing is lost, and its layers."""
    pictures = folder / "rgb"
    pictures.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(rgb):
        path = pictures / f"{number:04d}.png"
        if not cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)):
            raise DataError(f"{path} could not be written; look at the disk's space.")
    for name, arrays in layers.items():
        np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **arrays)
    record = {"format": "perpetua-clip", "version": 1, "fps": about.fps, "about": about}
    (folder / "clip.json").write_bytes(msgspec.json.encode(record))
