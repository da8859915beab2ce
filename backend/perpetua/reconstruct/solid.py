"""A closed solid from one outline: inflated along the camera's rays, resting on the plane or hanging in the air.

Every ray through the outline enters the solid once and leaves it once, so the solid covers exactly the outline in the
picture. Enter and exit lie either side of a middle sheet by a height field h over the picture, zero on the outline. The sheet is the
plane through the object's centre that faces the camera, brought nearer where rays would meet the support plane before they enter. The solid
ends at the support plane.

How deep it is the outline itself says (``silhouette.py``). World here: the camera of ``camera.py``, one metre above the plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, grey_dilation, map_coordinates

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.silhouette import (
    Array,
    Cells,
    corners_of,
    foot_of,
    grid_of,
    outline_of,
    round_field,
    snapped,
    standing_field,
)
from perpetua.scene.cameras import Camera

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
    inside, origin, cell = grid_of(matte)
    boundary = outline_of(inside)
    squared = round_field(inside, boundary) * cell**2
    corners = corners_of(inside.shape, origin, cell)
    corners = snapped(corners, boundary, matte, cell)
    rows, columns = np.nonzero(inside)
    height = (np.ptp(rows) + 1) * cell
    radius = float(np.sqrt(squared.max()))
    ratio = depth
    if resting:
        half_width = (np.ptp(columns) + 1) * cell / 2
        foot = foot_of(corners[boundary], half_width, height)
        squared = (1 - foot) * squared + foot * standing_field(inside, boundary) * cell**2
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
