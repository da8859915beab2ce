"""Gradient of the composite (composite.py), back to front.

With w_i = alpha_i T_i and g the gradient of the image, walking from the last Gaussian that a pixel saw to the first,

    T_i      = T_{i+1} / (1 - alpha_i),
    dc_i     = w_i g,
    dalpha_i = T_i (g . c_i) - B_i / (1 - alpha_i),   B_i = sum_{j>i} w_j (g . c_j) + T_end (g . background - dalpha),

(dalpha is the gradient of the alpha image). For the expected depth E = sum w z / W, W = sum w, with dE its gradient,

    g = dE / W   and   z_i - E   in place of   c_i,

and nothing behind the last Gaussian: the difference is taken before anything is multiplied, so that faint Gaussians of one depth
pull nowhere. Where alpha is not clamped, alpha = opacity exp(-sigma) and the gradient
of sigma is s = -alpha_i dalpha_i. With w = conic d = (conic_xx u, conic_xy u + dy / S_yy),

    dmean2d = sum s w,   dS = -1/2 sum s w w^T,   dopacity = -sum s / opacity,

so all that must be summed over pixels for the geometry is s times 1, u, dy, u^2, u dy, dy^2. With conic_xy / conic_xx =
-S_xy / S_yy (the record's SHEAR) and 1 / S_yy / conic_xx = YY / UU, the absolute gradients of means (gsplat's `absgrad`,
AbsGS, Ye et al. 2024) are

    sum |dmean2d of a pixel| = conic_xx (sum |s u|, sum |s (SHEAR u + YY / UU dy)|),

two more sums, made only when they are asked for.

Sums go to the pair's own slot and are added up per Gaussian in slot order: no atomics, the same bytes every time.

State of a block, planes of 16 lanes:
    T | B | closed | g of channel 0 | g of channel 1 | ... | E, for the expected depth

Readable twin in plain torch: reference/composite.py, differentiated by autograd; for the absolute sums, with the means of
each pixel that reference/rasterize.py returns.
"""

from __future__ import annotations

import numpy as np

from perpetua.render.numba_backend.bin import FEATURES, SHEAR, UU, YY
from perpetua.render.numba_backend.compile import careful_kernel, kernel
from perpetua.render.numba_backend.composite import (
    MIN_WEIGHT,
    log2_alpha,
    origin_of_tile,
    part_in_image,
    pixel_centres,
)
from perpetua.render.numba_backend.lanes import (
    BLOCK,
    HALF,
    LANES,
    LOG2_MIN_ALPHA,
    MAX_ALPHA,
    ONE,
    TWO,
    ZERO,
    F,
    broadcast,
    empty_lanes,
    exp2,
    load,
    lowest_bit,
    prefetch,
    select,
    smaller,
    store,
    sum_each,
)

MOMENTS = 6  # sums over pixels: s u, s dy, s u^2, s u dy, s dy^2, s
_GRADIENT = 3  # planes before the gradient of the first channel
_AHEAD = 6  # Gaussians between a prefetch and its use


