"""Gradient of the composite (composite.py), back to front.

With w_i = alpha_i T_i and g the gradient of the image, walking from the last Gaussian that a pixel saw to the first,

    T_i      = T_{i+1} / (1 - alpha_i),
    dc_i     = w_i g,
    dalpha_i = T_i (g . c_i) - B_i / (1 - alpha_i),   B_i = sum_{j>i} w_j (g . c_j) + T_end (g . background - dalpha),

(dalpha is the gradient of the alpha image). Where alpha is not clamped, alpha = opacity exp(-sigma) and the gradient
of sigma is s = -alpha_i dalpha_i. With w = conic d = (conic_xx u, conic_xy u + dy / S_yy),

    dmean2d = sum s w,   dS = -1/2 sum s w w^T,   dopacity = -sum s / opacity,

so all that must be summed over pixels for the geometry is s times 1, u, dy, u^2, u dy, dy^2.

Sums go to the pair's own slot and are added up per Gaussian in slot order: no atomics, the same bytes every time.

State per row, planes of 16 lanes:
    T | B | last | g . c | weight | s | s u | s u^2 | g of channel 0 | g of channel 1 | ...
"""

from __future__ import annotations

import numpy as np

from perpetua.render.numba_backend.bin import EXTENT_Y, LOG2_OPACITY, OPACITY, SHEAR, UU, YY, X, Y
from perpetua.render.numba_backend.compile import kernel
from perpetua.render.numba_backend.composite import MIN_EXPECTED_ALPHA, misses_row
from perpetua.render.numba_backend.lanes import (
    HALF,
    LANES,
    LOG2_MIN_ALPHA,
    MAX_ALPHA,
    ONE,
    TILE,
    TWO,
    UNSEEN_EXPONENT,
    ZERO,
    F,
    add_product_lanes,
    add_scaled_lanes,
    ceiling,
    exp2,
    floor,
    prefetch,
    sum_lanes,
)

MOMENTS = 6  # sums over pixels: s u, s dy, s u^2, s u dy, s dy^2, s
_AHEAD = 6

_U = np.uint64
_B, _LAST, _GC, _WEIGHT = _U(1 * TILE), _U(2 * TILE), _U(3 * TILE), _U(4 * TILE)
_S, _SU, _SUU = _U(5 * TILE), _U(6 * TILE), _U(7 * TILE)
_GRADIENT = 8  # planes before the gradient of the first channel
_M_U, _M_Y, _M_UU = _U(0 * TILE), _U(1 * TILE), _U(2 * TILE)
_M_UY, _M_YY, _M_1 = _U(3 * TILE), _U(4 * TILE), _U(5 * TILE)


