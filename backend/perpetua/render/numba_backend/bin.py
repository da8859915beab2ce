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

# Columns of a record: what the composite reads of a Gaussian, in depth order, in one cache line. See composite.py.
X, Y, UU, SHEAR, YY, LOG2_OPACITY, EXTENT_Y, OPACITY = range(8)
RECORD = 8
# Pixels added to an extent, against the rounding of the extent itself.
_SLACK = F(0.01)
_DIGIT = 11  # bits a pass of the radix sort takes; three passes cover a float32


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
    means2d: np.ndarray,  # [N, 2]
    image_covars: np.ndarray,  # [N, 3]
    conics: np.ndarray,  # [N, 3]
    extents: np.ndarray,  # [N, 2]
    opacities: np.ndarray,  # [N]
    colors: np.ndarray,  # [N, D]
    depths: np.ndarray,  # [N]; added as a last channel if it is not empty
    width: int,
    height: int,
    records: np.ndarray,  # out [V, RECORD], depth order
    features: np.ndarray,  # out [V, D (+ 1 with depths)], depth order
    first_slot: np.ndarray,  # out [V + 1] int64
) -> Any:
    """Tile lists: (tile_start [tiles + 1] int64, pairs [P, 2] int32 of (row in records, slot))."""
    visible = order.shape[0]
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    boxes = np.empty((visible, 4), np.int32)
    tile_start = np.zeros(tiles_x * tiles_y + 1, np.int64)
    per_tile = F(1 / TILE)
    channels = colors.shape[1]
    slots = 0
    for s in range(visible):
        i = order[s]
        x, y = means2d[i, 0], means2d[i, 1]
        ex, ey = extents[i, 0] + _SLACK, extents[i, 1] + _SLACK
        records[s, X], records[s, Y] = x, y
        records[s, UU], records[s, YY] = -HALF * LOG2E * conics[i, 0], -HALF * LOG2E / image_covars[i, 2]
        records[s, SHEAR] = -image_covars[i, 1] / image_covars[i, 2]
        records[s, LOG2_OPACITY], records[s, EXTENT_Y] = math.log2(opacities[i]), ey
        records[s, OPACITY] = opacities[i]
        for c in range(channels):
            features[s, c] = colors[i, c]
        if depths.shape[0] > 0:
            features[s, channels] = depths[i]

        x0 = max(0, floor((x - ex) * per_tile))
        x1 = min(tiles_x, floor((x + ex) * per_tile) + 1)
        y0 = max(0, floor((y - ey) * per_tile))
        y1 = min(tiles_y, floor((y + ey) * per_tile) + 1)
        boxes[s, 0], boxes[s, 1], boxes[s, 2], boxes[s, 3] = x0, x1, y0, y1
        first_slot[s] = slots
        for ty in range(y0, y1):
            for tx in range(x0, x1):
                tile_start[ty * tiles_x + tx + 1] += 1
                slots += 1
    first_slot[visible] = slots
    for tile in range(tiles_x * tiles_y):
        tile_start[tile + 1] += tile_start[tile]

    fill = tile_start.copy()
    pairs = np.empty((slots, 2), np.int32)
    for s in range(visible):
        slot = first_slot[s]
        for ty in range(boxes[s, 2], boxes[s, 3]):
            for tx in range(boxes[s, 0], boxes[s, 1]):
                tile = ty * tiles_x + tx
                pairs[fill[tile], 0], pairs[fill[tile], 1] = s, slot
                fill[tile] += 1
                slot += 1
    return tile_start, pairs
