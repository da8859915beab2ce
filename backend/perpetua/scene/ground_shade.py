"""The shadow that matter out of an emitter throws on the support, frame by frame.

The lamp's part: matter is moved along the light to the plane, in layers by height, each blurred by how wide the lamp looks from there
(its half-shadow). The surroundings' part: matter is moved straight down, each layer blurred by its height, for a thing at the height h
hides a spot of sky about h wide; so shade gathers where things touch. Where matter itself covers the ground, no shade is drawn. Steam
and smoke take out of the light what their optical depth says (Beer and Lambert), and cover nothing.

The shade is a field on a grid of cells, the same in all frames of a round; the ``count`` cells that are darkest in any of them get a disc.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from perpetua.scene.dark_discs import FAINTEST, LIFT, SIGMA, THICKNESS, lifted, opacity
from perpetua.scene.light import GAMMA, Light
from perpetua.scene.mist import FROM_ABOVE, Puffs
from perpetua.scene.scene import Scene

Array = NDArray[np.float64]

CELL = 2.0
"""Width of a cell, in spacings."""
MOST_CELLS = 320
"""Along a side; where matter spreads farther, cells are larger."""
MARGIN = 8
"""Cells around the matter and its shadow that the shade may reach into."""
LAYERS = (0.0, 2.0, 5.0, 12.0, 30.0, np.inf)
"""Heights between layers, in spacings."""
LAST_LAYER = 45.0
"""Height that the last layer is taken for."""
LAMP_WIDTH = 0.12
"""Half-shadow: standard deviation, in the way of the light from the matter to the ground."""
SKY_WIDTH = 0.6
"""The same for light from all around, in the height."""
LEAST_BLUR = 0.7
"""Cells: a particle is no square."""
DENSITY = 3.0
"""So much of a cell is hidden by as many particles as fill it once, on a logarithmic scale."""
DARKEST = 0.1
"""Share of the light that gets everywhere."""
EDGE = 3.0
"""Standard deviations of the table's splats, or cells, within which it still is."""
BARE = (0.15, 0.75)
"""Share of a cell that matter covers, from which its shade fades, and at which there is none."""


