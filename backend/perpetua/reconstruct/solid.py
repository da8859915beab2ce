"""A closed solid from one outline: inflated along the camera's rays, resting on the plane or hanging in the air.

Every ray through the outline enters the solid once and leaves it once, so the solid covers exactly the outline in the
picture. Enter and exit lie either side of a middle sheet by a height field h over the picture, zero on the outline. The sheet is the
plane through the object's centre that faces the camera, brought nearer where rays would meet the support plane before they enter. The solid
ends at the support plane.

h^2 starts as the union of the largest balls that fit the outline (a disc gives a ball, a bar a cylinder) and is smoothed by
a screened Poisson solve. World here: the camera of ``camera.py``, one metre above the plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, grey_dilation, map_coordinates
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import spsolve

from perpetua.errors import ReconstructionError
from perpetua.scene.cameras import Camera

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
CLEARANCE = 0.01
"""Camera heights that a hanging object keeps above the plane; it hangs nearer where it would otherwise reach below."""
MAX_MOUND = 1.6
"""Most a resting soft heap may be deeper than the balls that fit its outline."""
LEAF = 0.25
"""How far rays may meet the plane before they would enter, in the greatest half depth: a ball's lowest do, where it curves under."""
BENT_OVER = 0.08
"""Length over which the middle sheet comes nearer, as a share of the outline's longer side."""


@dataclass(frozen=True)
class Solid:
    """A closed solid seen by ``camera``.

    squared: [ny + 1, nx + 1] h^2 in full pixels^2 at the grid's corners; inside: [ny, nx] cells of the outline; origin:
    [2] pixel of the grid's first corner; cell: pixels; centre_y: m along +Y to its centre;
    middle: m, the depth of its middle sheet; nearer: [ny + 1, nx + 1] m by which that comes nearer at the grid's corners; vertices [V, 3],
    faces [F, 3]: its surface, outward, watertight.
    """

    camera: Camera
    squared: Array
    inside: Cells
    origin: Array
    cell: float
    centre_y: float
    middle: float
    nearer: Array
    resting: bool
    depth_ratio: float
    vertices: Array
    faces: NDArray[np.int64]

    def covers(self, pixels: Array) -> NDArray[np.bool_]:
        """[N] whether pixels [N, 2] lie in the outline."""
        index = np.floor((pixels - self.origin) / self.cell).astype(np.int64)
        ny, nx = self.inside.shape
        valid = (index >= 0).all(1) & (index[:, 0] < nx) & (index[:, 1] < ny)
        result = np.zeros(len(pixels), bool)
        result[valid] = self.inside[index[valid, 1], index[valid, 0]]
        return result

    def depths(self, pixels: Array) -> tuple[Array, Array]:
        """Depths [N] along the optical axis, m, where the rays through pixels [N, 2] enter and leave."""
        place = ((pixels - self.origin) / self.cell).T[::-1]
        squared = map_coordinates(self.squared, place, order=1, mode="constant")
        middle = self.middle - map_coordinates(self.nearer, place, order=1, mode="nearest")
        return _enter_and_exit(self.camera, pixels, squared, middle, self.resting, self.depth_ratio)

    @property
    def volume(self) -> float:
        """m^3."""
        return float(trimesh.Trimesh(self.vertices, self.faces, process=False).volume)


def inflate(
    matte: NDArray[np.float32],
    camera: Camera,
    resting: bool,
    soft: bool,
    centre_y: float | None = None,
    depth: float = 1.0,
) -> Solid:
    """The solid of a matte [H, W] seen by ``camera``.

    resting: it stands on z = 0, and where it does follows from its lowest row; otherwise it hangs at ``centre_y`` m.
    soft: a heap of soft matter, which spreads sideways and in depth alike; otherwise it is ``depth`` times as deep as its
    outline is thin.
    Raises ``ReconstructionError`` if the outline is too small or its base lies above the horizon.
    """
    inside, origin, cell = _grid(matte)
    boundary = outline_of(inside)
    squared = _round_field(inside, boundary) * cell**2
    corners = corners_of(inside.shape, origin, cell)
    corners = _snapped(corners, boundary, matte, cell)
    rows, columns = np.nonzero(inside)
    height = (np.ptp(rows) + 1) * cell
    radius = float(np.sqrt(squared.max()))
    ratio = depth
    if resting:
        half_width = (np.ptp(columns) + 1) * cell / 2
        foot = _foot(corners[boundary], half_width, height)
        squared = (1 - foot) * squared + foot * _standing_field(inside, boundary) * cell**2
        radius = float(np.sqrt(squared.max()))
        if soft:
            ratio = float(np.clip(np.sqrt(half_width / radius), 1.0, MAX_MOUND))
        centre_y, middle = _place_resting(corners[boundary], camera, radius * ratio, foot, height)
    elif centre_y is not None:
        aim = np.array([[origin[0] + (columns.mean() + 0.5) * cell, origin[1] + (rows.mean() + 0.5) * cell]])
        middle = centre_y / max(float(camera.rays(aim)[0, 1]), 1e-3)
    else:
        raise ReconstructionError(
            "A hanging object needs the distance it hangs at; mark one object as resting."
        )
    nearer = np.zeros(boundary.shape)
    if resting:
        nearer = _brought_nearer(inside, boundary, corners, squared, camera, middle, ratio)
    vertices, faces = _inflated(inside, boundary, corners, squared, camera, middle - nearer, resting, ratio)
    lowest = float(vertices[:, 2].min())
    if not resting and lowest < CLEARANCE:
        # Everything scales with the distance about the camera, one metre up: bring it nearer until it is off the plane.
        share = (1.0 - CLEARANCE) / (1.0 - lowest)
        centre_y, middle = centre_y * share, middle * share
        vertices, faces = _inflated(
            inside, boundary, corners, squared, camera, middle - nearer, resting, ratio
        )
    return Solid(
        camera, squared, inside, origin, cell, centre_y, middle, nearer, resting, ratio, vertices, faces
    )


