"""The plane that everything stands on, found in what the views see that is no object; gravity is against its normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.capture.capture import CapturedView, unprojected

Array = NDArray[np.float64]

TRIES = 600
POINTS = 6000
TOLERANCE = 0.004
"""Distance from the plane, in distances of the cameras from it, up to which a point belongs to it."""
ROUGH_TOLERANCE = 0.03
"""The same for depth that a fit to pictures gave."""
LEAST_SHARE = 0.12
"""Of all points that are no object: a smaller plane is no table."""
MOST_BELOW = 0.05
"""Share of the objects' points that may lie below it."""
REFINEMENTS = 5


@dataclass(frozen=True)
class Plane:
    """Points x with normal . x = offset; normal: [3], unit, up.  share: of the points that are no object, how many lie on it."""

    normal: Array
    offset: float
    share: float

    def to_level(self) -> Array:
        """[3, 3] the smallest turn that takes the normal to +Z."""
        up = np.array([0.0, 0.0, 1.0])
        axis, cosine = np.cross(self.normal, up), float(self.normal @ up)
        if cosine < -1 + 1e-9:
            return np.diag([1.0, -1.0, -1.0])
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        return np.eye(3) + cross + cross @ cross / (1 + cosine)


def find_plane(views: list[CapturedView], seed: int, tolerance: float = TOLERANCE) -> Plane:
    """The largest plane below all cameras and objects in views with depth (RANSAC, Fischler and Bolles 1981, then least squares).

    tolerance: how far from it points of it may lie, in distances of the cameras from it.

    Raises ``ReconstructionError`` if there is none.
    """
    rng = np.random.default_rng(seed)
    points, things = _seen(views, False, rng), _seen(views, True, rng)
    cameras = np.array([view.camera.position for view in views])
    best: tuple[float, Array, float] = (0.0, np.zeros(3), 0.0)
    if len(points) >= 3:
        for _ in range(TRIES):
            a, b, c = points[rng.integers(0, len(points), 3)]
            normal = np.cross(b - a, c - a)
            length = np.linalg.norm(normal)
            if length < 1e-12:
                continue
            scored = _score(normal / length, float(normal @ a / length), points, things, cameras, tolerance)
            best = max(best, scored, key=lambda s: s[0])
    if best[0] < LEAST_SHARE:
        raise ReconstructionError(
            "No table or floor was found under the objects in the capture; let the pictures show more of what they stand on."
        )
    share, normal, offset = best
    for _ in range(REFINEMENTS):
        near = points[np.abs(points @ normal - offset) < _metres(normal, offset, cameras, tolerance)]
        middle = near.mean(0)
        direction = np.linalg.svd(near - middle, full_matrices=False)[2][2]
        normal = direction if direction @ normal > 0 else -direction
        offset = float(normal @ middle)
    return Plane(normal, offset, share)


def _score(
    normal: Array, offset: float, points: Array, things: Array, cameras: Array, tolerance: float
) -> tuple[float, Array, float]:
    """(share of points on it, or 0 if it cannot be a support; normal; offset), turned towards the cameras."""
    heights = cameras @ normal - offset
    if heights.mean() < 0:
        normal, offset, heights = -normal, -offset, -heights
    if heights.min() <= 0:
        return 0.0, normal, offset
    metres = _metres(normal, offset, cameras, tolerance)
    if len(things) and (things @ normal - offset < -2 * metres).mean() > MOST_BELOW:
        return 0.0, normal, offset
    return float((np.abs(points @ normal - offset) < metres).mean()), normal, offset


def _metres(normal: Array, offset: float, cameras: Array, tolerance: float) -> float:
    return tolerance * max(float(np.median(cameras @ normal - offset)), 0.2 * float(np.ptp(cameras, 0).max()))


def _seen(views: list[CapturedView], objects: bool, rng: np.random.Generator) -> Array:
    """[N, 3] m, up to POINTS points of all views that are objects, or are none."""
    found = []
    for view in views:
        assert view.depth is not None
        on_object = np.zeros(view.depth.shape, bool) if view.objects is None else view.objects >= 0
        where = np.argwhere(np.isfinite(view.depth) & (on_object == objects))
        picked = where[rng.permutation(len(where))[: max(1, POINTS // len(views))]]
        found.append(unprojected(view, picked))
    return np.concatenate(found)
