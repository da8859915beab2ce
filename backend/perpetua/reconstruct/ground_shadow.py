"""An object's shadow as splats of its own: flat discs on the table that darken what lies below, and go where the object goes.

Where the picture shows the shadow, the discs darken as it does. What the object hides is filled in smoothly between that, the
dark where object and table touch, and the free table around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_fill_holes, distance_transform_edt
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from perpetua.reconstruct.darkening import DARKEST, Darkening, Image, Mask, find_darkening
from perpetua.reconstruct.images import enlarged, reduced
from perpetua.reconstruct.stage import Stage
from perpetua.scene.dark_discs import FAINTEST, LIFT, SIGMA, THICKNESS, lifted, opacity
from perpetua.scene.gaussians import Gaussians

Array = NDArray[np.float64]

REACHES = (1.2, 1.0, 0.8, 0.6, 0.45)
"""How far a shadow may reach, in the lesser of the object's width and height; the first that leaves enough of the table free."""
BEYOND = 1.6
"""A shadow that reaches farther on one side than that is still taken away so many reaches from the object."""
FREE = 0.3
"""Share of the table's cells, in the rows of the objects' feet, that must lie outside every reach."""
CELLS_ACROSS = 34
"""Discs along an object's longer side."""
FADING = 2.5
"""Power of one minus the rise by which the number of discs falls off."""
PLAIN = 0.04
"""Darkening from which the table below is laid out in the smallest cells."""
GRAINY, COARSE_GRAINED = 0.15, 0.6
"""Darkening over which the rows' own colour takes over from the picture brought back to light, whose noise and tints grow."""
TOO_DARK, BLACK = 0.9, 1.26
"""Darkening, on average and of one channel, from which the table's texture cannot be brought back out of the picture."""
TOUCHING = 0.06
"""Share of the object's height up to which its underside counts as touching the table."""
FOOT_BAND = 0.25
"""How far around the foot its darkening is looked at, in the lesser of width and height."""
CONTACT_QUANTILE = 0.97
"""Of the darkening seen around the foot: what it is where the object touches."""
SMEAR = 2.0
"""Cells between what the picture shows and the dark below the object, in which one goes over into the other."""
HIDDEN_LIFT = 0.3
"""Share of the discs' ``LIFT`` below the object, where they must not come before its foot."""


class Solid(Protocol):
    """What shades the table."""

    @property
    def vertices(self) -> Array:
        """[V, 3] m, of its surface."""

    @property
    def resting(self) -> bool:
        """Whether it stands on the table."""


