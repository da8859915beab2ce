"""Where a set of splats is looked at from: which way is up, the artist's view, and a ring of cameras around what it shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import SplatError
from perpetua.scene.cameras import FLIP_YZ, Camera, inverse
from perpetua.scene.gaussians import Gaussians
from perpetua_protocol.take import SplatView

Array = NDArray[np.float64]

SOLID = 0.3
"""Opacity from which a splat is of a surface."""
CENTRAL = 0.6
"""Share of the solid splats, nearest to the middle, that are what the pictures were taken of: far ones are strewn."""
AROUND = 2.0
"""Of their radius: how far around the middle the support is looked for."""
LARGEST = 0.95
"""Quantile of the splats' areas above which they count alike."""
TRIES = 800
SAMPLE = 20_000
THICKNESS = 0.02
"""Of the radius looked in: distance up to which a splat lies on a plane."""
LEAST_SHARE = 0.1
"""Of the splats' area there: a smaller plane is no table."""
REFINEMENTS = 3
MOST_BELOW = 0.4
"""Of the distances of splats there that are not on the plane, those that may be below it: the top of a thing supports nothing."""
MOST_TILT_DEGREES = 10.0
"""Between the plane's normal and a direction up that is given."""
LOWEST = 0.005
"""Share of the solid splats that may lie below the foot of an object without a table."""
SEEN = 0.9
"""Share of the standing splats, nearest to their middle, that the view shows."""
ROOM = 1.6
"""Distance of the view, in the distance at which what stands just fits."""
PITCH_DEGREES = 25.0
WIDTH, HEIGHT, FOV_DEGREES = 640, 480, 40.0
"""Of the view, if the artist gives none."""
RING = 12
"""Cameras around at the view's own height, and half as many above."""
ABOVE_DEGREES = 25.0
STEEPEST_DEGREES = 75.0


@dataclass(frozen=True)
class Support:
    """Points x with normal . x = offset; normal: [3], unit, up."""

    normal: Array
    offset: float


def solid_means(splats: Gaussians) -> Array:
    """[N, 3] of the splats that are of surfaces. Raises ``SplatError`` if there are too few."""
    means = splats.means[splats.opacities > SOLID].numpy().astype(np.float64)
    if len(means) < 3:
        raise SplatError("The splats are almost all transparent; export them with their opacities.")
    return means


def support_of(splats: Gaussians, up: Array | None, seed: int) -> Support:
    """The plane that most of the splats' area around the middle lies on (RANSAC); the side with more of it is above. Along ``up`` [3] if it is known, then
    also without a plane: at the foot of all.

    Raises ``SplatError`` if there is none and ``up`` is not known.
    """
    rng = np.random.default_rng(seed)
    means = solid_means(splats)
    middle, radius = _central(means)
    radius *= AROUND
    area = np.where(np.linalg.norm(means - middle, axis=1) < radius, _areas(splats), 0.0)
    near = means[rng.choice(len(means), SAMPLE, p=area / area.sum())]
    best, most = Support(np.zeros(3), 0.0), LEAST_SHARE
    for _ in range(TRIES):
        a, b, c = near[rng.integers(0, len(near), 3)]
        normal = np.cross(b - a, c - a)
        length = float(np.linalg.norm(normal))
        if length < 1e-12:
            continue
        normal /= length
        share = float((np.abs((near - a) @ normal) < THICKNESS * radius).mean())
        if share > most:
            plane = _upright(near, Support(normal, float(normal @ a)), THICKNESS * radius, up)
            best, most = (best, most) if plane is None else (plane, share)
    if best.normal.any():
        return best
    if up is None:
        raise SplatError(
            "No table or floor was found in the splats, so that it is not known which way is up; set `scene.up`, such as [0, 0, 1] "
            "in the file's own axes."
        )
    return Support(up, float(np.quantile(means @ up, LOWEST)))


def _upright(points: Array, plane: Support, thickness: float, up: Array | None) -> Support | None:
    """The plane as points [N, 3] on it have it (least squares), its normal up: along ``up``, else to the side where more lies, and lies
    farther away. None if it can support nothing."""
    for _ in range(REFINEMENTS):
        on = points[np.abs(points @ plane.normal - plane.offset) < thickness]
        middle = on.mean(0)
        normal = np.linalg.svd(on - middle, full_matrices=False)[2][2]
        plane = Support(normal, float(normal @ middle))
    away = points @ plane.normal - plane.offset
    off = away[np.abs(away) > thickness]
    if (plane.normal @ up < 0) if up is not None else (off.sum() < 0):
        plane, off = Support(-plane.normal, -plane.offset), -off
    if up is not None and plane.normal @ up < np.cos(np.radians(MOST_TILT_DEGREES)):
        return None
    below = -off[off < 0].sum()
    return plane if below <= MOST_BELOW * np.abs(off).sum() else None


