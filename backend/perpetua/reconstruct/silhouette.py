"""The grid over an object's outline in the picture, and how deep a solid with that outline is, before it stands anywhere.

Depth is a height field h over the grid, zero on the outline. h^2 starts as the union of the largest balls that fit the outline (a disc gives
a ball, a bar a cylinder) and is smoothed by a screened Poisson solve.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import spsolve

from perpetua.errors import ReconstructionError

Array = NDArray[np.float64]
Cells = NDArray[np.bool_]

CELLS_ACROSS = 128
"""Grid cells along the longer side of the outline."""
SMOOTHING = 0.12
"""Length over which the ball union's creases are smoothed, as a share of the largest ball's radius."""
CONTACT_BAND = 0.2
"""Share of an object's height, from below, in which its contact with the plane is judged."""
BALL_CONTACT = 0.8
"""Half width of a ball's silhouette at CONTACT_BAND of its height, in radii: sqrt(2 b - b^2) with b = 2 CONTACT_BAND."""


def grid_of(matte: NDArray[np.float32]) -> tuple[Cells, Array, float]:
    """Cells [ny, nx] of the outline with a margin of one, the pixel of the first corner, and pixels a cell."""
    ys, xs = np.nonzero(matte > 0.5)
    if len(xs) < 16:
        raise ReconstructionError(
            "The object's outline covers fewer than 16 pixels; use a larger picture of it."
        )
    x0, x1, y0, y1 = xs.min(), xs.max() + 1, ys.min(), ys.max() + 1
    cell = max(1.0, max(x1 - x0, y1 - y0) / CELLS_ACROSS)
    # The grid ends exactly on the outline's lowest row, where it touches the plane.
    nx, ny = int(np.ceil((x1 - x0) / cell)) + 2, int(np.ceil((y1 - y0) / cell)) + 2
    origin = np.array([(x0 + x1) / 2 - nx * cell / 2, y1 - (ny - 1) * cell])
    u = origin[0] + (np.arange(nx) + 0.5) * cell
    v = origin[1] + (np.arange(ny) + 0.5) * cell
    blurred = cv2.GaussianBlur(matte, (0, 0), max(0.3, 0.35 * cell))
    values = map_coordinates(blurred, np.meshgrid(v - 0.5, u - 0.5, indexing="ij"), order=1, mode="constant")
    cells = np.zeros((ny, nx), bool)
    cells[1:-1, 1:-1] = values[1:-1, 1:-1] > 0.5
    # Opening by a block of two by two cells, which has no middle for cv2 to anchor at.
    block = cells[:-1, :-1] & cells[:-1, 1:] & cells[1:, :-1] & cells[1:, 1:]
    around = np.pad(block, 1)
    opened = around[:-1, :-1] | around[:-1, 1:] | around[1:, :-1] | around[1:, 1:]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened.astype(np.uint8), connectivity=4)
    if count < 2:
        raise ReconstructionError("The object's outline is too thin to fill; use a larger picture of it.")
    return _simple(labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()), origin, cell


def _simple(cells: Cells) -> Cells:
    """Fill cells until the outline never touches itself, so that front and back join in a manifold."""
    cells = cells.copy()
    while True:
        a, b, c, d = cells[:-1, :-1], cells[:-1, 1:], cells[1:, :-1], cells[1:, 1:]
        filled = a.astype(int) + b + c + d
        pinched = ((a & d & ~b & ~c) | (b & c & ~a & ~d)) if filled.any() else np.zeros_like(a)
        rim = (filled > 0) & (filled < 4)
        # An inner edge whose two ends are both on the outline would be shared by front and back.
        across = np.zeros_like(cells)
        across[1:-1, :-1] |= cells[1:-1, :-1] & cells[1:-1, 1:] & rim[:-1] & rim[1:]
        down = np.zeros_like(cells)
        down[:-1, 1:-1] |= cells[:-1, 1:-1] & cells[1:, 1:-1] & rim[:, :-1] & rim[:, 1:]
        ends = pinched.copy()
        ys, xs = np.nonzero(across[1:-1, :-1])
        ends[ys, xs] = ends[ys + 1, xs] = True
        ys, xs = np.nonzero(down[:-1, 1:-1])
        ends[ys, xs] = ends[ys, xs + 1] = True
        if not ends.any():
            return cells
        cells[:-1, :-1] |= ends
        cells[:-1, 1:] |= ends
        cells[1:, :-1] |= ends
        cells[1:, 1:] |= ends
        cells = np.pad(cells[1:-1, 1:-1], 1)


def outline_of(cells: Cells) -> Cells:
    """[ny + 1, nx + 1] corners that touch both a cell of the outline and one outside."""
    padded = np.pad(cells, 1).astype(int)
    around = padded[:-1, :-1] + padded[:-1, 1:] + padded[1:, :-1] + padded[1:, 1:]
    return (around > 0) & (around < 4)


def corners_of(shape: tuple[int, ...], origin: Array, cell: float) -> Array:
    """[ny + 1, nx + 1, 2] pixels of the grid's corners."""
    v, u = np.meshgrid(
        origin[1] + np.arange(shape[0] + 1) * cell, origin[0] + np.arange(shape[1] + 1) * cell, indexing="ij"
    )
    return np.stack([u, v], -1)


