"""Alpha compositing of the tile lists, nearest first (3D Gaussian Splatting, Kerbl et al. 2023).

At a pixel centre with offset d = mean - centre, Gaussian i has

    alpha_i = min(0.999, opacity_i exp(-d^T conic_i d / 2)),        skipped if alpha_i < 1/255,
    C = sum_i c_i alpha_i T_i + T_end background,   T_i = prod_{j<i} (1 - alpha_j),   alpha = 1 - T_end,

and a pixel is finished before the Gaussian that would bring T to 1e-4 or less. With the image covariance S, the
quadratic form is completed to squares, which has no cancellation however thin the Gaussian:

    d^T conic d = conic_xx u^2 + dy^2 / S_yy,   u = dx - (S_xy / S_yy) dy,
    log2(alpha) = UU u^2 + YY dy^2 + log2(opacity),   UU = -log2(e)/2 conic_xx,   YY = -log2(e)/2 / S_yy,

so that one fast `exp2` makes alpha.

Lanes are used twice (lanes.py). First they are the 16 blocks of the tile: `touched_blocks` asks of all at once
whether the Gaussian reaches them. Then, for each block it does reach, they are the 16 pixels of that block. What a tile
remembers is one flat float32 array, for each block a row of planes of 16 lanes:

    T | closed | channel 0 | channel 1 | ...

T is negative once the pixel is finished, and outside of the image. `closed` is the place in the tile's list at which
the pixel finished, and larger than any place while it has not.
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
    exp2,
    larger,
    load,
    lowest_bit,
    prefetch,
    select,
    smaller,
    store,
)

MIN_EXPECTED_ALPHA = F(1e-10)  # floor of the alpha that the depth is divided by (gsplat: same)
NEVER = F(1e9)  # `closed` of a pixel that is still open; places in a list are exact in float32 below 2^24
AHEAD = 6  # Gaussians between a prefetch and its use
CHUNK = 24
BLOCKS_A_ROW = TILE // BLOCK

_PLANES = 2  # planes before the first channel
_ALL_BLOCKS = (1 << LANES) - 1
# Added to log2(alpha) at a block's nearest point: its rounding must not lose a pixel that is just bright enough.
_SLACK = F(1e-3)

# Lane l is pixel (l % 4, l // 4) of a block and block (l % 4, l // 4) of a tile. Places in pixels, for both.
PIXEL_X = np.array([l % BLOCK for l in range(LANES)], np.float32)
PIXEL_Y = np.array([l // BLOCK for l in range(LANES)], np.float32)
BLOCK_X = BLOCK * PIXEL_X
BLOCK_Y = BLOCK * PIXEL_Y
_ACROSS = F(BLOCK - 1)  # pixels from the first centre of a block to its last


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
    records: np.ndarray,  # [N, RECORD]
    tile_start: np.ndarray,  # [tiles + 1]
    pairs: np.ndarray,  # [P, 2]
    width: int,
    height: int,
    background: np.ndarray,  # [channels]
    expected_depth: bool,  # divide the last channel by alpha
    reached: np.ndarray,  # out [P] uint16: bits of the blocks in which a pixel sees the pair
    image: np.ndarray,  # out [height * width * channels], and below [height * width]
    alpha: np.ndarray,  # out
    transmittance: np.ndarray,  # out T_end: 1 - alpha without its rounding
    closed: np.ndarray,  # out place in its tile's list at which a pixel finished, NEVER if it did not
) -> None:
    """Composite tiles begin..end."""
    tiles_x = (width + TILE - 1) // TILE
    channels = background.shape[0]
    row = LANES * (_PLANES + channels)
    state = np.empty(LANES * row, np.float32)
    places = np.empty(CHUNK, np.float32)
    words = np.empty(LANES, np.float32)
    for tile in range(begin, end):
        left, top = (tile % tiles_x) * TILE, (tile // tiles_x) * TILE
        first, stop = tile_start[tile], tile_start[tile + 1]
        unfinished = 0
        for b in range(LANES):
            x0, y0 = left + BLOCK * (b % BLOCKS_A_ROW), top + BLOCK * (b // BLOCKS_A_ROW)
            inside = (load(PIXEL_X, 0) < F(width - x0)) & (load(PIXEL_Y, 0) < F(height - y0))
            store(state, b * row, select(inside, ONE, -ONE))
            store(state, b * row + LANES, NEVER)
            for c in range(channels):
                store(state, b * row + (_PLANES + c) * LANES, ZERO)
            if bits(inside) != 0:
                unfinished |= 1 << b
        centre_x, centre_y = F(left) + HALF, F(top) + HALF
        for start in range(first, stop, CHUNK):
            count = min(CHUNK, stop - start)
            marks = broadcast(ZERO)
            for j in range(count):
                if start + j + CHUNK < stop:
                    prefetch(records, np.int64(pairs[start + j + CHUNK, 0]))
                g = np.int64(pairs[start + j, 0])
                marks = marks + select(touched_blocks(records, g, centre_x, centre_y), F(1 << j), ZERO)
                places[j] = F(start + j - first)
                reached[start + j] = 0
            store(words, 0, marks)
            blocks = unfinished
            while blocks != 0:
                b = lowest_bit(blocks)
                blocks &= blocks - 1
                word = np.int64(words[b])
                o = b * row
                x, y = load(PIXEL_X, 0) + (centre_x + BLOCK_X[b]), load(PIXEL_Y, 0) + (centre_y + BLOCK_Y[b])
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
                    for c in range(channels):
                        plane = o + (_PLANES + c) * LANES
                        store(state, plane, weight * records[g, FEATURES + c] + load(state, plane))
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
            x0, y0 = left + BLOCK * (b % BLOCKS_A_ROW), top + BLOCK * (b // BLOCKS_A_ROW)
            for y in range(min(BLOCK, height - y0)):
                o = b * row + y * BLOCK
                for l in range(min(BLOCK, width - x0)):
                    pixel = (y0 + y) * width + x0 + l
                    t = abs(state[o + l])
                    transmittance[pixel], alpha[pixel] = t, ONE - t
                    closed[pixel] = state[o + LANES + l]
                    for c in range(channels):
                        value = state[o + (_PLANES + c) * LANES + l] + t * background[c]
                        if expected_depth and c == channels - 1:
                            value /= max(ONE - t, MIN_EXPECTED_ALPHA)
                        image[pixel * channels + c] = value
