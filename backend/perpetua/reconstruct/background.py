"""The world behind the objects as splats: objects painted over, the picture continued beyond its borders, on a stage.

Four layers: the picture's own pixels, finest where it has detail; its continuation for side views, coarser; a coarse
layer just behind both that closes what is left open between splats; and a dome far around.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perpetua.reconstruct.cells import Cells, cover
from perpetua.reconstruct.discs import Painted, facing, tangent_discs
from perpetua.reconstruct.ground_shadow import Shading
from perpetua.reconstruct.images import blurred, enlarged, reduced
from perpetua.reconstruct.inpaint import paint_over
from perpetua.reconstruct.regions import disc
from perpetua.reconstruct.stage import Stage
from perpetua.scene.gaussians import Gaussians

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

PICTURE_BUDGET = 150_000
"""Most splats for the picture's own pixels, at a width of 640."""
CONTINUATION_BUDGET = 45_000
CONTINUATION_CELL = 3
"""Side of the continuation's smallest cells, in the picture's cells."""
CONTINUATION_FIDELITY = 0.02
"""Of the continuation's colours, which the picture holds on one side only."""
UNDERLAY_CELL = 4
"""Side of the closing layer's cells, in the picture's cells."""
UNDERLAY_SIGMA = 0.6
"""Standard deviation of the closing layer's splats in its cells: wide, so that it is opaque everywhere."""
UNDERLAY_BEHIND = 0.035
"""How far behind the closing layer lies, in camera heights: splats are sorted by their centres, so a wide splat must lie
far enough behind that it never sorts before the fine ones it closes, at 35 degrees and on the receding table."""
DOME_SPLATS = 1500
DOME_RADIUS = 4.0
"""In distances to the backdrop: outside every camera of an orbit."""
HOLE_MARGIN = 3
"""Cells around an object's matte that are painted over too: its soft edge and what it throws of its colour around it."""
CONTACT_MARGIN, CONTACT_SHADE = 12, 0.35
"""Cells around the matte, and darkening, in which what was brought back to light is painted over too: next to the foot it is tinted."""


def build_background(
    rgb: NDArray[np.uint8],
    matte: NDArray[np.float32],
    stage: Stage,
    centre: Array,
    splat_width: int,
    shading: Shading | None = None,
) -> Painted:
    """The background of a picture [H, W, 3] whose objects cover ``matte`` [H, W]; ``centre`` [3] m is where cameras orbit.

    shading: what the objects' shadows, which ``rgb`` is free of already, left too dark to see, and where they lie.
    """
    height, width = matte.shape
    columns = min(splat_width, width)
    rows = max(2, round(height * columns / width))
    step = np.array([width / columns, height / rows])  # pixels a cell
    small = reduced(rgb, columns, rows).astype(np.float32) / 255.0
    covered = reduced(matte, columns, rows)
    hole, fine = _behind(covered, shading)
    edge = stage.edge_row / step[1]
    picture = paint_over(small, hole, edge)

    x0, y0, x1, y1 = stage.borders(centre)
    unit = UNDERLAY_CELL * CONTINUATION_CELL
    left, top = (int(np.ceil(-value / s / unit)) * unit for value, s in ((x0, step[0]), (y0, step[1])))
    right = int(np.ceil((x1 - width) / step[0] / unit)) * unit
    bottom = int(np.ceil((y1 - height) / step[1] / unit)) * unit
    canvas = continued(picture, left, top, right, bottom, edge)
    offset = np.array([left, top])

    budget = max(2_000, round(PICTURE_BUDGET * columns * rows / (640 * 352)) - int(fine.sum()))
    parts: list[Painted] = []
    smallest = cover(picture, fine, int(fine.sum()), (1,))  # discs of a shadow lie close before these
    for cells in (smallest, *_split_at_edge(picture, ~fine, edge, budget)):
        pixels = cells.centres * step
        discs = _discs(stage, pixels, cells.sides[:, None] * step, _mean_colors(picture, cells))
        own = ~hole[tuple(cells.centres.astype(int).T[::-1])]
        parts.append(Painted(discs, own, pixels, cells.sides * step[0]))

    c = CONTINUATION_CELL
    coarse = _by_factor(canvas, c)
    beyond = np.ones(coarse.shape[:2], bool)
    beyond[-(-top // c) : (top + rows) // c, -(-left // c) : (left + columns) // c] = False
    for cells in _split_at_edge(coarse, beyond, (edge + top) / c, CONTINUATION_BUDGET):
        pixels = (cells.centres * c - offset) * step
        sides = cells.sides[:, None] * c * step
        discs = _discs(stage, pixels, sides, _mean_colors(coarse, cells))
        parts.append(Painted.hidden(discs, pixels, sides[:, 0]))

    soft = _by_factor(blurred(canvas, UNDERLAY_CELL / 2), UNDERLAY_CELL)
    ys, xs = np.nonzero(np.ones(soft.shape[:2], bool))
    pixels = ((np.stack([xs, ys], 1) + 0.5) * UNDERLAY_CELL - offset) * step
    sides = np.broadcast_to(UNDERLAY_CELL * step, pixels.shape)
    discs = _discs(stage, pixels, sides, soft[ys, xs].astype(np.float64), UNDERLAY_BEHIND, UNDERLAY_SIGMA)
    parts.append(Painted.hidden(discs, pixels, sides[:, 0]))
    parts.append(_dome(stage, picture, min(max(round(edge), 0), rows), centre))
    return Painted.cat(parts)


def _behind(covered: Image, shading: Shading | None) -> tuple[Mask, Mask]:
    """[H, W] the cells to paint over where objects cover ``covered`` [H, W] of them, and those in shadow."""
    own = (covered > 0.01).astype(np.uint8)
    hole = cv2.dilate(own, disc(HOLE_MARGIN)) > 0
    if shading is None:
        return hole, np.zeros(hole.shape, bool)
    foot = cv2.dilate(own, disc(CONTACT_MARGIN)) > 0
    dark = foot & (shading.darkening.log.max(-1) > CONTACT_SHADE)
    return hole | shading.unclear | dark, shading.shaded


def _dome(stage: Stage, picture: Image, edge: int, centre: Array) -> Painted:
    """Far around everything, a sphere in the mean colours of backdrop (above) and table (below): what very wide or turned
    cameras see past the continuation's end."""
    wall = picture[:edge].mean((0, 1)) if edge > 0 else picture[:1].mean((0, 1))
    table = picture[edge:].mean((0, 1)) if edge < len(picture) else picture[-1:].mean((0, 1))
    index = np.arange(DOME_SPLATS) + 0.5
    z = 1 - 2 * index / DOME_SPLATS  # Fibonacci's lattice, even over the sphere
    turn = np.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - z**2)
    outward = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], 1)
    radius = DOME_RADIUS * stage.edge_distance
    first, second = (radius * np.sqrt(4 * np.pi / DOME_SPLATS) * axis for axis in facing(outward))
    means = centre + radius * outward
    colors = np.where(means[:, 2:] > 0, wall, table).astype(np.float64)
    discs = tangent_discs(means, first, second, colors, UNDERLAY_SIGMA)
    return Painted.hidden(discs, np.zeros((DOME_SPLATS, 2)), np.ones(DOME_SPLATS))