def _grid(matte: NDArray[np.float32]) -> tuple[Cells, Array, float]:
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


def _round_field(cells: Cells, boundary: Cells) -> Array:
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


def _upper_envelope(values: Array) -> Array:
    """max over c of values(c) - |x - c|^2, one axis at a time (Felzenszwalb and Huttenlocher 2012), for values > 0."""
    result = np.where(values > 0, values, -np.inf)
    for _ in range(2):
        steps = np.arange(result.shape[1])
        drop = (steps[:, None] - steps[None, :]) ** 2.0
        result = np.stack([(row[None, :] - drop).max(1) for row in result]).T
    return np.maximum(result, 0.0)


def _snapped(corners: Array, boundary: Cells, matte: NDArray[np.float32], cell: float) -> Array:
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


def _foot(outline: Array, half_width: float, height: float) -> float:
    """From 0 for a ball, which touches the plane at a point, to 1 for a heap, which is widest there: by how wide the outline
    [N, 2] is just above its lowest row."""
    band = outline[outline[:, 1] > outline[:, 1].max() - CONTACT_BAND * height]
    share = np.ptp(band[:, 0]) / 2 / half_width
    return float(np.clip((share - BALL_CONTACT) / (1 - BALL_CONTACT), 0.0, 1.0))


def _standing_field(cells: Cells, boundary: Cells) -> Array:
    """As ``_round_field``, for a heap cut off by the plane: the outline is filled down to its lowest row and mirrored there, so
    that the heap is as deep at its foot as its shape above says."""
    rows = np.flatnonzero(cells.any(1))
    last, band = rows[-1], max(1, round(1.5 * CONTACT_BAND * len(rows)))
    upper = cells[: last + 1].copy()
    upper[last - band :] = np.maximum.accumulate(upper[last - band :], axis=0)
    whole = _simple(np.concatenate([upper, upper[::-1], np.zeros((1, cells.shape[1]), bool)]))
    field = _round_field(whole, outline_of(whole))
    result = np.zeros_like(boundary, dtype=np.float64)
    result[: last + 2] = field[: last + 2]
    return result


def _place_resting(
    outline: Array, camera: Camera, radius: float, foot: float, height: float
) -> tuple[float, float]:
    """Where a resting object stands: m along +Y to its foot's centre, and the depth, m, of its centre.

    outline: [N, 2]; radius: the half depth, height: pixels. The lowest ray meets the plane in front of the foot's
    centre: by R tan(a/2) for a ball seen from an angle a above the plane, by the half depth of its foot for a heap.
    How wide the outline is just above its lowest row tells between the two.
    """
    lowest = outline[outline[:, 1].argmax()]
    ray = camera.rays(lowest[None])[0]
    if ray[2] >= -1e-3:
        raise ReconstructionError(
            "The object's lowest point lies above the horizon, so it cannot rest on the table; "
            "lower the horizon row, raise the camera's pitch, or let the object hang."
        )
    ahead = max(foot, float(np.tan(np.arctan2(-ray[2], ray[1]) / 2))) * radius
    forward = camera.world_to_camera[2, :3]
    depth = -1.0 / ray[2]
    centre_y, middle = depth * ray[1], depth
    for _ in range(4):  # sizes in metres depend on the depth they give
        metres = middle / camera.K[0, 0]
        centre_y = depth * ray[1] + ahead * metres
        middle = float(np.dot(np.array([0.0, centre_y, height / 2 * metres]) - camera.position, forward))
    return float(centre_y), middle


