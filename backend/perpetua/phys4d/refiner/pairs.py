"""Cuts of clips, coarse and fine, as the network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
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
CHANGING = 0.03
"""Of the picture, which goes from 0 to 1."""
SAME_COVER, SAME_DEPTH = 0.5, 0.06
"""How far the coarse video's coverage, and its depth as a share, may be from the truth's where both show the same thing."""
AT_THINGS = 0.75
"""Share of cuts that have a thing in their middle, as far as the picture's edge allows; the others are anywhere."""
KEPT_CLIPS = 256
"""Clips held in memory; one of 17 frames of 128 x 80 pixels takes 4 MB."""


@dataclass(frozen=True)
class Pair:
    """A batch. fine, coarse: [B, 6, T, H, W].  condition: [B, 11, T, H, W].  known: [B, 6, T, H, W], 1 where the truth is known
    and, of the picture, where it shows the same thing as the coarse video: where another simulation has put a thing elsewhere there is
    nothing to be learned.  moving: [B, T, H, W], 1 where something moves in the true or the coarse video.  things: [B, T, H, W], 1 on things.
    changing: [B, T, H, W], 1 where the true picture is no longer what it was in the first frame."""

    fine: Tensor
    coarse: Tensor
    condition: Tensor
    known: Tensor
    moving: Tensor
    things: Tensor
    changing: Tensor

    def named(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


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
        top, left = self._corner(random, clip.masks[first : first + plan.frames], height, width)
        cut = Cut.of(
            clip,
            slice(first, first + plan.frames),
            slice(top, top + plan.height),
            slice(left, left + plan.width),
            mirrored=bool(random.integers(2)),
            carried=carried if random.uniform() < plan.disguise.carried else None,
        )
        return pair_of(disguised(cut, plan.disguise, random))

    def _corner(
        self, random: np.random.Generator, masks: NDArray[np.uint8], height: int, width: int
    ) -> tuple[int, int]:
        """Row and column where a cut begins."""
        down, right = height - self.plan.height, width - self.plan.width
        anywhere = int(random.integers(down + 1)), int(random.integers(right + 1))
        places = np.argwhere(masks > 0)
        if not len(places) or random.uniform() > AT_THINGS:
            return anywhere
        _, y, x = places[random.integers(len(places))]
        return int(np.clip(y - self.plan.height // 2, 0, down)), int(
            np.clip(x - self.plan.width // 2, 0, right)
        )

    def _load(self, number: int) -> tuple[ClipArrays, NDArray[np.uint8] | None]:
        """A clip and, where it can be made, its first frame carried along."""
        entry = self.entries[number]
        clip = read_clip(entry)
        wanted = self.plan.disguise.carried > 0 and can_carry(clip, entry.about.category)
        return clip, carry(clip) if wanted else None


@dataclass(frozen=True)
class Cut:
    """Frames and pixels of one clip. fine_rgb, coarse_rgb: [T, H, W, 3] in [0, 1].  fine_depth, coarse_depth: [T, H, W] m.  fine_flow,
    coarse_flow: [T - 1, H, W, 2] pixels.  cover: [T, H, W], of things in the coarse video.  things: [T, H, W], 1 on true ones.  true_shape: whether the coarse video shows things where they truly are."""

    fine_rgb: Array
    fine_depth: Array
    fine_flow: Array
    coarse_rgb: Array
    coarse_depth: Array
    coarse_flow: Array
    cover: Array
    things: Array
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

        rgb, depth, flow, things = (
            _unit(taken(clip.rgb)),
            taken(clip.depth),
            moved(clip.flow),
            taken(clip.masks > 0),
        )
        if carried is not None:
            return cls(rgb, depth, flow, _unit(taken(carried)), depth, flow, things, things, True)
        return cls(
            rgb, depth, flow, _unit(taken(clip.coarse_rgb)), taken(clip.coarse_depth), moved(clip.coarse_flow),
            _unit(taken(clip.coarse_alpha)), things, False,
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
    known[:, :3] = _same(cut).float()
    known[:, 3] = (fine_depth > 0).float()
    known[:, 4:, -1] = 0  # the last frame's flow leads out of the cut
    fast = torch.maximum(fine_flow.norm(dim=-1), coarse_flow.norm(dim=-1)) > MOVING_PIXELS
    moving = torch.cat([fast, fast[:, -1:]], 1).float()
    changing = ((fine_rgb - fine_rgb[:, :1]).abs().mean(-1) > CHANGING).float()
    return Pair(fine, coarse, condition, known, moving, _tensor(cut.things), changing)


def _same(cut: Cut) -> Tensor:
    """[1, T, H, W]: where the coarse video shows the thing, or the room, that the truth does."""
    same = np.abs(cut.cover - cut.things) < SAME_COVER
    same &= np.abs(cut.coarse_depth - cut.fine_depth) <= SAME_DEPTH * np.maximum(
        cut.fine_depth, cut.coarse_depth
    )
    return torch.from_numpy(same)[None]


def _tensor(values: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]


def _unit(counts: Array) -> Array:
    """Of 8 bits, in [0, 1]."""
    return counts * np.float32(1 / 255)
