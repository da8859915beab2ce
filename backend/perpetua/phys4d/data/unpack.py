"""A data set's clips as those that the evaluation measures (``perpetua.clips.clip``), in memory or as folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from perpetua.clips.clip import Cameras, Clip, Flow, Tracks
from perpetua.errors import DataError
from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.store import About, Entry, read_clips
from perpetua.progress import Progress

TRUTH, COARSE, REFINED = "truth", "coarse", "refined"
Refine = Callable[[About, ClipArrays], Clip]
"""What a refiner makes of a clip's coarse video, with the depth and flow that it says its picture has."""


def unpack(entries: Sequence[Entry], out: Path, progress: Progress, refine: Refine | None = None) -> None:
    """Write ``out/truth/<clip>`` and ``out/coarse/<clip>`` for each of ``entries``, and ``out/refined/<clip>`` if ``refine`` is given."""
    kinds: dict[str, Refine] = {TRUTH: true_clip, COARSE: coarse_clip}
    if refine is not None:
        kinds[REFINED] = refine
    for number, (about, arrays) in enumerate(read_clips(entries)):
        for kind, made in kinds.items():
            write_clip(out / kind / about.clip, about, made(about, arrays))
        progress((number + 1) / len(entries), about.clip)


def true_clip(about: About, arrays: ClipArrays) -> Clip:
    """The truth with all that is known of it."""
    return Clip(
        about.clip, Path(about.clip), about.fps, arrays.rgb, arrays.depth,
        Flow(arrays.flow.astype(np.float32), arrays.occluded), arrays.scene_flow.astype(np.float32),
        arrays.masks.astype(np.int32), Tracks(arrays.track_position, arrays.track_visible), _cameras(arrays),
    )  # fmt: skip


def coarse_clip(about: About, arrays: ClipArrays) -> Clip:
    """The coarse video, as a prediction of the truth."""
    return Clip(
        about.clip, Path(about.clip), about.fps, arrays.coarse_rgb, arrays.coarse_depth,
        Flow(arrays.coarse_flow.astype(np.float32)), cameras=_cameras(arrays),
    )  # fmt: skip


def write_clip(folder: Path, about: About, clip: Clip) -> None:
    """A clip's folder: numbered PNG files, so that nothing is lost, and its layers."""
    pictures = folder / "rgb"
    pictures.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(clip.rgb):
        path = pictures / f"{number:04d}.png"
        if not cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)):
            raise DataError(f"{path} could not be written; look at the disk's space.")
    for name, arrays in _layers(clip).items():
        np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **arrays)
    record = {"format": "perpetua-clip", "version": 1, "fps": about.fps, "about": about}
    (folder / "clip.json").write_bytes(msgspec.json.encode(record))


def _layers(clip: Clip) -> dict[str, dict[str, NDArray]]:
    """The ``.npz`` files of a clip by name."""
    found: dict[str, dict[str, NDArray | None]] = {
        "depth": {"depth": clip.depth},
        "scene_flow": {"forward": clip.scene_flow},
        "masks": {"object": clip.masks},
    }
    if clip.flow is not None:
        found["flow"] = {"forward": clip.flow.forward, "occluded": clip.flow.occluded}
    if clip.tracks is not None:
        found["tracks"] = {"position": clip.tracks.position, "visible": clip.tracks.visible}
    if clip.cameras is not None:
        found["cameras"] = {"K": clip.cameras.K, "world_to_camera": clip.cameras.world_to_camera}
    known = {name: {k: v for k, v in arrays.items() if v is not None} for name, arrays in found.items()}
    return {name: arrays for name, arrays in known.items() if arrays}


def _cameras(arrays: ClipArrays) -> Cameras:
    return Cameras(arrays.K, arrays.world_to_camera)
