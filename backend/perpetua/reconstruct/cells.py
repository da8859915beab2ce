"""Cover a picture with square cells, small where it has detail and large where it is smooth, within a budget."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = (4, 2, 1)
"""Sides of the cells, in the smallest cell."""
FINEST_ERROR = 0.004
"""Deviation of colour (0 to 1) below which cells always merge: one step of 8 bits."""


@dataclass(frozen=True)
class Cells:
    """N cells. centres: [N, 2] in smallest cells from the raster's corner (x, y).  sides: [N] in smallest cells."""

    centres: NDArray[np.float64]
    sides: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sides)


def cover(
    image: NDArray[np.float32], where: NDArray[np.bool_], budget: int, levels: tuple[int, ...] = LEVELS
) -> Cells:
    """Cells over the pixels ``where`` [H, W] of an image [H, W, 3]: the fewest that keep the detail, at most ``budget``
    unless even the largest cells are more. A cell larger than one pixel lies wholly inside ``where``."""
    low, high = FINEST_ERROR, 1.0
    cells = _cover(image, where, low, levels)
    if len(cells) <= budget:
        return cells
    for _ in range(7):
        middle = (low * high) ** 0.5
        cells = _cover(image, where, middle, levels)
        low, high = (middle, high) if len(cells) > budget else (low, middle)
    return _cover(image, where, high, levels)


def _cover(
    image: NDArray[np.float32], where: NDArray[np.bool_], error: float, levels: tuple[int, ...]
) -> Cells:
    height, width = where.shape
    free = where.copy()
    centres, sides = [], []
    for side in levels:
        ny, nx = height // side, width // side
        rows, columns = ny * side, nx * side
        if side == 1:
            chosen = free
        else:
            whole = free[:rows, :columns].reshape(ny, side, nx, side).all((1, 3))
            blocks = image[:rows, :columns]
            mean = cv2.resize(blocks, (nx, ny), interpolation=cv2.INTER_AREA).reshape(ny, nx, -1)
            spread = np.abs(blocks.reshape(ny, side, nx, side, -1) - mean[:, None, :, None]).max((1, 3, 4))
            # A wide splat reaches into its neighbours, so they must be smooth too.
            spread = cv2.dilate(spread.astype(np.float32), np.ones((3, 3), np.uint8))
            chosen = whole & (spread < error * (1.0 if side == 2 else 0.6))
        ys, xs = np.nonzero(chosen)
        centres.append((np.stack([xs, ys], 1) + 0.5) * side)
        sides.append(np.full(len(ys), float(side)))
        if side > 1:
            free[:rows, :columns] &= ~np.repeat(np.repeat(chosen, side, 0), side, 1)
    return Cells(np.concatenate(centres), np.concatenate(sides))
