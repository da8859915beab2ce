"""Depth of many views fused into a truncated signed distance field of one object (Curless and Levoy 1996), carved by its outlines.

A view says of a voxel how far outside the object it lies: by the tangent plane of the surface that the voxel's pixel sees, or, next
to the outline, by how far beside it. Where views differ, those that see it farther outside are right, since matter hides what is
behind it but nothing shows matter that is not there; so the field is the mean of the few largest of what is said, which keeps parts
thinner than the truncation, and does not follow one bad pixel. What no view sees into is inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.capture.capture import CapturedView, unprojected
from perpetua.scene.cameras import Camera

Array = NDArray[np.float64]
Values = NDArray[np.float32]

TRUNCATION = 3.0
"""Voxels beyond which a distance counts as this far."""
MARGIN = 3
"""Voxels around the object's points."""
LARGEST = 3
"""Views that say the largest distances, whose mean counts."""
OUTLIERS = 0.002
"""Share of an object's points, at either end of each axis, that may be stray."""
SAME_SURFACE = 0.03
"""Relative step of depth between neighbouring pixels up to which they are of one surface."""
FEWEST_PIXELS = 60


@dataclass(frozen=True)
class Field:
    """values: [nx, ny, nz] m, the signed distance at voxel centres, negative inside.  origin: [3] m, the first voxel's centre.
    voxel: m."""

    values: Values
    origin: Array
    voxel: float

    def at(self, points: Array) -> Array:
        """[N] m at points [N, 3] m; outside the grid as far as the truncation."""
        place = ((points - self.origin) / self.voxel).T
        outside = TRUNCATION * self.voxel
        return map_coordinates(self.values, place, order=1, mode="constant", cval=outside).astype(np.float64)

    def centres(self) -> Array:
        """[nx * ny * nz, 3] m."""
        axes = [o + self.voxel * np.arange(n) for o, n in zip(self.origin, self.values.shape)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def fuse(views: list[CapturedView], thing: int, name: str, across: int, floor: float | None = None) -> Field:
    """The field of object ``thing`` from views with depth and masks, its longest side ``across`` voxels. With a ``floor`` it reaches
    down to z = floor, m, whether or not a view sees so far under it.

    Raises ``ReconstructionError`` if too little of it is seen.
    """
    low, high = _box(views, thing, name)
    low[2] = low[2] if floor is None else min(low[2], floor)
    voxel = float((high - low).max() / across)
    shape = np.ceil((high - low) / voxel).astype(int) + 2 * MARGIN
    origin = low - (MARGIN - 0.5) * voxel
    empty = Field(np.zeros(shape, np.float32), origin, voxel)
    points = empty.centres().astype(np.float32)
    limit = TRUNCATION * voxel
    largest = np.full((LARGEST, len(points)), -limit, np.float32)
    own, others = np.zeros(len(points), np.int16), np.zeros(len(points), np.int16)
    for view in views:
        _add(view, thing, points, limit, largest, own, others)
    field = largest.mean(0)
    # What is hidden in all views belongs to the object that hides it most often.
    hidden = voxel * (others - own) / np.maximum(own + others, 1)
    field = np.where((field < 0) & (others > own), np.maximum(field, hidden), field)
    return Field(field.reshape(shape).astype(np.float32), origin, voxel)


def _box(views: list[CapturedView], thing: int, name: str) -> tuple[Array, Array]:
    """Corners of the box around what is seen of an object."""
    points = []
    for view in views:
        assert view.depth is not None
        assert view.objects is not None
        where = np.argwhere((view.objects == thing) & np.isfinite(view.depth))
        points.append(unprojected(view, where))
    seen = np.concatenate(points)
    if len(seen) < FEWEST_PIXELS:
        raise ReconstructionError(
            f"Only {len(seen)} pixels of the capture show object '{name}'; check its masks, or move the camera nearer."
        )
    low, high = np.quantile(seen, [OUTLIERS, 1 - OUTLIERS], axis=0)
    grown = 0.03 * (high - low).max()
    return low - grown, high + grown


def _add(
    view: CapturedView,
    thing: int,
    points: Values,
    limit: float,
    largest: Values,
    own: NDArray,
    others: NDArray,
) -> None:
    """Add what one view says of ``points`` [N, 3]: to the ``largest`` distances [k, N], and to how often the object or another thing
    is seen before a point."""
    camera = view.camera
    assert view.depth is not None
    assert view.objects is not None
    matrix = (camera.K @ camera.world_to_camera[:3]).astype(np.float32)
    homogeneous = points @ matrix[:, :3].T + matrix[:, 3]
    z = homogeneous[:, 2]
    ahead = z > 1e-6
    pixel = np.floor(homogeneous[:, :2] / np.where(ahead, z, 1.0)[:, None])
    inside = ahead & (pixel >= 0).all(1) & (pixel[:, 0] < camera.width) & (pixel[:, 1] < camera.height)
    at = np.flatnonzero(inside)
    index = pixel[at, 1].astype(np.int64) * camera.width + pixel[at, 0].astype(np.int64)
    mine = (view.objects == thing).ravel()[index]
    z, depth = z[at], view.depth.ravel()[index]

    planes = tangent_planes(camera, view.depth, view.objects)
    on = at[mine]
    plane = planes.reshape(-1, 4)[index[mine]]
    beside = (points[on] * plane[:, :3]).sum(1) - plane[:, 3]
    _keep_largest(largest, on, np.clip(beside, -limit, limit))
    own[on[beside < 0]] += 1

    away, hidden = at[~mine], depth[~mine] < z[~mine] - limit
    outside = cv2.distanceTransform((view.objects != thing).astype(np.uint8), cv2.DIST_L2, 5) - 0.5
    metres = outside.ravel()[index[~mine]] * z[~mine] / camera.K[0, 0]
    _keep_largest(largest, away[~hidden], np.minimum(metres[~hidden], limit).astype(np.float32))
    others[away[hidden]] += 1


def _keep_largest(largest: Values, at: NDArray[np.int64], said: Values) -> None:
    """Put ``said`` [n] of points ``at`` among the largest."""
    for row in largest:
        kept = row[at]
        row[at] = np.maximum(kept, said)
        said = np.minimum(kept, said)


def tangent_planes(
    camera: Camera, depth: NDArray[np.float32], objects: NDArray[np.int32] | None
) -> NDArray[np.float32]:
    """[H, W, 4] of the surface that each pixel sees: its unit normal towards the camera n, and n . p of the point p seen."""
    height, width = depth.shape
    v, u = np.mgrid[:height, :width] + 0.5
    rays = camera.rays(np.stack([u, v], -1).reshape(-1, 2)).reshape(height, width, 3)
    finite = np.where(np.isfinite(depth), depth, 0.0).astype(np.float64)
    places = camera.position + finite[..., None] * rays
    across, down = (_slope(places, finite, objects, axis) for axis in (1, 0))
    normal = np.cross(across, down)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    back = -rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    normal = np.where(length > 0, normal / np.maximum(length, 1e-30), back)
    normal = np.where((normal * back).sum(-1, keepdims=True) < 0, -normal, normal)
    return np.concatenate([normal, (normal * places).sum(-1, keepdims=True)], -1).astype(np.float32)


def _slope(places: Array, depth: Array, objects: NDArray[np.int32] | None, axis: int) -> Array:
    """[H, W, 3] m a pixel along ``axis``: the mean of the steps to those neighbours that are of the same surface, zero without."""
    step = np.diff(places, axis=axis)
    first, second = (np.take(depth, np.arange(s, s + depth.shape[axis] - 1), axis) for s in (0, 1))
    same = (np.abs(second - first) < SAME_SURFACE * first) & (second > 0)
    if objects is not None:
        same &= np.diff(objects, axis=axis) == 0
    step = np.where(same[..., None], step, 0.0)
    before, after = ([(0, 0)] * 3 for _ in range(2))
    before[axis], after[axis] = (1, 0), (0, 1)
    count = np.pad(same.astype(float), before[:2]) + np.pad(same.astype(float), after[:2])
    return (np.pad(step, before) + np.pad(step, after)) / np.maximum(count, 1.0)[..., None]