@dataclass(frozen=True)
class Shading:
    """darkening: in the picture's cells, ``step`` [2] pixels each."""

    darkening: Darkening
    step: Array

    @property
    def unclear(self) -> Mask:
        """[H, W] cells too dark to see the table in."""
        log = self.darkening.log
        return (log.mean(-1) > TOO_DARK) | (log.max(-1) > BLACK)

    @property
    def shaded(self) -> Mask:
        """[H, W] cells in shadow."""
        return self.darkening.log.max(-1) > PLAIN

    def cleaned(self, rgb: NDArray[np.uint8], matte: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The picture [H, W, 3], whose objects cover ``matte`` [H, W], with the darkening taken away from the table."""
        size = (rgb.shape[1], rgb.shape[0])
        log = enlarged(self.darkening.log, *size) * (1 - matte[..., None])
        darkest = 255 * DARKEST
        lit = (rgb + darkest) * np.exp(log) - darkest
        noisy = smooth_step((log.max(-1, keepdims=True) - GRAINY) / (COARSE_GRAINED - GRAINY))
        lit += noisy * (255 * enlarged(self.darkening.table, *size) - lit)
        return np.clip(lit + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class GroundShadow:
    """splats: G discs.  fade: [G], how high the object has risen, in its own height, when each is gone."""

    splats: Gaussians
    fade: torch.Tensor

    def __len__(self) -> int:
        return len(self.splats)

    @staticmethod
    def none() -> GroundShadow:
        """No shadow."""
        zero = torch.zeros(0, 3)
        return GroundShadow(
            Gaussians.from_colors(zero, torch.zeros(0, 4), zero, zero[:, 0], zero), zero[:, 0]
        )


def find_shading(
    rgb: NDArray[np.uint8],
    matte: NDArray[np.float32],
    stage: Stage,
    solids: Sequence[Solid],
    splat_width: int,
) -> Shading:
    """What the ``solids`` that rest on the table darken of it in a picture [H, W, 3] they cover ``matte`` [H, W] of."""
    height, width = matte.shape
    columns = min(splat_width, width)
    rows = max(2, round(height * columns / width))
    step = np.array([width / columns, height / rows])
    image = reduced(rgb, columns, rows).astype(np.float32) / np.float32(255)
    covered = reduced(matte, columns, rows)
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    pixels = np.stack([x.ravel(), y.ravel()], 1) * step
    table = stage.on_table(pixels)
    nearness = np.zeros(rows * columns)
    free = table.copy()
    resting = [solid for solid in solids if solid.resting]
    if resting and table.any():
        points = stage.points(pixels[table], np.ones(table.sum(), bool))[:, :2]
        away = np.min([distance_to_foot(solid, points) for solid in resting], 0)
        feet = cv2.dilate((covered > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        for reach in REACHES:
            nearness[table] = smooth_step(2 * (1 - away / min(REACHES[0], BEYOND * reach)))
            free[table] = away > reach
            shaded = free.copy()
            shaded[table] = away < 0.5 * reach
            shaded &= feet.ravel()
            across = np.flatnonzero(shaded.reshape(rows, columns).any(1))
            if len(across) == 0 or free.reshape(rows, columns)[across].mean() >= FREE:
                break
    near = nearness.reshape(rows, columns).astype(np.float32)
    table, free = table.reshape(rows, columns), free.reshape(rows, columns)
    return Shading(find_darkening(image, covered, table, near, free), step)


def distance_to_foot(solid: Solid, points: Array) -> Array:
    """[N] from points [N, 2] m of the plane to below the solid, in the lesser of its width and height."""
    return cKDTree(solid.vertices[:, :2]).query(points)[0] / size_of(solid)


def size_of(solid: Solid) -> float:
    """m, the lesser of a solid's width and height."""
    return float(min(np.ptp(solid.vertices[:, 0]), np.ptp(solid.vertices[:, 2])))


def smooth_step(x: Array) -> Array:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def shadows(shading: Shading, stage: Stage, solids: Sequence[Solid]) -> list[GroundShadow]:
    """The shadow of each solid as discs; none for those that hang or shade nothing."""
    result = []
    for index, solid in enumerate(solids):
        others = [other for i, other in enumerate(solids) if i != index and other.resting]
        if solid.resting:
            result.append(_shadow(shading, stage, solid, others))
        else:
            result.append(GroundShadow.none())
    return result


def _shadow(shading: Shading, stage: Stage, solid: Solid, others: Sequence[Solid]) -> GroundShadow:
    foot = solid.vertices[:, :2]
    low, high = foot.min(0), foot.max(0)
    margin = REACHES[0] * size_of(solid)
    cell = float((high - low).max()) / CELLS_ACROSS
    nx, ny = np.ceil((high - low + 2 * margin) / cell).astype(int)
    x = low[0] - margin + (np.arange(nx) + 0.5) * cell
    y = low[1] - margin + (np.arange(ny) + 0.5) * cell
    ground = np.stack([*(a.ravel() for a in np.meshgrid(x, y)), np.zeros(nx * ny)], 1)
    camera = stage.camera
    pixels, depth = camera.project(ground)
    ahead = depth > 0.05
    place = (pixels / shading.step - 0.5).astype(np.float32)
    log = _sampled(shading.darkening.log, place)
    rows, columns = shading.darkening.known.shape
    inside = (place > -0.5).all(1) & (place[:, 0] < columns - 0.5) & (place[:, 1] < rows - 0.5) & ahead
    inside &= stage.on_table(pixels)
    seen = inside & (_sampled(shading.darkening.known.astype(np.float32), place) > 0.99)
    away = distance_to_foot(solid, ground[:, :2])
    beyond = away > REACHES[0] * 0.95
    log[beyond | ~inside] = 0.0
    if others:
        rivals = [np.exp(-10 * distance_to_foot(other, ground[:, :2])) for other in others]
        own = np.exp(-10 * away)
        log *= (own / (own + np.sum(rivals, 0) + 1e-12))[:, None]

    shape = (ny, nx)
    touch = _touching(solid, low - margin, cell, shape)
    fixed = (seen | beyond | ~ahead).reshape(shape)
    around = (seen & (away < FOOT_BAND)).reshape(shape)
    field = log.reshape(ny, nx, 3)
    if not around.any() or field[around].max() < 2 * FAINTEST:
        return GroundShadow.none()
    contact = np.quantile(field[around].mean(1), CONTACT_QUANTILE)  # no light of any colour gets there
    deep = touch & (distance_transform_edt(~(seen.reshape(shape))) > SMEAR)
    field = np.where(deep[..., None], np.maximum(contact, field), field)
    field = _filled(field, fixed | deep)
    return _discs(field, ground, cell, depth, fixed & ~deep, shading, stage)


def _sampled(image: Image, place: NDArray[np.float32]) -> Array:
    """[N, ...] image [H, W, ...] between its cells at places [N, 2]."""
    at = place[None].clip(-1e4, 1e4)
    values = cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values, dtype=np.float64)[0]