def round_field(cells: Cells, boundary: Cells) -> Array:
    """[ny + 1, nx + 1] h^2 in cells^2: union of the largest inscribed balls, smoothed; zero on and outside the outline."""
    padded = np.pad(cells, 1)
    interior = padded[:-1, :-1] & padded[:-1, 1:] & padded[1:, :-1] & padded[1:, 1:]
    distance = distance_transform_edt(interior)
    balls = np.where(interior, _upper_envelope(distance**2), 0.0)
    length = max(1.0, SMOOTHING * distance.max())
    curvature = np.zeros_like(balls)
    curvature[1:-1, 1:-1] = (
        balls[:-2, 1:-1] + balls[2:, 1:-1] + balls[1:-1, :-2] + balls[1:-1, 2:] - 4 * balls[1:-1, 1:-1]
    )
    curvature[~interior] = 0.0
    weight = gaussian_filter(interior.astype(float), 2 * length)
    curvature = gaussian_filter(curvature, 2 * length) / np.maximum(weight, 1e-9)
    # Screened Poisson: laplacian(g) - (g - balls) / length^2 = smoothed curvature of balls, g = 0 on the outline.
    index = np.full(interior.shape, -1)
    index[interior] = np.arange(interior.sum())
    ys, xs = np.nonzero(interior)
    count = len(ys)
    rows, columns = [], []
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        other = index[ys + dy, xs + dx]
        rows.append(np.flatnonzero(other >= 0))
        columns.append(other[other >= 0])
    row, column = np.concatenate(rows), np.concatenate(columns)
    laplacian = coo_matrix((np.ones(len(row)), (row, column)), shape=(count, count)) - diags(
        np.full(count, 4.0)
    )
    matrix = (laplacian - diags(np.full(count, 1.0 / length**2))).tocsc()
    right = (curvature - balls / length**2)[interior]
    field = np.zeros_like(balls)
    field[interior] = np.maximum(spsolve(matrix, right), 0.25)
    return field


def standing_field(cells: Cells, boundary: Cells) -> Array:
    """As ``round_field``, for a heap cut off by the plane: the outline is filled down to its lowest row and mirrored there, so
    that the heap is as deep at its foot as its shape above says."""
    rows = np.flatnonzero(cells.any(1))
    last, band = rows[-1], max(1, round(1.5 * CONTACT_BAND * len(rows)))
    upper = cells[: last + 1].copy()
    upper[last - band :] = np.maximum.accumulate(upper[last - band :], axis=0)
    whole = _simple(np.concatenate([upper, upper[::-1], np.zeros((1, cells.shape[1]), bool)]))
    field = round_field(whole, outline_of(whole))
    result = np.zeros_like(boundary, dtype=np.float64)
    result[: last + 2] = field[: last + 2]
    return result


def _upper_envelope(values: Array) -> Array:
    """max over c of values(c) - |x - c|^2, one axis at a time (Felzenszwalb and Huttenlocher 2012), for values > 0."""
    result = np.where(values > 0, values, -np.inf)
    for _ in range(2):
        steps = np.arange(result.shape[1])
        drop = (steps[:, None] - steps[None, :]) ** 2.0
        result = np.stack([(row[None, :] - drop).max(1) for row in result]).T
    return np.maximum(result, 0.0)


def snapped(corners: Array, boundary: Cells, matte: NDArray[np.float32], cell: float) -> Array:
    """The grid's corners, those of the outline moved onto the matte's half-way line (at most 0.6 cells)."""
    field = cv2.GaussianBlur(matte, (0, 0), max(0.7, 0.5 * cell)).astype(np.float64)
    slope_y, slope_x = np.gradient(field)
    points = corners[boundary]
    moved = points.copy()
    for _ in range(4):
        place = (moved - 0.5).T[::-1]
        value, gx, gy = (
            map_coordinates(f, place, order=1, mode="nearest") for f in (field, slope_x, slope_y)
        )
        slope = gx**2 + gy**2
        step = np.where(slope > 1e-6, (0.5 - value) / np.maximum(slope, 1e-6), 0.0)
        moved = moved + np.clip(step[:, None] * np.stack([gx, gy], 1), -0.5 * cell, 0.5 * cell)
        away = moved - points
        length = np.linalg.norm(away, axis=1, keepdims=True)
        moved = points + away * np.minimum(1.0, 0.6 * cell / np.maximum(length, 1e-9))
    result = corners.copy()
    result[boundary] = moved
    return result


def foot_of(outline: Array, half_width: float, height: float) -> float:
    """From 0 for a ball, which touches the plane at a point, to 1 for a heap, which is widest there: by how wide the outline
    [N, 2] is just above its lowest row."""
    band = outline[outline[:, 1] > outline[:, 1].max() - CONTACT_BAND * height]
    share = np.ptp(band[:, 0]) / 2 / half_width
    return float(np.clip((share - BALL_CONTACT) / (1 - BALL_CONTACT), 0.0, 1.0))
