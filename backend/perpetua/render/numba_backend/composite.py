"""Alpha compositing of the tile lists, nearest first (3D Gaussian Splatting, Kerbl et al. 2023).

At a pixel centre with offset d from the mean, Gaussian i has

    alpha_i = min(0.999, opacity_i exp(-d^T conic_i d / 2)),        skipped if alpha_i < 1/255,
    C = sum_i c_i alpha_i T_i + T_end background,   T_i = prod_{j<i} (1 - alpha_j),   alpha = 1 - T_end,

and a pixel is finished before the Gaussian that would bring T to 1e-4 or less. With the image covariance S, the
quadratic form is completed to squares row by row, which has no cancellation however thin the Gaussian:

    d^T conic d = conic_xx u^2 + dy^2 / S_yy,   u = dx - (S_xy / S_yy) dy,
    log2(alpha) = UU u^2 + YY dy^2 + log2(opacity),   UU = -log2(e)/2 conic_xx,   YY = -log2(e)/2 / S_yy,

so that one fast `exp2` makes alpha, and its highest value in a row of pixels is where u is nearest to zero.

Per tile all state is one flat float32 array of rows of planes of 16 lanes:
    T | last | weight | channel 0 | channel 1 | ...
T is negative once the pixel is finished, and for lanes outside of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perpetua.render.numba_backend.bin import EXTENT_Y, LOG2_OPACITY, SHEAR, UU, YY, X, Y
from perpetua.render.numba_backend.compile import inlined, kernel
from perpetua.render.numba_backend.lanes import (
    HALF,
    LANES,
    LOG2_MIN_ALPHA,
    MAX_ALPHA,
    MIN_TRANSMITTANCE,
    ONE,
    TILE,
    UNSEEN_EXPONENT,
    ZERO,
    F,
    add_scaled_lanes,
    ceiling,
    exp2,
    floor,
    prefetch,
)

MIN_EXPECTED_ALPHA = F(1e-10)  # floor of the alpha that the depth is divided by (gsplat: same)
_AHEAD = 6  # Gaussians between a prefetch and its use
_FINISHED_EVERY = 32  # Gaussians between two looks at whether the whole tile is finished

_ROW = F(TILE - 1)  # pixels from the first centre of a row to its last

# Plane offsets, unsigned: see lanes.py.
_U = np.uint64
_LAST = _U(1 * TILE)
_WEIGHT = _U(2 * TILE)
_PLANES = 3  # planes before the first channel


@inlined
def misses_row(uu: Any, u0: Any, constant: Any) -> Any:
    """Whether alpha stays below 1/255 at all pixels of a row, where u goes from u0 down to u0 - 15."""
    u = min(u0, max(u0 - _ROW, ZERO))
    return u * u * uu + constant < LOG2_MIN_ALPHA


@inlined
def _finished(state: Any, row: Any) -> Any:
    """Whether no pixel of the row that starts at state[row] is open."""
    most = -ONE
    for l in range(TILE):
        most = max(most, state[row + l])
    return most <= ZERO


@kernel
def composite_forward(
    begin: int,
    end: int,
    records: np.ndarray,  # [V, RECORD]
    features: np.ndarray,  # [V, channels]
    tile_start: np.ndarray,  # [tiles + 1]
    pairs: np.ndarray,  # [P, 2]
    width: int,
    height: int,
    background: np.ndarray,  # [channels]
    expected_depth: bool,  # divide the last channel by alpha
    image: np.ndarray,  # out [height * width * channels], and below [height * width]
    alpha: np.ndarray,  # out
    transmittance: np.ndarray,  # out T_end: 1 - alpha without its rounding
    last: np.ndarray,  # out place of the last Gaussian seen in its tile's list, -1 for none (exact below 2^24)
) -> None:
    """Composite tiles begin..end."""
    tiles_x = (width + TILE - 1) // TILE
    channels = background.shape[0]
    row_size = TILE * (_PLANES + channels)
    state = np.empty(TILE * row_size, np.float32)
    for tile in range(begin, end):
        left, top = (tile % tiles_x) * TILE, (tile // tiles_x) * TILE
        rows, columns = min(TILE, height - top), min(TILE, width - left)
        first, stop = tile_start[tile], tile_start[tile + 1]
        if first == stop:
            for y in range(rows):
                for l in range(columns):
                    pixel = _U((top + y) * width + left + l)
                    transmittance[pixel], alpha[pixel], last[pixel] = ONE, ZERO, -ONE
                    for c in range(_U(channels)):
                        image[pixel * _U(channels) + c] = background[c]
            continue
        for y in range(TILE):
            o = _U(y * row_size)
            for l in range(LANES):
                state[o + l] = ONE if (y < rows and np.int64(l) < columns) else -ONE
                state[o + _LAST + l] = -ONE
            for j in range(_WEIGHT, _U(row_size)):
                state[o + j] = ZERO
        centre_x, centre_y = F(left) + HALF, F(top) + HALF
        low, high = 0, rows  # rows outside of these are finished
        for s in range(first, stop):
            if s + _AHEAD < stop:
                prefetch(records, np.int64(pairs[s + _AHEAD, 0]))
                prefetch(features, np.int64(pairs[s + _AHEAD, 0]))
            g = pairs[s, 0]
            mean_y, extent = records[g, Y], records[g, EXTENT_Y]
            uu, shear, yy = records[g, UU], records[g, SHEAR], records[g, YY]
            log2_opacity = records[g, LOG2_OPACITY]
            y0 = max(low, ceiling(mean_y - extent - centre_y))
            y1 = min(high, floor(mean_y + extent - centre_y) + 1)
            rank = F(s - first)
            dx0 = records[g, X] - centre_x
            for y in range(y0, y1):
                dy = mean_y - (centre_y + F(y))
                u0, constant = dx0 + shear * dy, yy * dy * dy + log2_opacity
                if misses_row(uu, u0, constant):
                    continue
                o = _U(y * row_size)
                for l in range(LANES):
                    u = u0 - F(np.int32(l))
                    exponent = u * u * uu + constant
                    touched = exponent >= LOG2_MIN_ALPHA
                    a = exp2(exponent if touched else UNSEEN_EXPONENT)
                    a = a if a < MAX_ALPHA else MAX_ALPHA
                    t = state[o + l]
                    weight = t * a
                    t_next = t - weight
                    alive = touched & (t > ZERO)
                    seen = alive & (t_next > MIN_TRANSMITTANCE)
                    weight = weight if seen else ZERO
                    state[o + l] = t_next if seen else (-t if alive else t)
                    state[o + _LAST + l] = max(state[o + _LAST + l], rank if seen else -ONE)
                    state[o + _WEIGHT + l] = weight
                for c in range(channels):
                    add_scaled_lanes(state, o + _U((_PLANES + c) * TILE), o + _WEIGHT, features[g, c])
            if ((s - first) % _FINISHED_EVERY) == _FINISHED_EVERY - 1:
                while low < high and _finished(state, low * row_size):
                    low += 1
                while low < high and _finished(state, (high - 1) * row_size):
                    high -= 1
                if low == high:
                    break
        for y in range(rows):
            o = _U(y * row_size)
            pixel = _U((top + y) * width + left)
            for l in range(_U(columns)):
                t = abs(state[o + l])
                state[o + l] = t
                transmittance[pixel + l] = t
                alpha[pixel + l] = ONE - t
                last[pixel + l] = state[o + _LAST + l]
            for c in range(channels):
                plane = o + _U((_PLANES + c) * TILE)
                behind = background[c]
                at = pixel * _U(channels) + _U(c)
                if expected_depth and c == channels - 1:
                    for l in range(_U(columns)):
                        a = max(ONE - state[o + l], MIN_EXPECTED_ALPHA)
                        image[at + l * _U(channels)] = (state[plane + l] + state[o + l] * behind) / a
                else:
                    for l in range(_U(columns)):
                        image[at + l * _U(channels)] = state[plane + l] + state[o + l] * behind
