"""Paint over the objects: what the camera could not see behind them, made of patches of what it saw around them.

Coarse to fine, patches that overlap the hole look for their likes in the known picture and vote on the hole's pixels (Wexler et
al. 2007, with PatchMatch). Table and backdrop are completed apart, the table preferring patches of its own rows, so
that lines along it and its shading continue.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from perpetua.reconstruct.melding import meld
from perpetua.reconstruct.patchmatch import RADIUS, Field, Image, Mask, improve, vote

ROUNDS = (4, 6, 8, 10, 12)
"""Rounds of matching and voting, from the finest level to the coarsest."""
TABLE_ROW_COST = 2.0
BACKDROP_ROW_COST = 0.25
"""Cost of a match a tenth of the picture's height away, in squared colour summed over a patch."""
FIDELITY = 0.001
"""Of the colours of holes that known ones surround: just so much that wide ones do not drift."""
TRUST_FALLOFF = 1.25
"""Trust in a patch falls by this factor a pixel into the hole."""
LEAST_TRUST = 1e-4
"""Where all patches are far within the hole, they count alike."""


def paint_over(image: Image, hole: Mask, edge_row: float, fidelity: float = FIDELITY) -> Image:
    """[H, W, 3] in [0, 1] with the pixels of ``hole`` [H, W] replaced. Table and backdrop meet at ``edge_row``; ``fidelity`` as in ``meld``.

    Where almost nothing is known (the hole fills the picture), the known colours' diffusion is all there is.
    """
    if not hole.any():
        return image.copy()
    levels = _pyramid(image, hole)
    field: Field | None = None
    filled = levels[-1][0]
    for index in range(len(levels) - 1, -1, -1):
        picture, unknown = levels[index]
        size = (picture.shape[1], picture.shape[0])
        sources = _sources(unknown)
        if not sources.any():
            filled = _diffused(picture, unknown)
            continue
        if field is None:
            filled = _diffused(picture, unknown)
        else:
            larger = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
            filled = np.where(unknown[..., None], larger, picture).astype(np.float32)
        filled, field = _completed(
            filled,
            unknown,
            sources,
            field,
            edge_row * size[1] / image.shape[0],
            ROUNDS[min(index, len(ROUNDS) - 1)],
            index,
        )
    if field is not None and filled.shape == (*field.shape[:2], 3):
        filled = meld(filled, image.astype(np.float32), field, hole, edge_row, fidelity)
    return np.where(hole[..., None], filled, image).astype(np.float32)


def _pyramid(image: Image, hole: Mask) -> list[tuple[Image, Mask]]:
    """Halved until the hole is at most three patches thick. Known colours only are averaged."""
    levels = [(image.astype(np.float32), hole)]
    while distance_transform_edt(levels[-1][1]).max() > 1.5 * RADIUS and min(levels[-1][1].shape) >= 32:
        picture, unknown = levels[-1]
        size = (picture.shape[1] // 2, picture.shape[0] // 2)
        known = (~unknown).astype(np.float32)
        weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        total = cv2.resize(picture * known[..., None], size, interpolation=cv2.INTER_AREA)
        levels.append(((total / np.maximum(weight, 1e-6)[..., None]).astype(np.float32), weight < 0.5))
    return levels


def _sources(unknown: Mask) -> Mask:
    """Pixels whose whole patch is known and inside the image."""
    reach = np.ones((2 * RADIUS + 1, 2 * RADIUS + 1), np.uint8)
    sources = cv2.dilate(unknown.astype(np.uint8), reach) == 0
    sources[:RADIUS] = sources[-RADIUS:] = False
    sources[:, :RADIUS] = sources[:, -RADIUS:] = False
    return sources


def _diffused(picture: Image, unknown: Mask) -> Image:
    """A smooth first guess."""
    eight = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    smooth = cv2.inpaint(eight, unknown.astype(np.uint8), 5, cv2.INPAINT_NS).astype(np.float32) / 255.0
    return np.where(unknown[..., None], smooth, picture).astype(np.float32)


def _completed(
    filled: Image,
    unknown: Mask,
    sources: Mask,
    coarser: Field | None,
    edge_row: float,
    rounds: int,
    seed: int,
) -> tuple[Image, Field]:
    """One level: rounds of matching and voting. Returns the image and the matches."""
    height, width = unknown.shape
    reach = np.ones((2 * RADIUS + 1, 2 * RADIUS + 1), np.uint8)
    targets = cv2.dilate(unknown.astype(np.uint8), reach) > 0
    rows = np.arange(height)
    cost = np.where(rows >= edge_row, TABLE_ROW_COST, BACKDROP_ROW_COST) / (0.1 * height) ** 2
    row_weight = cost.astype(np.float32)
    sides = [
        (np.broadcast_to((rows < edge_row)[:, None], unknown.shape)),
        np.broadcast_to((rows >= edge_row)[:, None], unknown.shape),
    ]
    field = _first_field(targets, sources, sides, coarser, seed)
    costs = np.zeros((height, width), np.float32)
    inside = distance_transform_edt(unknown)
    trust = np.maximum(TRUST_FALLOFF**-inside, LEAST_TRUST).astype(np.float32)
    for round_ in range(rounds):
        for side in sides:
            own = sources & side if (sources & side).any() else sources
            improve(filled, field, costs, targets & side, own, row_weight, 2, seed * 100 + round_)
        softness = 0.5 * float(np.quantile(costs[targets], 0.5)) + 1e-4
        if round_ == rounds - 1:
            softness *= 0.2  # the last vote keeps detail
        filled = vote(filled, field, costs, targets, unknown, trust, softness)
    return filled, field


def _first_field(targets: Mask, sources: Mask, sides: list[Mask], coarser: Field | None, seed: int) -> Field:
    """Matches to start from: the coarser level's, doubled, or random known pixels of the same side."""
    height, width = targets.shape
    rng = np.random.default_rng(seed)
    field = np.zeros((height, width, 2), np.int32)
    for side in sides:
        own = sources & side if (sources & side).any() else sources
        places = np.argwhere(own).astype(np.int32)
        here = np.argwhere(targets & side)
        picked = places[rng.integers(0, len(places), len(here))]
        if coarser is not None:
            y, x = here.T
            half = coarser[np.minimum(y // 2, coarser.shape[0] - 1), np.minimum(x // 2, coarser.shape[1] - 1)]
            doubled = 2 * half + np.stack([y % 2, x % 2], 1)
            doubled = np.clip(doubled, 0, [height - 1, width - 1]).astype(np.int32)
            fine = own[doubled[:, 0], doubled[:, 1]]
            picked = np.where(fine[:, None], doubled, picked)
        field[here[:, 0], here[:, 1]] = picked
    return field
