"""Cuts of clips, coarse and fine, as the network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.errors import TrainingError
from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.store import Entry, read_clip
from perpetua.phys4d.refiner.config import RefinerPlan
from perpetua.refine.space_time.signal import condition_of, nearness_unit, signal_of

MOVING_PIXELS = 0.3
KEPT_CLIPS = 256
"""Clips held in memory; one of 17 frames of 128 x 80 pixels takes 4 MB."""


@dataclass(frozen=True)
class Pair:
    """A batch. fine, coarse: [B, 6, T, H, W].  condition: [B, 10, T, H, W].  known: [B, 6, T, H, W], 1 where the truth is known.
    moving: [B, T, H, W], 1 where something moves in the true or the coarse video."""

    fine: Tensor
    coarse: Tensor
    condition: Tensor
    known: Tensor
    moving: Tensor

    def named(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in ("fine", "coarse", "condition", "known", "moving")}


class Pairs:
    """Batches by the number of the step: the same numbers, the same batches."""

    def __init__(self, entries: Sequence[Entry], plan: RefinerPlan) -> None:
        for entry in entries:
            about = entry.about
            if about.frames < plan.frames or about.width < plan.width or about.height < plan.height:
                raise TrainingError(
                    f"Clip '{about.clip}' has {about.frames} frames of {about.width}x{about.height}; set frames, width and height to "
                    "those at most."
                )
        self.entries, self.plan = list(entries), plan
        self._read = lru_cache(KEPT_CLIPS)(lambda number: read_clip(self.entries[number]))

    def batch(self, step: int) -> Pair:
        random = np.random.default_rng([self.plan.seed, step])
        parts = [self._cut(random) for _ in range(self.plan.batch)]
        return Pair(*(torch.cat([getattr(part, name) for part in parts]) for name in parts[0].named()))

    def _cut(self, random: np.random.Generator) -> Pair:
        clip = self._read(int(random.integers(len(self.entries))))
        plan = self.plan
        frames, height, width = clip.masks.shape
        first = int(random.integers(frames - plan.frames + 1))
        top, left = (
            int(random.integers(height - plan.height + 1)),
            int(random.integers(width - plan.width + 1)),
        )
        return pair_of(
            clip,
            slice(first, first + plan.frames),
            slice(top, top + plan.height),
            slice(left, left + plan.width),
            mirrored=bool(random.integers(2)),
        )


def pair_of(clip: ClipArrays, frames: slice, rows: slice, columns: slice, mirrored: bool = False) -> Pair:
    """A cut of one clip, left and right exchanged if ``mirrored``."""
    between = slice(frames.start, frames.stop - 1)

    def taken(array: NDArray, when: slice) -> NDArray[np.float32]:
        cut = array[when, rows, columns].astype(np.float32)
        return np.ascontiguousarray(cut[:, :, ::-1] if mirrored else cut)

    def moved(flow: NDArray) -> NDArray[np.float32]:
        cut = taken(flow, between)
        return cut * np.array([-1, 1], np.float32) if mirrored else cut

    coarse_depth, fine_depth = _tensor(taken(clip.coarse_depth, frames)), _tensor(taken(clip.depth, frames))
    coarse_flow, fine_flow = _tensor(moved(clip.coarse_flow)), _tensor(moved(clip.flow))
    coarse_rgb, fine_rgb = (_tensor(taken(video, frames) / 255) for video in (clip.coarse_rgb, clip.rgb))
    unit = nearness_unit(coarse_depth)
    coarse = signal_of(coarse_rgb, coarse_depth, coarse_flow, unit)
    fine = signal_of(fine_rgb, fine_depth, fine_flow, unit)
    condition = condition_of(coarse, _tensor(taken(clip.coarse_alpha, frames) / 255), fine_rgb[:, 0])
    known = torch.ones_like(fine)
    known[:, 3] = (fine_depth > 0).float()
    known[:, 4:, -1] = 0  # the last frame's flow leads out of the cut
    fast = torch.maximum(fine_flow.norm(dim=-1), coarse_flow.norm(dim=-1)) > MOVING_PIXELS
    moving = torch.cat([fast, fast[:, -1:]], 1).float()
    return Pair(fine, coarse, condition, known, moving)


def _tensor(values: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]
