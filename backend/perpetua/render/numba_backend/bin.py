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
from perpetua.render.numba_backend.lanes import HALF, LOG2E, TILE, F, floor, prefetch

# Columns of a record: all that the composite reads of a Gaussian (see composite.py). Its features follow.
X, Y, UU, SHEAR, YY, LOG2_OPACITY, TILT = range(7)
FEATURES = 7
# Pixels added to an extent, against the rounding of the extent itself.
_SLACK = F(0.01)
_DIGIT, _PASSES = 11, 3  # bits a pass of the radix sort takes; three passes cover a float32
_AHEAD = 16  # Gaussians between a prefetch and its use


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
    colors: np.ndarray,  # [N, D]
    depths: np.ndarray,  # [N]; added as a last feature if it is not empty
    width: int,
    height: int,
    records: np.ndarray,  # out [N, at least FEATURES + D (+ 1 with depths)]
    boxes: np.ndarray,  # out [N, 4] int16 first and last + 1 tile across, first and last + 1 down
) -> None:
    """What the composite needs of Gaussians begin..end, and the tiles they may touch (none if radii are 0)."""
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    per_tile = F(1 / TILE)
    channels = colors.shape[1]
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
        for c in range(channels):
            records[i, FEATURES + c] = colors[i, c]
        if depths.shape[0] > 0:
            records[i, FEATURES + channels] = depths[i]
        ex, ey = extents[i, 0] + _SLACK, extents[i, 1] + _SLACK
        x0 = min(tiles_x, max(0, floor((x - ex) * per_tile)))
        y0 = min(tiles_y, max(0, floor((y - ey) * per_tile)))
        boxes[i, 0], boxes[i, 1] = x0, max(x0, min(tiles_x, floor((x + ex) * per_tile) + 1))
        boxes[i, 2], boxes[i, 3] = y0, max(y0, min(tiles_y, floor((y + ey) * per_tile) + 1))


@kernel
def sort_by_depth(radii: np.ndarray, depth_bits: np.ndarray) -> np.ndarray:
    """Indices (int32) of the Gaussians with radii > 0, nearest first; equal depths keep their order.

    `depth_bits` [N] int32 are the bits of the depths: positive floats sort as their bits do. Each pass moves bits and
    index together in one int64, so that it reads its input from start to end.
    """
    size = 1 << _DIGIT
    starts = np.zeros((_PASSES, size), np.int64)
    keys, sorted_keys = np.empty(radii.shape[0], np.int64), np.empty(radii.shape[0], np.int64)
    count = 0
    for i in range(radii.shape[0]):
        if radii[i, 0] > 0:
            bits = np.int64(depth_bits[i])
            keys[count] = (bits << 32) | i
            count += 1
            for digit in range(_PASSES):
                starts[digit, (bits >> (digit * _DIGIT)) & (size - 1)] += 1
    for digit in range(_PASSES):
        before = 0
        for bucket in range(size):
            here = starts[digit, bucket]
            starts[digit, bucket] = before
            before += here
    for digit in range(_PASSES):
        shift = 32 + digit * _DIGIT
        for k in range(count):
            bucket = (keys[k] >> shift) & (size - 1)
            sorted_keys[starts[digit, bucket]] = keys[k]
            starts[digit, bucket] += 1
        keys, sorted_keys = sorted_keys, keys
    order = np.empty(count, np.int32)
    for k in range(count):
        order[k] = keys[k]  # the lower half
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
    # How many boxes cover each tile: +1 and -1 at the corners of each box, then sums along both axes.
    cover = np.zeros((tiles_y + 1, tiles_x + 1), np.int32)
    slots = 0
    for i in range(boxes.shape[0]):
        first_slot[i] = slots
        x0, x1, y0, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        cover[y0, x0] += 1
        cover[y0, x1] -= 1
        cover[y1, x0] -= 1
        cover[y1, x1] += 1
        slots += (x1 - x0) * (y1 - y0)
    first_slot[boxes.shape[0]] = slots
    tile_start = np.zeros(tiles_x * tiles_y + 1, np.int64)
    for ty in range(tiles_y):
        along = 0
        for tx in range(tiles_x):
            along += cover[ty, tx]
            cover[ty, tx] = along + (cover[ty - 1, tx] if ty > 0 else 0)
            tile = ty * tiles_x + tx
            tile_start[tile + 1] = tile_start[tile] + cover[ty, tx]

    fill = tile_start.copy()
    pairs = np.empty((slots, 2), np.int32)
    for s in range(order.shape[0]):
        if s + _AHEAD < order.shape[0]:
            prefetch(boxes, np.int64(order[s + _AHEAD]))
            prefetch(first_slot, np.int64(order[s + _AHEAD]))
        i = order[s]
        x0, x1, y0, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        # One loop over all tiles of the box: two nested ones end less predictably, which costs more than the work.
        tx, ty = x0, y0
        for slot in range(first_slot[i], first_slot[i + 1]):
            at = fill[ty * tiles_x + tx]
            fill[ty * tiles_x + tx] = at + 1
            pairs[at, 0], pairs[at, 1] = i, slot
            tx += 1
            if tx == x1:
                tx, ty = x0, ty + 1
    return tile_start, pairs