def _touching(solid: Solid, corner: Array, cell: float, shape: tuple[int, int]) -> Mask:
    """[ny, nx] cells of the plane that the solid touches."""
    z = solid.vertices[:, 2]
    near = solid.vertices[z < z.min() + TOUCHING * np.ptp(z), :2]
    index = np.floor((near - corner) / cell).astype(int)
    cells = np.zeros(shape, bool)
    cells[index[:, 1], index[:, 0]] = True
    return np.asarray(binary_fill_holes(binary_closing(cells, np.ones((3, 3)), iterations=2)), dtype=bool)


def _filled(field: Array, fixed: Mask) -> Array:
    """field [ny, nx, 3] with all that is not ``fixed`` [ny, nx] smoothly in between (Laplace's equation)."""
    ny, nx = fixed.shape
    ys, xs = np.nonzero(~fixed)
    if len(ys) == 0:
        return field
    index = np.full(fixed.shape, -1)
    index[ys, xs] = np.arange(len(ys))
    right = np.zeros((len(ys), 3))
    degree = np.zeros(len(ys))
    rows, columns = [], []
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        y, x = ys + dy, xs + dx
        valid = np.flatnonzero((y >= 0) & (y < ny) & (x >= 0) & (x < nx))
        degree += 1.0  # the world beyond the grid is not darkened
        other = index[y[valid], x[valid]]
        right[valid[other < 0]] += field[y[valid], x[valid]][other < 0]
        rows.append(valid[other >= 0])
        columns.append(other[other >= 0])
    row, column = np.concatenate(rows), np.concatenate(columns)
    links = coo_matrix((-np.ones(len(row)), (row, column)), shape=(len(ys), len(ys)))
    result = field.copy()
    result[ys, xs] = splu((links + diags(degree)).tocsc()).solve(right)
    return result


def _discs(
    field: Array, ground: Array, cell: float, depth: Array, shown: Mask, shading: Shading, stage: Stage
) -> GroundShadow:
    """Discs on the plane's cells ``ground`` [N, 3] that darken by ``field`` [ny, nx, 3] together."""
    log = field.reshape(-1, 3)
    most = log.max(1)
    kept = (most > FAINTEST) & (depth > 0.05)
    if not kept.any():
        return GroundShadow.none()
    camera = stage.camera
    row = shading.step[1] * depth[kept] ** 2 / camera.K[1, 1] / camera.position[2]
    share = np.clip(distance_transform_edt(~shown) / SMEAR, 0.0, 1.0).ravel()[kept]
    height = LIFT * (1 - (1 - HIDDEN_LIFT) * share) * (row + cell)
    means = lifted(ground[kept], camera.position, depth[kept], height)
    place = (camera.project(ground[kept])[0] / shading.step - 0.5).astype(np.float32)
    table = _sampled(shading.darkening.table, place)
    through, least = np.exp(-log[kept]), np.exp(-most[kept])[:, None]
    colors = table * (through - least) / (1 - least)
    count = int(kept.sum())
    y, x = np.divmod(np.flatnonzero(kept), field.shape[1])
    order = _evenly(4)[y % 16, x % 16]
    discs = Gaussians.from_colors(
        torch.from_numpy(means).float(),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        torch.tensor([SIGMA, SIGMA, THICKNESS]).float().repeat(count, 1) * cell,
        torch.from_numpy(opacity(most[kept])).float(),
        torch.from_numpy(np.clip(colors, 0, 1)).float(),
    )
    return GroundShadow(discs, torch.from_numpy(1 - order ** (1 / FADING)).float())


def _evenly(levels: int) -> Array:
    """[2^levels, 2^levels] numbers in (0, 1) so ordered that the cells below any threshold lie evenly (Bayer 1973)."""
    order = np.zeros((1, 1))
    for _ in range(levels):
        order = np.block([[4 * order, 4 * order + 2], [4 * order + 3, 4 * order + 1]])
    return (order + 0.5) / order.size