def _brought_nearer(
    inside: Cells,
    boundary: Cells,
    corners: Array,
    squared: Array,
    camera: Camera,
    middle: float,
    ratio: float,
) -> Array:
    """[ny + 1, nx + 1] m by which the middle sheet must come nearer so that rays enter before they meet the plane: where an outline
    goes down to the table beside or before the foot's centre. Left where it is, the solid would be a flat leaf on the table there."""
    points = corners.reshape(-1, 2)
    half = _half(camera, squared.ravel(), np.full(len(points), middle), ratio)
    missing = np.maximum(middle - half - _plane_depth(camera, points), 0.0).reshape(boundary.shape)
    missing[boundary | (squared <= 0)] = 0.0
    leaf = LEAF * float(half.max())
    missing *= np.clip(missing / leaf - 1, 0.0, 1.0)
    length = max(1, round(BENT_OVER * max(inside.shape)))
    side = 2 * length + 1
    widened = grey_dilation(missing, size=(side, side))
    return np.asarray(gaussian_filter(widened, length / 2), dtype=np.float64)


def _plane_depth(camera: Camera, pixels: Array) -> Array:
    """[N] m, depths at which rays meet z = 0."""
    fall = camera.rays(pixels)[:, 2]
    return np.where(fall < -1e-6, -1.0 / np.minimum(fall, -1e-6), np.inf)


def _half(camera: Camera, squared: Array, middle: Array, ratio: float) -> Array:
    """[N] m from the middle sheet to the surface on either side."""
    return np.asarray(ratio * np.sqrt(np.maximum(squared, 0.0)) * middle / camera.K[0, 0])


def _enter_and_exit(
    camera: Camera, pixels: Array, squared: Array, middle: Array, resting: bool, ratio: float
) -> tuple[Array, Array]:
    plane = _plane_depth(camera, pixels) if resting else np.inf
    half = _half(camera, squared, middle, ratio)
    return np.minimum(middle - half, plane), np.minimum(middle + half, plane)


def _inflated(
    inside: Cells,
    boundary: Cells,
    corners: Array,
    squared: Array,
    camera: Camera,
    middle: Array,
    resting: bool,
    ratio: float,
) -> tuple[Array, NDArray[np.int64]]:
    """The surface between the depths at which rays enter and leave. middle: [ny + 1, nx + 1] m, the depth of the middle sheet."""
    shape = boundary.shape
    enter, leave = _enter_and_exit(
        camera,
        corners.reshape(-1, 2),
        np.where(boundary, 0.0, squared).ravel(),
        middle.ravel(),
        resting,
        ratio,
    )
    return closed_surface(
        inside, boundary, corners, camera, enter.reshape(shape), leave.reshape(shape), resting
    )


def closed_surface(
    inside: Cells, boundary: Cells, corners: Array, camera: Camera, enter: Array, leave: Array, resting: bool
) -> tuple[Array, NDArray[np.int64]]:
    """Vertices and outward faces: front and back sheets over the cells [ny, nx], joined along the outline.

    boundary: [ny + 1, nx + 1] corners on the outline; corners: their pixels [..., 2]; enter, leave: depths there, of which on the
    outline only ``enter`` counts; resting: nothing lies below the plane.
    """
    padded = np.pad(inside, 1)
    used = padded[:-1, :-1] | padded[:-1, 1:] | padded[1:, :-1] | padded[1:, 1:]
    pixels, enter, leave = corners[used], enter[used], leave[used]
    rays = camera.rays(pixels)
    front = camera.position + enter[:, None] * rays
    inner = ~boundary[used]
    back = (camera.position + leave[:, None] * rays)[inner]
    vertices = np.concatenate([front, back])
    if resting:
        vertices[:, 2] = np.maximum(vertices[:, 2], 0.0)
    front_index = np.full(used.shape, -1)
    front_index[used] = np.arange(len(pixels))
    back_index = front_index.copy()
    back_index[used & ~boundary] = len(pixels) + np.arange(inner.sum())
    ys, xs = np.nonzero(inside)
    faces = []
    for index, flip in ((front_index, False), (back_index, True)):
        a, b, c, d = index[ys, xs], index[ys, xs + 1], index[ys + 1, xs + 1], index[ys + 1, xs]
        # Split so that no triangle has all three corners on the outline, where front and back would coincide.
        other = (
            boundary[ys, xs].astype(int) + boundary[ys + 1, xs + 1]
            > boundary[ys, xs + 1].astype(int) + boundary[ys + 1, xs]
        )
        first = np.where(other[:, None], np.stack([a, d, b], 1), np.stack([a, d, c], 1))
        second = np.where(other[:, None], np.stack([b, d, c], 1), np.stack([a, c, b], 1))
        triangles = np.concatenate([first, second])
        faces.append(triangles[:, ::-1] if flip else triangles)
    return vertices, np.concatenate(faces).astype(np.int64)