@careful_kernel
def composite_backward(
    begin: int,
    end: int,
    records: np.ndarray,
    tile_start: np.ndarray,
    pairs: np.ndarray,
    width: int,
    height: int,
    background: np.ndarray,
    expected_depth: bool,
    reached: np.ndarray,  # as composite_forward left them
    expected: np.ndarray,
    transmittance: np.ndarray,
    closed: np.ndarray,
    grad_image: np.ndarray,  # [height * width * channels]
    grad_alpha: np.ndarray,  # [height * width], or [0] for zeros
    absolute: bool,  # make the two absolute sums
    slots: np.ndarray,  # out [P, 16 n] partial sums of each pair: MOMENTS, channels, two absolute sums, zeros
) -> None:
    """Partial sums of the pairs of tiles begin..end."""
    channels = background.shape[0]
    colours = channels - 1 if expected_depth else channels  # what has a background and no divisor
    expected_plane = LANES * (_GRADIENT + channels)
    row = expected_plane + (LANES if expected_depth else 0)
    state = empty_lanes(row)
    slot_size = slots.shape[1]
    flat_slots = slots.reshape(-1)
    sums = empty_lanes(slot_size)  # a row for each number of a slot
    sums[:] = ZERO
    absolute_x, absolute_y = LANES * (MOMENTS + channels), LANES * (MOMENTS + channels + 1)
    for tile in range(begin, end):
        left, top = origin_of_tile(tile, width)
        centre_x, centre_y = F(left) + HALF, F(top) + HALF
        first, stop = tile_start[tile], tile_start[tile + 1]
        if first == stop:
            continue
        state[:] = ZERO  # so no Gaussian is seen outside of the image, where `closed` stays 0
        for b in range(LANES):
            corner, columns, rows = part_in_image(left, top, b, width, height)
            for y in range(rows):
                for l in range(columns):
                    pixel, o = corner + y * width + l, b * row + y * BLOCK + l
                    t = transmittance[pixel]
                    behind = -grad_alpha[pixel] if grad_alpha.shape[0] > 0 else ZERO
                    for c in range(colours):
                        grad = grad_image[pixel * channels + c]
                        behind += grad * background[c]
                        state[o + (_GRADIENT + c) * LANES] = grad
                    if expected_depth:
                        grad = grad_image[pixel * channels + colours] / max(
                            expected[2 * pixel + 1], MIN_WEIGHT
                        )
                        state[o + (_GRADIENT + colours) * LANES] = grad
                        state[o + expected_plane] = expected[2 * pixel]
                    state[o], state[o + LANES], state[o + 2 * LANES] = t, behind * t, closed[pixel]

        for s in range(stop - 1, first - 1, -1):
            if s - _AHEAD >= first:
                prefetch(records, np.int64(pairs[s - _AHEAD, 0]))
                prefetch(slots, np.int64(pairs[s - _AHEAD, 1]))
            g, slot = np.int64(pairs[s, 0]), np.int64(pairs[s, 1])
            blocks = np.int64(reached[s])
            if blocks == 0:
                for k in range(0, slot_size, LANES):
                    store(flat_slots, slot * slot_size + k, ZERO)
                continue
            place = F(s - first)
            sum_u, sum_y, sum_uu = broadcast(ZERO), broadcast(ZERO), broadcast(ZERO)
            sum_uy, sum_yy, sum_1 = broadcast(ZERO), broadcast(ZERO), broadcast(ZERO)
            for c in range(channels):
                store(sums, (MOMENTS + c) * LANES, ZERO)
            if absolute:
                down = records[g, YY] / records[g, UU]
                store(sums, absolute_x, ZERO)
                store(sums, absolute_y, ZERO)
            while blocks != 0:
                b = lowest_bit(blocks)
                blocks &= blocks - 1
                o = b * row
                x, y = pixel_centres(centre_x, centre_y, b)
                u, dy, exponent = log2_alpha(records, g, x, y)
                seen = (exponent >= LOG2_MIN_ALPHA) & (load(state, o + 2 * LANES) > place)
                unclamped = exp2(exponent)
                a = smaller(unclamped, MAX_ALPHA)
                through = ONE / (ONE - a)
                t_after, behind = load(state, o), load(state, o + LANES)
                t = t_after * through
                weight = select(seen, a * t, ZERO)
                along = broadcast(ZERO)  # g . c
                for c in range(colours):
                    grad = load(state, o + (_GRADIENT + c) * LANES)
                    along = grad * records[g, FEATURES + c] + along
                    store(sums, (MOMENTS + c) * LANES, weight * grad + load(sums, (MOMENTS + c) * LANES))
                if expected_depth:
                    last = (MOMENTS + colours) * LANES
                    grad = load(state, o + (_GRADIENT + colours) * LANES)
                    along = grad * (records[g, FEATURES + colours] - load(state, o + expected_plane)) + along
                    store(sums, last, weight * grad + load(sums, last))
                into_a = t * along - through * behind
                store(state, o, select(seen, t, t_after))
                store(state, o + LANES, weight * along + behind)
                s0 = select(seen & (unclamped < MAX_ALPHA), -(a * into_a), ZERO)
                su, sy = s0 * u, s0 * dy
                sum_u, sum_y, sum_1 = sum_u + su, sum_y + sy, sum_1 + s0
                if absolute:
                    store(sums, absolute_x, load(sums, absolute_x) + abs(su))
                    pull_y = su * records[g, SHEAR] + sy * down
                    store(sums, absolute_y, load(sums, absolute_y) + abs(pull_y))
                sum_uu, sum_uy, sum_yy = su * u + sum_uu, su * dy + sum_uy, sy * dy + sum_yy
            store(sums, 0 * LANES, sum_u)
            store(sums, 1 * LANES, sum_y)
            store(sums, 2 * LANES, sum_uu)
            store(sums, 3 * LANES, sum_uy)
            store(sums, 4 * LANES, sum_yy)
            store(sums, 5 * LANES, sum_1)
            for k in range(0, slot_size, LANES):
                store(flat_slots, slot * slot_size + k, sum_each(sums, k * LANES))


@kernel
def sum_slots(
    begin: int,
    end: int,
    first_slot: np.ndarray,  # [N + 1]
    slots: np.ndarray,  # [P, 16 n] from composite_backward
    image_covars: np.ndarray,  # [N, 3]
    conics: np.ndarray,  # [N, 3]
    opacities: np.ndarray,  # [N]
    grad_means2d: np.ndarray,  # out [N, 2], and below; unseen Gaussians get zeros
    grad_image_covars: np.ndarray,  # out [N, 3]
    grad_colors: np.ndarray,  # out [N, D]
    grad_depths: np.ndarray,  # out [N], or empty without a depth channel
    grad_opacities: np.ndarray,  # out [N]
    absolute_means2d: np.ndarray,  # out [N, 2], or [N, 0] without absolute sums
) -> None:
    """Gradients of Gaussians begin..end from their slots."""
    channels = grad_colors.shape[1]
    depth = grad_depths.shape[0] > 0
    size = slots.shape[1]
    flat_slots = slots.reshape(-1)
    total = empty_lanes(size // LANES)
    for i in range(begin, end):
        for k in range(0, size, LANES):
            lanes = broadcast(ZERO)
            for slot in range(first_slot[i], first_slot[i + 1]):
                lanes = lanes + load(flat_slots, slot * size + k)
            store(total, k, lanes)
        a, b, q = ZERO, ZERO, ZERO
        if first_slot[i] < first_slot[i + 1]:
            a, b, q = conics[i, 0], conics[i, 1], ONE / image_covars[i, 2]
            grad_opacities[i] = -total[5] / opacities[i]
        else:
            grad_opacities[i] = ZERO
        su, sy, suu, suy, syy = total[0], total[1], total[2], total[3], total[4]
        grad_means2d[i, 0] = a * su
        grad_means2d[i, 1] = b * su + q * sy
        grad_image_covars[i, 0] = -HALF * a * a * suu
        grad_image_covars[i, 1] = -a * (b * suu + q * suy)  # stands for both off-diagonal entries
        grad_image_covars[i, 2] = -HALF * (b * b * suu + TWO * b * q * suy + q * q * syy)
        for k in range(channels):
            grad_colors[i, k] = total[MOMENTS + k]
        if depth:
            grad_depths[i] = total[MOMENTS + channels]
        for k in range(absolute_means2d.shape[1]):
            absolute_means2d[i, k] = a * total[MOMENTS + channels + int(depth) + k]