NONE = Puffs(np.zeros((0, 3)), np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class Grid:
    """Cells of the plane z = 0. origin: [2] m, a corner; cell: m; shape: (nx, ny)."""

    origin: Array
    cell: float
    shape: tuple[int, int]

    @staticmethod
    def around(points: Array, spacing: float) -> Grid:
        """Over ``points`` [N, 2] m."""
        low, size = points.min(0), np.ptp(points, axis=0)
        cell = max(CELL * spacing, float(size.max()) / (MOST_CELLS - 2 * MARGIN))
        nx, ny = (int(n) + 2 * MARGIN for n in np.ceil(size / cell + 1e-9))
        return Grid(low - MARGIN * cell, cell, (nx, ny))

    def centres(self) -> Array:
        """[nx ny, 3] m."""
        x, y = (self.origin[a] + (np.arange(self.shape[a]) + 0.5) * self.cell for a in (0, 1))
        return np.stack(
            [*(a.ravel() for a in np.meshgrid(x, y, indexing="ij")), np.zeros(len(x) * len(y))], 1
        )

    def cover(self, points: Array, spacing: float) -> Array:
        """[nx, ny], 0 to 1: how much of each cell particles at ``points`` [N, 2] m hide."""
        return 1.0 - np.exp(-DENSITY * self.sum(points, np.ones(len(points))) * (spacing / self.cell) ** 2)

    def sum(self, points: Array, amounts: Array) -> Array:
        """[nx, ny]: what of ``amounts`` [N] at ``points`` [N, 2] m falls into each cell."""
        place = (points - self.origin) / self.cell - 0.5
        corner = np.floor(place).astype(int)
        within = place - corner
        count = np.zeros(self.shape[0] * self.shape[1])
        for x in (0, 1):
            for y in (0, 1):
                at = corner + np.array((x, y))
                weight = amounts * np.abs(1 - x - within[:, 0]) * np.abs(1 - y - within[:, 1])
                inside = ((at >= 0) & (at < self.shape)).all(1)
                index = at[inside, 0] * self.shape[1] + at[inside, 1]
                count += np.bincount(index, weight[inside], len(count))
        return count.reshape(self.shape)

    def at(self, values: Array, points: Array) -> Array:
        """[N]: ``values`` [nx, ny] between the cells at ``points`` [N, 2] m; zero beyond the grid."""
        place = (points - self.origin) / self.cell - 0.5
        return np.asarray(map_coordinates(values, place.T, order=1, mode="constant"))


def shade(
    grid: Grid, matter: Array, light: Light, spacing: float, puffs: Puffs = NONE
) -> tuple[Array, Array]:
    """How much ``matter`` [M, 3] m and ``puffs`` of gas darken each cell [nx, ny] (logarithm of colour), and how much of it matter covers
    [nx, ny]."""
    lamp, sky = through(grid, puffs, light, spacing)
    lying = np.zeros(grid.shape)
    height = np.maximum(matter[:, 2], 0.0)
    slope = light.direction[:2] / light.direction[2]
    for low, high in itertools.pairwise(LAYERS):
        layer = (height >= low * spacing) & (height < high * spacing)
        if not layer.any():
            continue
        middle = min(0.5 * (low + high), LAST_LAYER) * spacing / grid.cell
        above = matter[layer, :2]
        straight = grid.cover(above, spacing)
        if low == 0.0:
            lying = straight
        thrown = grid.cover(above - height[layer, None] * slope, spacing)
        sky *= 1.0 - gaussian_filter(straight, max(LEAST_BLUR, SKY_WIDTH * middle))
        lamp *= 1.0 - gaussian_filter(thrown, max(LEAST_BLUR, LAMP_WIDTH * middle / light.direction[2]))
    left = light.shadow * lamp + (1.0 - light.shadow) * sky
    log = -np.log(DARKEST + (1.0 - DARKEST) * left) / GAMMA
    bare = np.clip((BARE[1] - lying) / (BARE[1] - BARE[0]), 0.0, 1.0)
    return log * bare, lying


def through(grid: Grid, puffs: Puffs, light: Light, spacing: float) -> tuple[Array, Array]:
    """[nx, ny] each: what ``puffs`` leave of the lamp and of the light from all around in each cell."""
    lamp, sky = np.zeros(grid.shape), np.zeros(grid.shape)
    height = np.maximum(puffs.places[:, 2], 0.0)
    slope = light.direction[:2] / light.direction[2]
    amounts = puffs.weights(grid.cell)
    for low, high in itertools.pairwise(LAYERS):
        layer = (height >= low * spacing) & (height < high * spacing)
        if not layer.any():
            continue
        middle = min(0.5 * (low + high), LAST_LAYER) * spacing / grid.cell
        own = float(np.median(puffs.widths[layer])) / grid.cell
        above = puffs.places[layer, :2]
        straight = grid.sum(above, amounts[layer])
        thrown = grid.sum(above - height[layer, None] * slope, amounts[layer])
        sky += gaussian_filter(straight, math.hypot(own, SKY_WIDTH * middle))
        blurred = gaussian_filter(thrown, math.hypot(own, LAMP_WIDTH * middle / light.direction[2]))
        lamp += blurred / light.direction[2]  # a puff's shadow is longer than it is wide
    return np.exp(-lamp), np.exp(-FROM_ABOVE * sky)


class GroundShade:
    """The shade of all frames of a round: ``count`` discs that lie still and darken more or less."""

    def __init__(
        self, scene: Scene, matter: list[Array], puffs: list[Puffs], light: Light, count: int
    ) -> None:
        """matter: of each frame [M, 3] m, what throws it.  puffs: of each frame, gas that does."""
        slope = light.direction[:2] / light.direction[2]
        things = [m for m in (*matter, *(p.places for p in puffs)) if len(m)]
        lying = [m[:, :2] for m in things]
        thrown = [m[:, :2] - np.maximum(m[:, 2:], 0.0) * slope for m in things]
        self.grid = Grid.around(np.concatenate([*lying, *thrown]), scene.spacing)
        fields, covers = [], []
        for points, gas in zip(matter, puffs, strict=True):
            dark, cover = shade(self.grid, points, light, scene.spacing, gas)
            fields.append(dark.ravel())
            covers.append(cover.astype(np.float16))
        whole = np.stack(fields)
        darkest = np.where(_on_the_table(self.grid, scene), whole.max(0), 0.0)
        chosen = np.sort(np.argsort(-darkest, kind="stable")[:count])
        chosen = chosen[darkest[chosen] > FAINTEST]
        self._covers = covers
        log = whole[:, chosen]
        self.opacity = np.zeros((len(matter), count), np.float32)
        """[T, count]; zero for a disc that is not used."""
        self.opacity[:, : len(chosen)] = np.where(log > FAINTEST, opacity(log), 0.0)
        ground = self.grid.centres()[chosen]
        self.means = np.zeros((count, 3), np.float32)
        """[count, 3] m."""
        means = _before_the_table(ground, self.grid.cell, scene)
        self.means[: len(chosen)] = means
        self.scales = np.full((count, 3), self.grid.cell, np.float32)
        self.scales *= np.array((SIGMA, SIGMA, THICKNESS), np.float32)
        """[count, 3] m: they look as large as on the ground."""
        nearer = np.linalg.norm(means - scene.camera.position, axis=1)
        self.scales[: len(chosen)] *= (nearer / np.linalg.norm(ground - scene.camera.position, axis=1))[
            :, None
        ]

    def covered(self, frame: int, points: Array) -> Array:
        """[N], 0 to 1: how much of the ground at ``points`` [N, 2] m matter lies on in a frame."""
        return self.grid.at(self._covers[frame].astype(np.float64), points)


def _table(scene: Scene) -> tuple[Array, Array]:
    """Places [N, 2] m and sizes [N] m of the table's own splats."""
    means = scene.background.means.numpy().astype(np.float64)
    size = scene.background.scales.amax(1).numpy().astype(np.float64)
    low = np.abs(means[:, 2]) < 0.05 * max(float(scene.camera.position[2]), 1e-6)
    return means[low, :2], size[low]


def _on_the_table(grid: Grid, scene: Scene) -> NDArray[np.bool_]:
    """[nx ny]: cells that the table reaches: what is thrown beyond its edge, or onto a wall behind it, is not on the plane. All, where
    no table is seen."""
    places, size = _table(scene)
    centres = grid.centres()[:, :2]
    if not len(places):
        return np.ones(len(centres), bool)
    away, nearest = cKDTree(places).query(centres)
    return np.asarray(away < EDGE * np.maximum(size[nearest], grid.cell))


def _before_the_table(ground: Array, cell: float, scene: Scene) -> Array:
    """[N, 3] m: places of the ground [N, 3] m that lie before the table's own splats as the picture's camera sees it."""
    camera = scene.camera
    forward = camera.world_to_camera[2]
    depth = np.maximum(ground @ forward[:3] + forward[3], 1e-3)
    places, size = _table(scene)
    height = np.full(len(ground), cell)
    if len(places) and len(ground):
        height += 2.0 * size[cKDTree(places).query(ground[:, :2])[1]]
    return lifted(ground, camera.position, depth, LIFT * height)
