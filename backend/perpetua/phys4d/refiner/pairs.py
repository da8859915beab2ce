"""Cuts of clips, coarse and fine, as the network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.errors import TrainingError
from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.store import Entry, read_clip
from perpetua.phys4d.refiner.carried import can_carry, carry
from perpetua.phys4d.refiner.config import Disguise, RefinerPlan
from perpetua.phys4d.refiner.disguise import between, recoloured, shimmering
from perpetua.refine.space_time.signal import condition_of, nearness_unit, signal_of

Array = NDArray[np.float32]
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
        self._read = lru_cache(KEPT_CLIPS)(self._load)

    def batch(self, step: int) -> Pair:
        random = np.random.default_rng([self.plan.seed, step])
        parts = [self._cut(random) for _ in range(self.plan.batch)]
        return Pair(*(torch.cat([getattr(part, name) for part in parts]) for name in parts[0].named()))

    def _cut(self, random: np.random.Generator) -> Pair:
        clip, carried = self._read(int(random.integers(len(self.entries))))
        plan = self.plan
        frames, height, width = clip.masks.shape
        first = int(random.integers(frames - plan.frames + 1))
        top, left = (
            int(random.integers(height - plan.height + 1)),
            int(random.integers(width - plan.width + 1)),
        )
        cut = Cut.of(
            clip,
            slice(first, first + plan.frames),
            slice(top, top + plan.height),
            slice(left, left + plan.width),
            mirrored=bool(random.integers(2)),
            carried=carried if random.uniform() < plan.disguise.carried else None,
        )
        return pair_of(disguised(cut, plan.disguise, random))

    def _load(self, number: int) -> tuple[ClipArrays, NDArray[np.uint8] | None]:
        """A clip and, where it can be made, its first frame carried along."""
        entry = self.entries[number]
        clip = read_clip(entry)
        wanted = self.plan.disguise.carried > 0 and can_carry(clip, entry.about.category)
        return clip, carry(clip) if wanted else None


@dataclass(frozen=True)
class Cut:
    """Frames and pixels of one clip. fine_rgb, coarse_rgb: [T, H, W, 3] in [0, 1].  fine_depth, coarse_depth: [T, H, W] m.  fine_flow,
    coarse_flow: [T - 1, H, W, 2] pixels.  cover: [T, H, W].  true_shape: whether the coarse video shows things where they truly are."""

    fine_rgb: Array
    fine_depth: Array
    fine_flow: Array
    coarse_rgb: Array
    coarse_depth: Array
    coarse_flow: Array
    cover: Array
    true_shape: bool

    @classmethod
    def of(
        cls,
        clip: ClipArrays,
        frames: slice,
        rows: slice,
        columns: slice,
        mirrored: bool = False,
        carried: NDArray[np.uint8] | None = None,
    ) -> Cut:
        """A cut of ``clip``, left and right exchanged if ``mirrored``. carried: what takes the place of the coarse film, with the true motion."""
        between_frames = slice(frames.start, frames.stop - 1)

        def taken(array: NDArray, when: slice = frames) -> Array:
            cut = array[when, rows, columns].astype(np.float32)
            return np.ascontiguousarray(cut[:, :, ::-1] if mirrored else cut)

        def moved(flow: NDArray) -> Array:
            cut = taken(flow, between_frames)
            return cut * np.array([-1, 1], np.float32) if mirrored else cut

        rgb, depth, flow = _unit(taken(clip.rgb)), taken(clip.depth), moved(clip.flow)
        if carried is not None:
            cover = taken(clip.masks > 0)
            return cls(rgb, depth, flow, _unit(taken(carried)), depth, flow, cover, True)
        return cls(
            rgb, depth, flow, _unit(taken(clip.coarse_rgb)), taken(clip.coarse_depth), moved(clip.coarse_flow),
            _unit(taken(clip.coarse_alpha)), False,
        )  # fmt: skip


def disguised(cut: Cut, plan: Disguise, random: np.random.Generator) -> Cut:
    """The cut with the changes that ``plan`` asks for."""
    fine, coarse = recoloured(random, plan, [cut.fine_rgb, cut.coarse_rgb])
    if cut.true_shape:
        coarse = between(random, coarse, fine)
    return replace(cut, fine_rgb=fine, coarse_rgb=shimmering(random, plan, coarse, cut.cover))


def pair_of(cut: Cut) -> Pair:
    """The cut as the network sees it, a batch of one."""
    coarse_depth, fine_depth = _tensor(cut.coarse_depth), _tensor(cut.fine_depth)
    coarse_flow, fine_flow = _tensor(cut.coarse_flow), _tensor(cut.fine_flow)
    fine_rgb = _tensor(cut.fine_rgb)
    unit = nearness_unit(coarse_depth)
    coarse = signal_of(_tensor(cut.coarse_rgb), coarse_depth, coarse_flow, unit)
    fine = signal_of(fine_rgb, fine_depth, fine_flow, unit)
    condition = condition_of(coarse, _tensor(cut.cover), fine_rgb[:, 0])
    known = torch.ones_like(fine)
    known[:, 3] = (fine_depth > 0).float()
    known[:, 4:, -1] = 0  # the last frame's flow leads out of the cut
    fast = torch.maximum(fine_flow.norm(dim=-1), coarse_flow.norm(dim=-1)) > MOVING_PIXELS
    moving = torch.cat([fast, fast[:, -1:]], 1).float()
    return Pair(fine, coarse, condition, known, moving)


def _tensor(values: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]


def _unit(counts: Array) -> Array:
    """Of 8 bits, in [0, 1]."""
    return counts * np.float32(1 / 255)
