"""The clips that are trained on: read from disk, cut to the length and size of the model, as tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.clips.clip import is_clip, read_clip
from perpetua.clips.motion import rise_of_depth
from perpetua.errors import TrainingError
from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.store import INDEX, Split, read_split
from perpetua.phys4d.data.store import read_clip as read_generated
from perpetua.phys4d.train.config import DataPlan


@dataclass(frozen=True)
class TrainingClip:
    """What training takes of a clip; shapes and units as in ``perpetua.clips.clip``. What is None is not learned from it.

    generated: as in the data set, whose coarse video of the same scene is taken."""

    name: str
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32] | None = None
    flow: NDArray[np.floating] | None = None
    occluded: NDArray[np.bool_] | None = None
    scene_flow: NDArray[np.floating] | None = None
    K: NDArray[np.float64] | None = None
    world_to_camera: NDArray[np.float64] | None = None
    generated: ClipArrays | None = None


class ClipSource(ABC):
    """Clips by their number."""

    names: list[str]

    @abstractmethod
    def read(self, number: int) -> TrainingClip:
        """The clip, checked. Raises an error naming its file if that is damaged."""


class ClipFolders(ClipSource):
    """A folder of clips, or one clip."""

    def __init__(self, folder: Path) -> None:
        found = (
            [folder] if is_clip(folder) else sorted(p for p in folder.iterdir() if p.is_dir() and is_clip(p))
        )
        if not found:
            raise TrainingError(
                f"{folder} holds no clips (folders with rgb.mp4 or rgb/*.png) and no {INDEX}; give what "
                "`perpetua data generate` wrote, or a folder of clips."
            )
        self._folders = found
        self.names = [p.name for p in found]

    def read(self, number: int) -> TrainingClip:
        clip = read_clip(self._folders[number])
        flow, cameras = clip.flow, clip.cameras
        return TrainingClip(
            clip.name, clip.rgb, clip.depth,
            None if flow is None else flow.forward,
            None if flow is None else flow.occluded,
            clip.scene_flow,
            None if cameras is None else cameras.K,
            None if cameras is None else cameras.world_to_camera,
        )  # fmt: skip


class GeneratedClips(ClipSource):
    """What `perpetua data generate` wrote: the true videos of a split."""

    def __init__(self, folder: Path, split: Split) -> None:
        self._entries = read_split(folder, split)
        self.names = [e.about.clip for e in self._entries]

    def read(self, number: int) -> TrainingClip:
        clip = read_generated(self._entries[number])
        return TrainingClip(
            self.names[number],
            clip.rgb,
            clip.depth,
            clip.flow,
            clip.occluded,
            clip.scene_flow,
            clip.K,
            clip.world_to_camera,
            clip,
        )


def source_of(plan: DataPlan) -> ClipSource:
    """The clips that ``plan`` names."""
    folder = Path(plan.folder).expanduser()
    if not folder.is_dir():
        raise TrainingError(f"There is no folder {folder}; set data.folder to where the clips are.")
    return GeneratedClips(folder, plan.split) if (folder / INDEX).is_file() else ClipFolders(folder)


def cut(clip: TrainingClip, plan: DataPlan, draw: np.random.Generator) -> dict[str, Tensor]:
    """``plan.frames`` consecutive frames of a clip at the plan's size, from a frame that ``draw`` chooses; see ``losses.Batch``, and
    also K [T, 3, 3] px and world_to_camera [T, 4, 4], with ``posed`` [] false and both identity where they are not known; and of clips that
    have a coarse video, coarse_rgb, coarse_depth and coarse_flow like the others and coarse_alpha [T, H, W] in [0, 1]."""
    T = len(clip.rgb)
    if plan.frames > T:
        raise TrainingError(
            f"Clip '{clip.name}' has {T} frames and {plan.frames} are asked for; set data.frames to {T} at most, or leave the clip out."
        )
    start = int(draw.integers(T - plan.frames + 1))
    now, on = slice(start, start + plan.frames), slice(start, start + plan.frames - 1)
    fit = Fit.covering(clip.rgb.shape[2], clip.rgb.shape[1], plan.width, plan.height)
    out = {"rgb": _colours(fit, clip.rgb[now])}
    t, h, w = out["rgb"].shape[1:]
    depth = np.zeros((t, h, w), np.float32) if clip.depth is None else fit.nearest(clip.depth[now])
    out["depth"] = torch.from_numpy(depth)
    known = clip.flow is not None
    flow = np.zeros((t - 1, h, w, 2), np.float32)
    if clip.flow is not None:
        flow = fit.nearest(clip.flow[on].astype(np.float32)) * np.float32(fit.scale)
    out["flow"] = torch.from_numpy(flow).permute(0, 3, 1, 2).contiguous()
    if clip.generated is not None:
        coarse = clip.generated
        moved = fit.nearest(coarse.coarse_flow[on].astype(np.float32)) * np.float32(fit.scale)
        out["coarse_rgb"] = _colours(fit, coarse.coarse_rgb[now])
        out["coarse_depth"] = torch.from_numpy(fit.nearest(coarse.coarse_depth[now]))
        out["coarse_flow"] = torch.from_numpy(moved).permute(0, 3, 1, 2).contiguous()
        out["coarse_alpha"] = torch.from_numpy(fit.nearest(coarse.coarse_alpha[now]) / np.float32(255))
    out["flow_known"] = torch.full((t - 1, h, w), known)
    hidden = np.zeros((t - 1, h, w), bool) if clip.occluded is None else fit.nearest(clip.occluded[on])
    out["occluded"] = torch.from_numpy(hidden.astype(np.float32))
    out["occluded_known"] = torch.full((t - 1, h, w), clip.occluded is not None)
    rise = _rise(clip, now, on)
    out["rise"] = torch.zeros(t - 1, h, w) if rise is None else torch.from_numpy(fit.nearest(rise))
    out["rise_known"] = torch.full((t - 1, h, w), rise is not None) & (out["depth"][:-1] > 0)
    posed = clip.K is not None and clip.world_to_camera is not None
    K = fit.intrinsics(clip.K[now]) if posed and clip.K is not None else np.broadcast_to(np.eye(3), (t, 3, 3))
    poses = clip.world_to_camera[now] if posed and clip.world_to_camera is not None else np.eye(4)
    out["K"] = torch.from_numpy(np.array(K, np.float32))
    out["world_to_camera"] = torch.from_numpy(np.array(np.broadcast_to(poses, (t, 4, 4)), np.float32))
    out["posed"] = torch.tensor(posed)
    return out


def _colours(fit: Fit, video: NDArray[np.uint8]) -> Tensor:
    """[3, T, height, width] in [-1, 1]."""
    scaled = fit.smooth(video).astype(np.float32) / 127.5 - 1
    return torch.from_numpy(scaled).permute(3, 0, 1, 2).contiguous()


def _rise(clip: TrainingClip, now: slice, on: slice) -> NDArray[np.float32] | None:
    if clip.scene_flow is None:
        return None
    if clip.depth is None or clip.K is None or clip.world_to_camera is None:
        return clip.scene_flow[on][..., 2].astype(np.float32)
    return rise_of_depth(clip.scene_flow[on], clip.depth[now], clip.K[now], clip.world_to_camera[now])


@dataclass(frozen=True)
class Fit:
    """Scales by one factor so that the picture covers width x height, and crops the middle. left, top: px of the scaled picture."""

    scale: float
    scaled: tuple[int, int]
    left: int
    top: int
    width: int
    height: int

    @staticmethod
    def covering(from_width: int, from_height: int, width: int, height: int) -> Fit:
        scale = max(width / from_width, height / from_height)
        scaled = max(width, round(from_width * scale)), max(height, round(from_height * scale))
        return Fit(scale, scaled, (scaled[0] - width) // 2, (scaled[1] - height) // 2, width, height)

    def smooth(self, video: NDArray) -> NDArray:
        """[T, height, width, C] of pictures; averages where it makes smaller."""
        return self._fitted(video, cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR)

    def nearest(self, video: NDArray) -> NDArray:
        """[T, height, width, ...] of numbers that must not be mixed across edges."""
        if video.dtype == bool:
            return self._fitted(video.astype(np.uint8), cv2.INTER_NEAREST).astype(bool)
        return self._fitted(video, cv2.INTER_NEAREST)

    def intrinsics(self, K: NDArray[np.float64]) -> NDArray[np.float64]:
        """[T, 3, 3] px of the fitted pictures."""
        out = K.copy()
        out[:, :2] *= self.scale
        out[:, 0, 2] -= self.left
        out[:, 1, 2] -= self.top
        return out

    def _fitted(self, video: NDArray, how: int) -> NDArray:
        if self.scaled != (video.shape[2], video.shape[1]):
            video = np.stack(
                [cv2.resize(np.ascontiguousarray(f), self.scaled, interpolation=how) for f in video]
            )
        across, down = slice(self.left, self.left + self.width), slice(self.top, self.top + self.height)
        return np.ascontiguousarray(video[:, down, across])


def usable_frames(frames: int, step: int) -> int:
    """The largest number up to ``frames``, or the smallest there is, that is a multiple of ``step`` and one more."""
    return max(1, (frames - 1) // step) * step + 1


def check_plan(plan: DataPlan, step: int, multiple: int, which: str = "data") -> None:
    """Raise ``TrainingError`` with the nearest numbers that the model takes: frames ``step`` k + 1, sides ``multiple`` k pixels."""
    if plan.frames != (best := usable_frames(plan.frames, step)):
        raise TrainingError(
            f"{which}.frames is {plan.frames}; the model takes {step} k + 1 of them: set it to {best} or {best + step}."
        )
    for name in ("width", "height"):
        value = getattr(plan, name)
        if value % multiple or value < multiple:
            best = max(multiple, value // multiple * multiple)
            raise TrainingError(
                f"{which}.{name} is {value}; the model takes multiples of {multiple}: set it to {best} or {best + multiple}."
            )
