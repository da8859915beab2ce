"""Which Gaussians touch which tile, nearest first.

Gaussians are sorted once by depth (stable radix sort); a counting sort over tiles then keeps that order within each
tile, so the tile lists need no sort of their own. Each (Gaussian, tile) pair has a slot: the slots of one Gaussian
are adjacent, which is where the backward pass leaves its partial sums and finds them again in a fixed order.

Several threads share the counting sort: each counts and then places a range of the sorted Gaussians, and a range starts in
every tile where the ranges before it end. The lists are the same for any number of ranges.

The readable twin has no tiles: in its place stand `seen` in reference/project.py, which says what is drawn and in what order,
and `alphas` in reference/composite.py, which asks every Gaussian at every pixel. The lists are themselves held to gsplat's.
"""

from __future__ import annotations

import math

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
    tiles: np.ndarray,  # out [N] int64, how many that are
) -> None:
    """What the composite needs of Gaussians begin..end, and the tiles they may touch (none if radii are 0)."""
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    per_tile = F(1 / TILE)
    channels = colors.shape[1]
    for i in range(begin, end):
        if radii[i, 0] <= 0:
            boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = 0, 0, 0, 0
            tiles[i] = 0
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
        x1 = max(x0, min(tiles_x, floor((x + ex) * per_tile) + 1))
        y1 = max(y0, min(tiles_y, floor((y + ey) * per_tile) + 1))
        boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = x0, x1, y0, y1
        tiles[i] = (x1 - x0) * (y1 - y0)


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
def count_tiles(
    begin: int,
    end: int,
    size: int,  # Gaussians a range
    order: np.ndarray,  # [V] int32, from sort_by_depth
    boxes: np.ndarray,  # [N, 4] from make_records
    cover: np.ndarray,  # added to [ranges, tiles down + 1, tiles across + 1] int32
) -> None:
    """For Gaussians order[begin:end]: +1 and -1 at the corners of each box, from which `start_tiles` sums the counts."""
    own = cover[begin // size]
    for s in range(begin, end):
        if s + _AHEAD < end:
            prefetch(boxes, np.int64(order[s + _AHEAD]))
        i = order[s]
        x0, x1, y0, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        own[y0, x0] += 1
        own[y0, x1] -= 1
        own[y1, x0] -= 1
        own[y1, x1] += 1


@kernel
def start_tiles(cover: np.ndarray, tile_start: np.ndarray, fill: np.ndarray) -> None:
    """From `count_tiles`: where the list of each tile starts, `tile_start` [tiles + 1], and where in it the pairs of each
    range start, `fill` [ranges, tiles] int64. Ranges are in depth order, so the lists are too.
    """
    ranges, tiles_y, tiles_x = cover.shape[0], cover.shape[1] - 1, cover.shape[2] - 1
    along = np.empty(ranges, np.int32)
    tile_start[0] = 0
    for ty in range(tiles_y):
        along[:] = 0
        for tx in range(tiles_x):
            tile = ty * tiles_x + tx
            place = tile_start[tile]
            for r in range(ranges):
                along[r] += cover[r, ty, tx]
                cover[r, ty, tx] = along[r] + (cover[r, ty - 1, tx] if ty > 0 else 0)
                fill[r, tile] = place
                place += cover[r, ty, tx]
            tile_start[tile + 1] = place


@kernel
def fill_tiles(
    begin: int,
    end: int,
    size: int,
    order: np.ndarray,
    boxes: np.ndarray,
    first_slot: np.ndarray,  # [N + 1] int64
    tiles_x: int,
    fill: np.ndarray,  # [ranges, tiles] from start_tiles, moved on
    pairs: np.ndarray,  # out [P, 2] int32 of (Gaussian, slot)
) -> None:
    """The pairs of Gaussians order[begin:end]."""
    own = fill[begin // size]
    for s in range(begin, end):
        if s + _AHEAD < end:
            prefetch(boxes, np.int64(order[s + _AHEAD]))
            prefetch(first_slot, np.int64(order[s + _AHEAD]))
        i = order[s]
        x0, x1, y0 = boxes[i, 0], boxes[i, 1], boxes[i, 2]
        # One loop over all tiles of the box: two nested ones end less predictably, which costs more than the work.
        tx, ty = x0, y0
        for slot in range(first_slot[i], first_slot[i + 1]):
            at = own[ty * tiles_x + tx]
            own[ty * tiles_x + tx] = at + 1
            pairs[at, 0], pairs[at, 1] = i, slot
            tx += 1
            if tx == x1:
                tx, ty = x0, ty + 1