def continued(picture: Image, left: int, top: int, right: int, bottom: int, edge: float) -> Image:
    """The picture [H, W, 3] continued beyond its borders by patches of itself, ever softer the farther out. Table and backdrop, which meet
    at row ``edge``, go on as such."""
    canvas = np.pad(picture, ((top, bottom), (left, right), (0, 0)), mode="edge")
    height, width = picture.shape[:2]
    c = CONTINUATION_CELL
    coarse, known = _by_factor(canvas, c), np.zeros(canvas.shape[:2], np.float32)
    known[top : top + height, left : left + width] = 1
    unknown = _by_factor(known, c) < 1
    made = paint_over(coarse, unknown, (edge + top) / c, CONTINUATION_FIDELITY)
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    out_x = np.maximum(left - x, x - (left + width - 1)).clip(0)
    out_y = np.maximum(top - y, y - (top + height - 1)).clip(0)
    beyond = np.maximum(out_x, out_y)
    away = np.hypot(out_x, out_y).astype(np.float32) / (0.25 * width)
    result = np.where(beyond[..., None] > 0, enlarged(made, canvas.shape[1], canvas.shape[0]), canvas)
    filled = result
    for sigma, start in ((2.0, 0.1), (5.0, 0.7)):
        soft = blurred(filled, sigma * width / 640)
        share = np.clip((away - start) / 0.6, 0.0, 1.0)[..., None]
        result = share * soft + (1 - share) * result
    return result.astype(np.float32)


def _split_at_edge(image: Image, where: NDArray[np.bool_], edge: float, budget: int) -> list[Cells]:
    """Cells of the backdrop and of the table apart, so that none straddles the line where they meet."""
    row = round(float(np.clip(edge, 0, len(image))))
    above, below = where.copy(), where.copy()
    above[row:], below[:row] = False, False
    total = max(1, where.sum())
    return [cover(image, part, round(budget * part.sum() / total)) for part in (above, below) if part.any()]


def _mean_colors(image: Image, cells: Cells) -> Array:
    """[N, 3] mean colour under each cell (exact, by summed areas)."""
    table = np.asarray(cv2.integral(image, sdepth=cv2.CV_64F))
    low = np.round(cells.centres - cells.sides[:, None] / 2).astype(int)
    high = np.round(cells.centres + cells.sides[:, None] / 2).astype(int)
    (x0, y0), (x1, y1) = low.T, high.T
    return (table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]) / (cells.sides**2)[:, None]


def _by_factor(image: Image, factor: int) -> Image:
    size = (max(1, image.shape[1] // factor), max(1, image.shape[0] // factor))
    return reduced(image[: size[1] * factor, : size[0] * factor], *size)


def _discs(
    stage: Stage, pixels: Array, sides: Array, colors: Array, behind: float = 0.0, sigma: float | None = None
) -> Gaussians:
    """Discs on the stage that cover cells of ``sides`` [N, 2] pixels around ``pixels`` [N, 2]."""
    table = stage.on_table(pixels)
    u, v = np.array([0.5, 0.0]), np.array([0.0, 0.5])
    along_u, along_v = (stage.span(pixels, axis * sides, table, behind) for axis in (u, v))
    means = stage.points(pixels, table, behind)
    if sigma is None:
        return tangent_discs(means, along_u, along_v, colors)
    return tangent_discs(means, along_u, along_v, colors, sigma)
