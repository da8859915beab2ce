"""Nearest patches between the unknown and the known part of an image: PatchMatch (Barnes et al. 2009), as numba kernels.

A match of a pixel is another pixel whose surroundings look alike and are known. A field of matches is [H, W, 2] int32 (row,
column); its costs are [H, W] float32. Kernels are sequential and take their random numbers from a seed, so they are deterministic.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

RADIUS = 3
"""Half side of a patch, pixels: 7 x 7."""

Image = NDArray[np.float32]
Field = NDArray[np.int32]
Mask = NDArray[np.bool_]


@numba.njit(cache=True, fastmath=True)
def patch_cost(
    image: Image, y: int, x: int, sy: int, sx: int, row_weight: float, limit: float
) -> float:  # pragma: no cover
    """Sum of squared colour differences of the patches around (y, x) and (sy, sx), plus what the change of row costs;
    stops early above ``limit``."""
    height, width = image.shape[0], image.shape[1]
    total = row_weight * (y - sy) * (y - sy)
    for dy in range(-RADIUS, RADIUS + 1):
        ty = min(max(y + dy, 0), height - 1)
        for dx in range(-RADIUS, RADIUS + 1):
            tx = min(max(x + dx, 0), width - 1)
            for c in range(3):
                d = image[ty, tx, c] - image[sy + dy, sx + dx, c]
                total += d * d
        if total > limit:
            return total
    return total


@numba.njit(cache=True, fastmath=True)
def improve(
    image: Image,
    field: Field,
    costs: Image,
    targets: Mask,
    sources: Mask,
    row_weight: Image,
    sweeps: int,
    seed: int,
) -> None:  # pragma: no cover
    """Better matches for all ``targets``, in place: from neighbours' matches, and by random search around one's own.

    ``sources`` marks pixels that may be matched; ``row_weight`` [H] is the cost of a squared change of row at each row.
    """
    height, width = targets.shape
    state = np.uint32(seed * 2654435761 + 12345)
    for y in range(height):
        for x in range(width):
            if targets[y, x]:
                costs[y, x] = patch_cost(image, y, x, field[y, x, 0], field[y, x, 1], row_weight[y], np.inf)
    for sweep in range(sweeps):
        step = 1 if sweep % 2 == 0 else -1
        for i in range(height):
            y = i if step == 1 else height - 1 - i
            for j in range(width):
                x = j if step == 1 else width - 1 - j
                if not targets[y, x]:
                    continue
                best, by, bx = costs[y, x], field[y, x, 0], field[y, x, 1]
                for side in range(2):
                    ny = y - step if side == 0 else y
                    nx = x if side == 0 else x - step
                    if 0 <= ny < height and 0 <= nx < width and targets[ny, nx]:
                        sy = field[ny, nx, 0] + (y - ny)
                        sx = field[ny, nx, 1] + (x - nx)
                        if 0 <= sy < height and 0 <= sx < width and sources[sy, sx]:
                            cost = patch_cost(image, y, x, sy, sx, row_weight[y], best)
                            if cost < best:
                                best, by, bx = cost, sy, sx
                reach = max(height, width)
                while reach >= 1:
                    state = np.uint32(state * np.uint32(1664525) + np.uint32(1013904223))
                    sy = by + int((state >> np.uint32(8)) % np.uint32(2 * reach + 1)) - reach
                    state = np.uint32(state * np.uint32(1664525) + np.uint32(1013904223))
                    sx = bx + int((state >> np.uint32(8)) % np.uint32(2 * reach + 1)) - reach
                    if 0 <= sy < height and 0 <= sx < width and sources[sy, sx]:
                        cost = patch_cost(image, y, x, sy, sx, row_weight[y], best)
                        if cost < best:
                            best, by, bx = cost, sy, sx
                    reach //= 2
                costs[y, x], field[y, x, 0], field[y, x, 1] = best, by, bx


@numba.njit(cache=True, fastmath=True)
def vote(
    image: Image, field: Field, costs: Image, targets: Mask, hole: Mask, trust: Image, softness: float
) -> Image:  # pragma: no cover
    """The image with every pixel of ``hole`` the mean of what the patches over it say, near-exact matches and patches with
    much known in them (``trust`` [H, W]) counting most (Wexler et al. 2007)."""
    height, width = targets.shape
    result = image.copy()
    for y in range(height):
        for x in range(width):
            if not hole[y, x]:
                continue
            total = 1e-12
            r = g = b = 0.0
            lowest = np.inf
            for dy in range(-RADIUS, RADIUS + 1):
                for dx in range(-RADIUS, RADIUS + 1):
                    ty, tx = y + dy, x + dx
                    if 0 <= ty < height and 0 <= tx < width and targets[ty, tx] and costs[ty, tx] < lowest:
                        lowest = costs[ty, tx]
            for dy in range(-RADIUS, RADIUS + 1):
                for dx in range(-RADIUS, RADIUS + 1):
                    ty, tx = y + dy, x + dx
                    if not (0 <= ty < height and 0 <= tx < width) or not targets[ty, tx]:
                        continue
                    sy, sx = field[ty, tx, 0] - dy, field[ty, tx, 1] - dx
                    weight = trust[ty, tx] * np.exp(-(costs[ty, tx] - lowest) / softness)
                    total += weight
                    r += weight * image[sy, sx, 0]
                    g += weight * image[sy, sx, 1]
                    b += weight * image[sy, sx, 2]
            result[y, x, 0], result[y, x, 1], result[y, x, 2] = r / total, g / total, b / total
    return result