@kernel
def composite_backward(
    begin: int,
    end: int,
    records: np.ndarray,
    features: np.ndarray,
    tile_start: np.ndarray,
    pairs: np.ndarray,
    width: int,
    height: int,
    background: np.ndarray,
    expected_depth: bool,
    image: np.ndarray,  # as composite_forward left them, flat
    transmittance: np.ndarray,
    last: np.ndarray,
    grad_image: np.ndarray,  # [height * width * channels]
    grad_alpha: np.ndarray,  # [height * width]
    slots: np.ndarray,  # out [P, MOMENTS + channels] partial sums of each pair
) -> None:
    """Partial sums of the pairs of tiles begin..end."""
    tiles_x = (width + TILE - 1) // TILE
    channels = background.shape[0]
    row_size = TILE * (_GRADIENT + channels)
    state = np.empty(TILE * row_size, np.float32)
    sums = np.empty(TILE * (MOMENTS + channels), np.float32)
    for tile in range(begin, end):
        left, top = (tile % tiles_x) * TILE, (tile // tiles_x) * TILE
        rows, columns = min(TILE, height - top), min(TILE, width - left)
        first, stop = tile_start[tile], tile_start[tile + 1]
        if first == stop:
            continue
        newest = -ONE
        for y in range(TILE):
            o = _U(y * row_size)
            for j in range(_U(row_size)):
                state[o + j] = ZERO
            for l in range(LANES):
                state[o + l] = ONE
                state[o + _LAST + l] = -ONE
        for y in range(rows):
            o = _U(y * row_size)
            pixel = _U((top + y) * width + left)
            for l in range(_U(columns)):
                state[o + l] = transmittance[pixel + l]
                state[o + _LAST + l] = last[pixel + l]
                state[o + _B + l] = -grad_alpha[pixel + l]
                newest = max(newest, last[pixel + l])
            for c in range(channels):
                plane = o + _U((_GRADIENT + c) * TILE)
                behind = background[c]
                at = pixel * _U(channels) + _U(c)
                if expected_depth and c == channels - 1:
                    # E = D / alpha: dD = dE / alpha, and alpha receives -dE E / alpha.
                    for l in range(_U(columns)):
                        a = ONE - state[o + l]
                        grad = grad_image[at + l * _U(channels)] / max(a, MIN_EXPECTED_ALPHA)
                        state[plane + l] = grad
                        if a > MIN_EXPECTED_ALPHA:
                            state[o + _B + l] += grad * image[at + l * _U(channels)]
                else:
                    for l in range(_U(columns)):
                        grad = grad_image[at + l * _U(channels)]
                        state[plane + l] = grad
                        state[o + _B + l] += grad * behind
            for l in range(_U(columns)):
                state[o + _B + l] *= state[o + l]
        centre_x, centre_y = F(left) + HALF, F(top) + HALF
        newest_pair = first + np.int64(newest)
        for s in range(newest_pair + 1, stop):
            for j in range(slots.shape[1]):
                slots[pairs[s, 1], j] = ZERO
        for s in range(newest_pair, first - 1, -1):
            if s - _AHEAD >= first:
                prefetch(records, np.int64(pairs[s - _AHEAD, 0]))
                prefetch(features, np.int64(pairs[s - _AHEAD, 0]))
                prefetch(slots, np.int64(pairs[s - _AHEAD, 1]))
            g, slot = pairs[s, 0], pairs[s, 1]
            mean_y, extent = records[g, Y], records[g, EXTENT_Y]
            uu, shear, yy = records[g, UU], records[g, SHEAR], records[g, YY]
            log2_opacity = records[g, LOG2_OPACITY]
            y0 = max(0, ceiling(mean_y - extent - centre_y))
            y1 = min(rows, floor(mean_y + extent - centre_y) + 1)
            rank = F(s - first)
            dx0 = records[g, X] - centre_x
            sums[:] = ZERO
            for y in range(y0, y1):
                dy = mean_y - (centre_y + F(y))
                dy2 = dy * dy
                u0, constant = dx0 + shear * dy, yy * dy2 + log2_opacity
                if misses_row(uu, u0, constant):
                    continue
                o = _U(y * row_size)
                for l in range(LANES):
                    state[o + _GC + l] = ZERO
                for c in range(channels):
                    plane = o + _U((_GRADIENT + c) * TILE)
                    add_scaled_lanes(state, o + _GC, plane, features[g, c])
                for l in range(LANES):
                    u = u0 - F(np.int32(l))
                    exponent = u * u * uu + constant
                    seen = (exponent >= LOG2_MIN_ALPHA) & (state[o + _LAST + l] >= rank)
                    unclamped = exp2(exponent if seen else UNSEEN_EXPONENT)
                    free = unclamped < MAX_ALPHA
                    a = unclamped if free else MAX_ALPHA
                    through = ONE / (ONE - a)
                    t_after = state[o + l]
                    t = t_after * through
                    behind = state[o + _B + l]
                    weight = a * t if seen else ZERO
                    gc = state[o + _GC + l]
                    into_a = t * gc - through * behind
                    state[o + l] = t if seen else t_after
                    state[o + _B + l] = behind + weight * gc
                    s0 = -a * into_a if (seen & free) else ZERO
                    su = s0 * u
                    state[o + _WEIGHT + l] = weight
                    state[o + _S + l] = s0
                    state[o + _SU + l] = su
                    state[o + _SUU + l] = su * u
                for l in range(LANES):
                    s0, su = state[o + _S + l], state[o + _SU + l]
                    sums[_M_U + l] += su
                    sums[_M_Y + l] += s0 * dy
                    sums[_M_UU + l] += state[o + _SUU + l]
                    sums[_M_UY + l] += su * dy
                    sums[_M_YY + l] += s0 * dy2
                    sums[_M_1 + l] += s0
                for c in range(channels):
                    plane = o + _U((_GRADIENT + c) * TILE)
                    add_product_lanes(sums, _U((MOMENTS + c) * TILE), state, o + _WEIGHT, plane)
            for j in range(MOMENTS + channels):
                slots[slot, j] = sum_lanes(sums, _U(TILE * j))


@kernel
def sum_slots(
    begin: int,
    end: int,
    order: np.ndarray,  # [V] int32
    first_slot: np.ndarray,  # [V + 1]
    slots: np.ndarray,  # [P, MOMENTS + channels]
    image_covars: np.ndarray,  # [N, 3]
    conics: np.ndarray,  # [N, 3]
    records: np.ndarray,  # [V, RECORD]
    grad_means2d: np.ndarray,  # out [N, 2], and below: rows of `order` only
    grad_image_covars: np.ndarray,  # out [N, 3]
    grad_colors: np.ndarray,  # out [N, D]
    grad_depths: np.ndarray,  # out [N], or empty without a depth channel
    grad_opacities: np.ndarray,  # out [N]
) -> None:
    """Gradients of the Gaussians order[begin:end] from their slots."""
    channels = grad_colors.shape[1]
    size = slots.shape[1]
    total = np.empty(size, np.float32)
    for s in range(begin, end):
        total[:] = ZERO
        for slot in range(first_slot[s], first_slot[s + 1]):
            for j in range(size):
                total[j] += slots[slot, j]
        i = order[s]
        a, b, q = conics[i, 0], conics[i, 1], ONE / image_covars[i, 2]
        su, sy, suu, suy, syy = total[0], total[1], total[2], total[3], total[4]
        grad_means2d[i, 0] = a * su
        grad_means2d[i, 1] = b * su + q * sy
        grad_image_covars[i, 0] = -HALF * a * a * suu
        grad_image_covars[i, 1] = -a * (b * suu + q * suy)  # stands for both off-diagonal entries
        grad_image_covars[i, 2] = -HALF * (b * b * suu + TWO * b * q * suy + q * q * syy)
        grad_opacities[i] = -total[5] / records[s, OPACITY]
        for k in range(channels):
            grad_colors[i, k] = total[MOMENTS + k]
        if grad_depths.shape[0] > 0:
            grad_depths[i] = total[MOMENTS + channels]
