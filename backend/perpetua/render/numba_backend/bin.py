"""Which Gaussians touch which tile, nearest first.

Gaussians are sorted once by depth (stable radix sort); a counting sort over tiles then keeps that order within each
tile, so the tile lists need no sort of their own. Each (Gaussian, tile) pair has a slot: the slots of one Gaussian
are adjacent, which is where the backward pass leaves its partial sums and finds them again in a fixed order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perpetua.render.numba_backend.compile import kernel
from perpetua.render.numba_backend.lanes import HALF, LOG2E, TILE, F, floor

# Columns of a record: all that the composite reads of a Gaussian but its features. See composite.py.
X, Y, UU, SHEAR, YY, LOG2_OPACITY, TILT = range(7)
RECORD = 8  # a power of two, so that a record lies in one cache line or two
# Pixels added to an extent, against the rounding of the extent itself.
_SLACK = F(0.01)
_DIGIT = 11  # bits a pass of the radix sort takes; three passes cover a float32


@kernel
def make_records(
    begin: int,
    end: int,
    means2d: np.ndarray,  # [N, 2]
    image_covars: np.ndarray,  # [N, 3]
    conics: np.ndarray,  # [N, 3]
    radii: np.ndarray,  # [N, 2]
    extents: np.ndarray,  # [N, 2]
    opacities: np.ndarray,  # [N]
    width: int,
    height: int,
    records: np.ndarray,  # out [N, RECORD]
    boxes: np.ndarray,  # out [N, 4] int32 first and last + 1 tile across, first and last + 1 down
) -> None:
    """What the composite needs of Gaussians begin..end, and the tiles they may touch (none if radii are 0)."""
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    per_tile = F(1 / TILE)
    for i in range(begin, end):
        if radii[i, 0] <= 0:
            boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = 0, 0, 0, 0
            continue
        x, y = means2d[i, 0], means2d[i, 1]
        sxx, sxy, syy = image_covars[i, 0], image_covars[i, 1], image_covars[i, 2]
        records[i, X], records[i, Y] = x, y
        records[i, UU], records[i, YY] = -HALF * LOG2E * conics[i, 0], -HALF * LOG2E / syy
        records[i, SHEAR], records[i, TILT] = -sxy / syy, sxy / sxx
        records[i, LOG2_OPACITY] = math.log2(opacities[i])
        ex, ey = extents[i, 0] + _SLACK, extents[i, 1] + _SLACK
        boxes[i, 0] = max(0, floor((x - ex) * per_tile))
        boxes[i, 1] = min(tiles_x, floor((x + ex) * per_tile) + 1)
        boxes[i, 2] = max(0, floor((y - ey) * per_tile))
        boxes[i, 3] = min(tiles_y, floor((y + ey) * per_tile) + 1)


@kernel
def sort_by_depth(radii: np.ndarray, depth_bits: np.ndarray) -> np.ndarray:
    """Indices (int32) of the Gaussians with radii > 0, nearest first; equal depths keep their order.

    `depth_bits` [N] int32 are the bits of the depths: positive floats sort as their bits do.
    """
    count = 0
    for i in range(radii.shape[0]):
        if radii[i, 0] > 0:
            count += 1
    order, other = np.empty(count, np.int32), np.empty(count, np.int32)
    k = 0
    for i in range(radii.shape[0]):
        if radii[i, 0] > 0:
            order[k] = i
            k += 1
    size = 1 << _DIGIT
    for digit in range(3):
        shift = digit * _DIGIT
        starts = np.zeros(size + 1, np.int64)
        for k in range(count):
            starts[((depth_bits[order[k]] >> shift) & (size - 1)) + 1] += 1
        for bucket in range(size):
            starts[bucket + 1] += starts[bucket]
        for k in range(count):
            bucket = (depth_bits[order[k]] >> shift) & (size - 1)
            other[starts[bucket]] = order[k]
            starts[bucket] += 1
        order, other = other, order
    return order


@kernel
def bin_tiles(
    order: np.ndarray,  # [V] int32, from sort_by_depth
    boxes: np.ndarray,  # [N, 4] from make_records
    width: int,
    height: int,
    first_slot: np.ndarray,  # out [N + 1] int64
) -> Any:
    """Tile lists: (tile_start [tiles + 1] int64, pairs [P, 2] int32 of (Gaussian, slot))."""
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    tile_start = np.zeros(tiles_x * tiles_y + 1, np.int64)
    slots = 0
    for i in range(boxes.shape[0]):
        first_slot[i] = slots
        for ty in range(boxes[i, 2], boxes[i, 3]):
            for tx in range(boxes[i, 0], boxes[i, 1]):
                tile_start[ty * tiles_x + tx + 1] += 1
                slots += 1
    first_slot[boxes.shape[0]] = slots
    for tile in range(tiles_x * tiles_y):
        tile_start[tile + 1] += tile_start[tile]

    fill = tile_start.copy()
    pairs = np.empty((slots, 2), np.int32)
    for s in range(order.shape[0]):
        i = order[s]
        slot = first_slot[i]
        for ty in range(boxes[i, 2], boxes[i, 3]):
            for tx in range(boxes[i, 0], boxes[i, 1]):
                tile = ty * tiles_x + tx
                pairs[fill[tile], 0], pairs[fill[tile], 1] = i, slot
                fill[tile] += 1
                slot += 1
    return tile_start, pairs
