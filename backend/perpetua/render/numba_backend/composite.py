"""Alpha compositing of the tile lists, nearest first (3D Gaussian Splatting, Kerbl et al. 2023).

At a pixel centre with offset d = mean - centre, Gaussian i has

    alpha_i = min(0.999, opacity_i exp(-d^T conic_i d / 2)),        skipped if alpha_i < 1/255,
    C = sum_i c_i alpha_i T_i + T_end background,   T_i = prod_{j<i} (1 - alpha_j),   alpha = 1 - T_end,

and a pixel is finished before the Gaussian that would bring T to 1e-4 or less. The expected depth is sum_i w_i z_i / sum_i w_i with
w_i = alpha_i T_i. In exact numbers its divisor is alpha; but 1 - T_end keeps few digits of a small alpha, so w is summed on
its own, and a single Gaussian's expected depth is its depth however faint it is. With the image covariance S, the
quadratic form is completed to squares, which has no cancellation however thin the Gaussian:

    d^T conic d = conic_xx u^2 + dy^2 / S_yy,   u = dx - (S_xy / S_yy) dy,
    log2(alpha) = UU u^2 + YY dy^2 + log2(opacity),   UU = -log2(e)/2 conic_xx,   YY = -log2(e)/2 / S_yy,

so that one fast `exp2` makes alpha.

A tile's list is worked off in chunks of Gaussians, and lanes (lanes.py) are used in two ways:

1. They are the 16 blocks of the tile. `touched_blocks` asks for one Gaussian which of them it reaches; for the chunk that
   makes a word for each block, with one bit for each Gaussian.
2. They are the 16 pixels of a block. Block after block, its word gives the Gaussians to composite, nearest first, while
   T stays in a register.

So no number is computed for a block that a Gaussian does not reach, and loops are long: Gaussian after Gaussian, with a
short loop over its blocks each, was measured 1.2 (20k Gaussians) to 1.7 times (300k) slower.

What a tile remembers between chunks is one flat float32 array, for each block a row of planes of 16 lanes:

    T | closed | channel 0 | channel 1 | ... | sum of w, for the expected depth

T is negative once the pixel is finished, and outside of the image. `closed` is the place in the tile's list at which
the pixel finished, and larger than any place while it has not.

Readable twin in plain torch: reference/composite.py, every Gaussian at every pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perpetua.render.numba_backend.bin import FEATURES, LOG2_OPACITY, SHEAR, TILT, UU, YY, X, Y
from perpetua.render.numba_backend.compile import careful_kernel, inlined
from perpetua.render.numba_backend.lanes import (
    BLOCK,
    HALF,
    LANES,
    LOG2_MIN_ALPHA,
    MAX_ALPHA,
    MIN_TRANSMITTANCE,
    ONE,
    TILE,
    ZERO,
    F,
    bits,
    broadcast,
    empty_lanes,
    exp2,
    larger,
    load,
    lowest_bit,
    prefetch,
    select,
    smaller,
    store,
)

MIN_WEIGHT = F(1e-10)  # floor of the sum of weights that the depth is divided by (gsplat: same, of alpha)
BLOCKS_A_ROW = TILE // BLOCK

# Lane l is pixel (l % 4, l // 4) of a block and block (l % 4, l // 4) of a tile. Places in pixels, for both.
PIXEL_X = np.array([l % BLOCK for l in range(LANES)], np.float32)
PIXEL_Y = np.array([l // BLOCK for l in range(LANES)], np.float32)
BLOCK_X = BLOCK * PIXEL_X
BLOCK_Y = BLOCK * PIXEL_Y

# Gaussians of a chunk: a word is made as a float32 sum of powers of two, which is exact for 24 bits.
_CHUNK = 24
_NEVER = F(1e9)  # `closed` of a pixel that is still open; places in a list are exact in float32 below 2^24
_PLANES = 2  # planes before the first channel
_ACROSS = F(BLOCK - 1)  # pixels from the first centre of a block to its last
# Added to log2(alpha) at a block's nearest point: its rounding must not lose a pixel that is just bright enough.
_SLACK = F(1e-3)


@inlined
def origin_of_tile(tile: Any, width: Any) -> Any:
    """Column and row of the tile's first pixel."""
    tiles_x = (width + TILE - 1) // TILE
    return (tile % tiles_x) * TILE, (tile // tiles_x) * TILE


@inlined
def part_in_image(left: Any, top: Any, b: Any, width: Any, height: Any) -> Any:
    """(first pixel, columns, rows) of the part of block b that lies in the image; columns or rows may be 0."""
    x, y = left + BLOCK * (b % BLOCKS_A_ROW), top + BLOCK * (b // BLOCKS_A_ROW)
    return y * width + x, max(0, min(BLOCK, width - x)), max(0, min(BLOCK, height - y))


@inlined
def pixel_centres(x: Any, y: Any, b: Any) -> Any:
    """x and y of the pixel centres of block b in the tile whose first pixel has its centre at (x, y)."""
    return load(PIXEL_X, 0) + (x + BLOCK_X[b]), load(PIXEL_Y, 0) + (y + BLOCK_Y[b])


@inlined
def _copy_out(plane: Any, at: Any, pixels: Any, part: Any, width: Any, stride: Any, channel: Any) -> None:
    """Write lanes plane[at + l] to the part of a block that lies in the image, pixels[pixel * stride + channel]."""
    pixel, columns, rows = part
    for y in range(rows):
        line = (pixel + y * width) * stride + channel
        if columns == BLOCK:  # a loop of its own: one of known length is unrolled
            for l in range(BLOCK):
                pixels[line + l * stride] = plane[at + y * BLOCK + l]
        else:
            for l in range(columns):
                pixels[line + l * stride] = plane[at + y * BLOCK + l]


@inlined
def _nearest_to(goal: Any, low: Any, high: Any) -> Any:
    """The number in [low, high] that is nearest to the goal."""
    return smaller(larger(goal, low), high)


@inlined
def touched_blocks(records: Any, g: Any, x: Any, y: Any) -> Any:
    """The tile's blocks in which Gaussian g may reach alpha = 1/255; (x, y) is the centre of the tile's first pixel.

    log2(alpha) is concave, so its highest value in a block that does not hold the mean is on the side that faces the
    mean across or the one that faces it down. Each is a one-dimensional problem: on a line of constant dy the best u is
    nearest to zero, on a line of constant dx the best dy is nearest to (S_xy / S_xx) dx.
    """
    right, bottom = records[g, X] - x - load(BLOCK_X, 0), records[g, Y] - y - load(BLOCK_Y, 0)
    left, top = right - _ACROSS, bottom - _ACROSS
    dy_across = _nearest_to(ZERO, top, bottom)
    shift = dy_across * records[g, SHEAR]
    u_across = _nearest_to(ZERO, left + shift, right + shift)
    dx_down = _nearest_to(ZERO, left, right)
    dy_down = _nearest_to(dx_down * records[g, TILT], top, bottom)
    u_down = dx_down + dy_down * records[g, SHEAR]
    best = larger(
        u_across * u_across * records[g, UU] + dy_across * dy_across * records[g, YY],
        u_down * u_down * records[g, UU] + dy_down * dy_down * records[g, YY],
    )
    return best >= LOG2_MIN_ALPHA - _SLACK - records[g, LOG2_OPACITY]


@inlined
def log2_alpha(records: Any, g: Any, x: Any, y: Any) -> Any:
    """(u, dy, log2(alpha) before the clamp) of Gaussian g at pixel centres (x, y)."""
    dy = records[g, Y] - y
    u = dy * records[g, SHEAR] + (records[g, X] - x)
    return u, dy, u * u * records[g, UU] + (dy * dy * records[g, YY] + records[g, LOG2_OPACITY])


@careful_kernel
def composite_forward(
    begin: int,
    end: int,
    records: np.ndarray,  # [N, at least FEATURES + channels]
    tile_start: np.ndarray,  # [tiles + 1]
    pairs: np.ndarray,  # [P, 2]
    width: int,
    height: int,
    background: np.ndarray,  # [channels]
    expected_depth: bool,  # divide the last channel by the sum of weights
    reached: np.ndarray,  # out [P] uint16: bits of the blocks in which a pixel sees the pair
    expected: np.ndarray,  # out [height * width * 2], the expected depth and the sum of weights; or [0] without
    image: np.ndarray,  # out [height * width * channels], and below [height * width]
    alpha: np.ndarray,  # out
    transmittance: np.ndarray,  # out T_end: 1 - alpha without its rounding
    closed: np.ndarray,  # out place in its tile's list at which a pixel finished, larger than any if it did not
) -> None:
    """Composite tiles begin..end."""
    channels = background.shape[0]
    sum_of_weights = LANES * (_PLANES + channels)
    row = sum_of_weights + (LANES if expected_depth else 0)
    state = empty_lanes(row)
    places = np.empty(_CHUNK, np.float32)
    words = empty_lanes(1)
    for tile in range(begin, end):
        left, top = origin_of_tile(tile, width)
        centre_x, centre_y = F(left) + HALF, F(top) + HALF
        first, stop = tile_start[tile], tile_start[tile + 1]
        unfinished = 0  # bits of the blocks that have an open pixel
        for b in range(LANES):
            x, y = pixel_centres(centre_x, centre_y, b)
            inside = (x < F(width)) & (y < F(height))
            store(state, b * row, select(inside, ONE, -ONE))
            store(state, b * row + LANES, _NEVER)
            for c in range(channels):
                store(state, b * row + (_PLANES + c) * LANES, ZERO)
            if expected_depth:
                store(state, b * row + sum_of_weights, ZERO)
            if bits(inside) != 0:
                unfinished |= 1 << b

        for start in range(first, stop, _CHUNK):
            count = min(_CHUNK, stop - start)
            word_of_block = broadcast(ZERO)
            for j in range(count):
                if start + j + _CHUNK < stop:
                    prefetch(records, np.int64(pairs[start + j + _CHUNK, 0]))
                touched = touched_blocks(records, np.int64(pairs[start + j, 0]), centre_x, centre_y)
                word_of_block = word_of_block + select(touched, F(1 << j), ZERO)
                places[j] = F(start + j - first)
                reached[start + j] = 0
            store(words, 0, word_of_block)

            blocks = unfinished
            while blocks != 0:
                b = lowest_bit(blocks)
                blocks &= blocks - 1
                word = np.int64(words[b])
                o = b * row
                x, y = pixel_centres(centre_x, centre_y, b)
                t, closes = load(state, o), load(state, o + LANES)
                while word != 0:
                    j = lowest_bit(word)
                    word &= word - 1
                    g = np.int64(pairs[start + j, 0])
                    _, _, exponent = log2_alpha(records, g, x, y)
                    bright = exponent >= LOG2_MIN_ALPHA
                    a = smaller(exp2(exponent), MAX_ALPHA)
                    t_next = t * (ONE - a)
                    touched = bright & (t > ZERO)
                    seen = touched & (t_next > MIN_TRANSMITTANCE)
                    weight = select(seen, a * t, ZERO)
                    closes = select(touched & ~seen, places[j], closes)
                    t = select(seen, t_next, select(bright, -abs(t), t))
                    # The sums of channels stay in memory: a register for each would need a kernel for each number
                    # of channels, and was measured to gain 8 % at best.
                    for c in range(channels):
                        plane = o + (_PLANES + c) * LANES
                        store(state, plane, weight * records[g, FEATURES + c] + load(state, plane))
                    if expected_depth:
                        store(state, o + sum_of_weights, weight + load(state, o + sum_of_weights))
                    reached[start + j] |= np.int64(bits(seen) != 0) << b
                store(state, o, t)
                store(state, o + LANES, closes)
                if bits(t > ZERO) == 0:
                    unfinished &= ~(1 << b)
            if unfinished == 0:
                for rest in range(start + count, stop):
                    reached[rest] = 0
                break

        for b in range(LANES):
            o = b * row
            part = part_in_image(left, top, b, width, height)
            t = abs(load(state, o))
            store(state, o, t)
            _copy_out(state, o, transmittance, part, width, 1, 0)
            _copy_out(state, o + LANES, closed, part, width, 1, 0)
            for c in range(channels):
                plane = o + (_PLANES + c) * LANES
                value = load(state, plane) + t * background[c]
                if expected_depth and c == channels - 1:
                    value = value / larger(load(state, o + sum_of_weights), MIN_WEIGHT)
                    store(state, plane, value)
                    _copy_out(state, plane, expected, part, width, 2, 0)
                    _copy_out(state, o + sum_of_weights, expected, part, width, 2, 1)
                store(state, plane, value)
                _copy_out(state, plane, image, part, width, channels, c)
            store(state, o, ONE - t)
            _copy_out(state, o, alpha, part, width, 1, 0)