def front_camera(splats: Gaussians, support: Support, view: SplatView | None) -> Camera:
    """The artist's ``view``, or one that looks at the middle of what stands on the support from obliquely above."""
    if view is not None:
        matrix = np.array(view.matrix_world, dtype=np.float64).reshape(4, 4)
        return Camera.from_blender(
            matrix, view.horizontal_fov_degrees, view.width, view.height, "front", "front"
        )
    means = solid_means(splats)
    centre, radius = _central(means)
    means = means[np.linalg.norm(means - centre, axis=1) < radius]
    standing = means[means @ support.normal - support.offset > THICKNESS * AROUND * radius]
    standing = standing if len(standing) >= 3 else means
    middle = np.median(standing, 0)
    size = float(np.quantile(np.linalg.norm(standing - middle, axis=1), SEEN))
    half = np.arctan(np.tan(np.radians(FOV_DEGREES) / 2) * HEIGHT / WIDTH)
    pitch = np.radians(PITCH_DEGREES)
    outward = np.cos(pitch) * _forward_of(support.normal) + np.sin(pitch) * support.normal
    place = middle + ROOM * size / np.sin(half) * outward
    matrix = looking(place, middle, support.normal) @ FLIP_YZ
    return Camera.from_blender(matrix, FOV_DEGREES, WIDTH, HEIGHT, "front", "front")


def ring_of(front: Camera, middle: Array, up: Array) -> list[Camera]:
    """The front camera, and others that look at ``middle`` [3] from around it and from above, turned about ``up`` [3]."""
    away = front.position - middle
    distance, height = float(np.linalg.norm(away)), float(away @ up)
    level = away - height * up
    if np.linalg.norm(level) < 1e-3 * distance:  # it looks straight down
        level = _forward_of(up)
    level /= np.linalg.norm(level)
    side = np.cross(up, level)
    pitch = float(np.arcsin(np.clip(height / distance, -1, 1)))
    steep = min(pitch + np.radians(ABOVE_DEGREES), np.radians(STEEPEST_DEGREES))
    cameras = [front]
    for tilt, count, first in ((pitch, RING, 1), (max(steep, pitch), RING // 2, 0)):
        for index in range(first, count):
            turn = 2 * np.pi * index / count
            outward = np.cos(tilt) * (np.cos(turn) * level + np.sin(turn) * side) + np.sin(tilt) * up
            pose = looking(middle + distance * outward, middle, up)
            cameras.append(
                Camera(front.K, inverse(pose), front.width, front.height, f"view_{len(cameras)}", "side")
            )
    return cameras


def looking(place: Array, target: Array, up: Array) -> Array:
    """[4, 4] camera to world (OpenCV's axes) at ``place`` [3], looking at ``target`` [3]."""
    ahead = (target - place) / np.linalg.norm(target - place)
    right = np.cross(ahead, up)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], 1)
    pose[:3, 3] = place
    return pose


def _central(means: Array) -> tuple[Array, float]:
    """Middle [3] and radius of where most splats are: what the pictures were taken of."""
    middle = np.median(means, 0)
    return middle, float(np.quantile(np.linalg.norm(means - middle, axis=1), CENTRAL))


def _areas(splats: Gaussians) -> Array:
    """[N] of the solid splats, as large as each can be seen; a few huge ones do not count for more than large ones."""
    sizes = splats.scales[splats.opacities > SOLID].numpy().astype(np.float64)
    area: Array = np.sort(sizes, axis=1)[:, 1:].prod(1)
    return np.minimum(area, np.quantile(area, LARGEST))


def _forward_of(up: Array) -> Array:
    """[3], unit, level: towards the viewer by habit, which is -Y where Z is up and -Z where Y is up (or down)."""
    back = np.array([0.0, -1.0, 0.0]) if abs(up[2]) > abs(up[1]) else np.array([0.0, 0.0, -1.0])
    level = back - (back @ up) * up
    return np.asarray(level / np.linalg.norm(level), dtype=np.float64)
