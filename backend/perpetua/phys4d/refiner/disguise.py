"""Changes that make few scenes look like many: other colours for the fine and the coarse video alike, and faults for the coarse one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from perpetua.phys4d.refiner.config import Disguise

CELLS = 6
"""Of the shimmer's noise, along a side."""
ALREADY_FINE, STILL_COARSE = 0.25, 0.4
"""Share of carried videos that are wholly the fine one, and that are left as they are; the others lie between."""


def recoloured(
    random: Generator, plan: Disguise, videos: list[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """``videos`` [..., 3] in [0, 1], all with the same channels exchanged, gains and gamma."""
    if plan.colour == 0:
        return videos
    order = random.permutation(3)
    gain = np.exp(random.uniform(-plan.colour, plan.colour, 3) + random.uniform(-plan.colour, plan.colour))
    gamma = np.exp(random.uniform(-plan.colour, plan.colour))
    return [((video[..., order] ** gamma) * gain).clip(0, 1).astype(np.float32) for video in videos]


def between(
    random: Generator, carried: NDArray[np.float32], fine: NDArray[np.float32]
) -> NDArray[np.float32]:
    """A video between the carried and the fine one: the loop's own shadows and shading may be right already, wholly or in part."""
    kind = random.uniform()
    share = 1.0 if kind < ALREADY_FINE else 0.0 if kind < ALREADY_FINE + STILL_COARSE else random.uniform()
    return np.asarray(carried + np.float32(share) * (fine - carried))


def shimmering(
    random: Generator, plan: Disguise, video: NDArray[np.float32], cover: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``video`` [T, H, W, 3] with things (``cover`` [T, H, W]) that flicker in patches, from frame to frame; not in the first."""
    strength = random.uniform(0, plan.shimmer)
    count, height, width = cover.shape
    noise = np.stack(
        [cv2.resize(random.normal(size=(CELLS, CELLS)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC) for _ in range(count)]
    )  # fmt: skip
    noise[0] = 0
    return np.asarray((video * (1 + strength * noise * cover)[..., None]).clip(0, 1), np.float32)
