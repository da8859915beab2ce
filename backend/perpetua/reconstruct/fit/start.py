"""Where Gaussians start: on what depth maps show, at the points of a sparse cloud, in the hull of the objects' outlines, or strewn in
what the cameras look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.reconstruct.capture.capture import Capture, CapturedView, rays_of, unprojected
from perpetua.reconstruct.discs import facing, tangent_discs
from perpetua.scene.gaussians import Gaussians

Array = NDArray[np.float64]

OBJECT_SHARE = 0.5
"""Of the Gaussians, for objects: they are what is looked at and what moves."""
SKY_SHARE = 0.04
SKY_DISTANCE = 3.0
"""Radii of the scene at which the sky stands."""
DOME_DISTANCE = 3.4
"""Radii of the scene at which the dome stands, behind the sky."""
DOME_SPLATS = 800
DOME_SIGMA = 0.7
"""Standard deviation of the dome's splats in their spacing: wide, so that it is opaque."""
DOME_SAMPLES = 4000
SURPLUS = 6
"""Points drawn for each Gaussian before they are thinned evenly."""
NEIGHBOURS = 4
HULL_TRIES = 60
"""Random points drawn for each Gaussian in search of those that all outlines contain."""


@dataclass(frozen=True)
class Start:
    """means: [N, 3] m.  sizes: [N] m, standard deviations.  colors: [N, 3] in [0, 1].  objects: [N] the object each was seen on, -1 for
    none."""

    means: Array
    sizes: Array
    colors: Array
    objects: NDArray[np.int64]


def start(capture: Capture, count: int, seed: int) -> Start:
    """About ``count`` Gaussians, from the best that ``capture`` knows."""
    rng = np.random.default_rng(seed)
    if capture.has_depth:
        points, colors, objects = _from_depth(capture, count, rng)
    elif len(capture.points) >= count // 20:
        points, colors = _around(capture.points, capture.colors, count, rng)
        objects = np.full(len(points), -1)
    else:
        points, colors, objects = _strewn(capture, count, rng)
    return Start(points, _spacings(points), colors, objects.astype(np.int64))


def dome(capture: Capture, seed: int) -> Gaussians:
    """A closed sphere far around everything, in the colours nearest to each direction that the views saw nothing in (without depth:
    anything). It is not trained, so that there is something where no view looks."""
    rng = np.random.default_rng(seed)
    directions, colors = [], []
    for view in capture.views:
        height, width = view.rgb.shape[:2]
        empty = np.ones((height, width), bool) if view.depth is None else ~np.isfinite(view.depth)
        places = np.argwhere(empty)
        places = places[rng.permutation(len(places))[: max(1, DOME_SAMPLES // len(capture.views))]]
        directions.append(rays_of(view.camera, places))
        colors.append(view.rgb[places[:, 0], places[:, 1]] / 255.0)
    index = np.arange(DOME_SPLATS) + 0.5
    z = 1 - 2 * index / DOME_SPLATS  # Fibonacci's lattice, even over the sphere
    turn, flat = np.pi * (1 + 5**0.5) * index, np.sqrt(1 - z**2)
    outward = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], 1)
    rays = np.concatenate(directions)
    if len(rays):
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        painted = np.concatenate(colors)[cKDTree(rays).query(outward)[1]]
    else:
        painted = np.tile(
            np.mean([view.rgb.mean((0, 1)) / 255.0 for view in capture.views], 0), (DOME_SPLATS, 1)
        )
    radius = DOME_DISTANCE * scene_radius(capture)
    first, second = (radius * np.sqrt(4 * np.pi / DOME_SPLATS) * axis for axis in facing(outward))
    return tangent_discs(looked_at(capture) + radius * outward, first, second, painted, DOME_SIGMA)


def scene_radius(capture: Capture) -> float:
    """m, the distance of the farthest camera from the middle of all cameras, or of what they look at."""
    places = np.array([view.camera.position for view in capture.views])
    return float(np.linalg.norm(places - looked_at(capture), axis=1).max())


def looked_at(capture: Capture) -> Array:
    """[3] m, the point nearest to all optical axes (least squares)."""
    total, right = 1e-9 * np.eye(3), np.zeros(3)
    for view in capture.views:
        axis = view.camera.world_to_camera[2, :3]
        across = np.eye(3) - np.outer(axis, axis)
        total += across
        right += across @ view.camera.position
    return np.asarray(np.linalg.solve(total, right), dtype=np.float64)


def _from_depth(
    capture: Capture, count: int, rng: np.random.Generator
) -> tuple[Array, Array, NDArray[np.int64]]:
    radius, middle = scene_radius(capture), looked_at(capture)
    points, colors, objects = [], [], []
    a_view = max(1, SURPLUS * count // len(capture.views))
    for view in capture.views:
        for places, kind in _draws(view, a_view, rng):
            points.append(
                _on_dome(view, places, middle, SKY_DISTANCE * radius)
                if kind == "sky"
                else unprojected(view, places)
            )
            colors.append(view.rgb[places[:, 0], places[:, 1]] / 255.0)
            own = (
                np.full(len(places), -1) if view.objects is None else view.objects[places[:, 0], places[:, 1]]
            )
            objects.append(np.full(len(places), -2) if kind == "sky" else own)
    every, painted, whose = np.concatenate(points), np.concatenate(colors), np.concatenate(objects)
    kept = []
    for part, share in (
        (whose >= 0, OBJECT_SHARE),
        (whose == -1, 1 - OBJECT_SHARE - SKY_SHARE),
        (whose == -2, SKY_SHARE),
    ):
        chosen = np.flatnonzero(part)
        if len(chosen):
            kept.append(chosen[_thinned(every[chosen], max(16, round(share * count)))])
    index = np.concatenate(kept)
    return every[index], painted[index], np.maximum(whose[index], -1)


def _draws(view: CapturedView, count: int, rng: np.random.Generator) -> list[tuple[NDArray[np.int64], str]]:
    """Random pixels [N, 2] of a view's objects, of the rest, and of the sky."""
    assert view.depth is not None
    solid = np.isfinite(view.depth)
    on_object = solid & (view.objects >= 0) if view.objects is not None else np.zeros_like(solid)
    found = []
    for where, kind in ((on_object, "object"), (solid & ~on_object, "rest"), (~solid, "sky")):
        places = np.argwhere(where)
        if len(places):
            found.append((places[rng.permutation(len(places))[: count // 2]], kind))
    return found


def _on_dome(view: CapturedView, places: NDArray[np.int64], middle: Array, radius: float) -> Array:
    """Where the rays through pixels meet a sphere around ``middle`` that all cameras are inside."""
    rays = rays_of(view.camera, places)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    away = view.camera.position - middle
    along = rays @ away
    return view.camera.position + (-along + np.sqrt(along**2 + radius**2 - away @ away))[:, None] * rays


def _thinned(points: Array, count: int) -> NDArray[np.int64]:
    """Indices of about ``count`` of points [N, 3], evenly spread: one a cell of a grid whose cells are as large as that needs."""
    if len(points) <= count:
        return np.arange(len(points))
    low, high = 0.0, float(np.ptp(points, axis=0).max()) + 1e-9
    first = np.arange(len(points))
    for _ in range(14):
        side = 0.5 * (low + high)
        _, first = np.unique(np.floor(points / side).astype(np.int64), axis=0, return_index=True)
        low, high = (side, high) if len(first) > count else (low, side)
    return first


def _around(points: Array, colors: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """A sparse cloud, and copies of its points strewn about as far as their neighbours are."""
    spacing = _spacings(points)
    picked = rng.integers(0, len(points), max(0, count - len(points)))
    more = points[picked] + rng.normal(size=(len(picked), 3)) * spacing[picked, None]
    return np.concatenate([points, more]), np.concatenate([colors, colors[picked]])


def _strewn(capture: Capture, count: int, rng: np.random.Generator) -> tuple[Array, Array, NDArray[np.int64]]:
    """Random points: half of them in the hull of the outlines where there are outlines, the rest in front of the cameras."""
    radius, middle = scene_radius(capture), looked_at(capture)
    inside = np.empty((0, 3))
    if capture.has_objects:
        box = middle + rng.uniform(-0.6, 0.6, (HULL_TRIES * count, 3)) * radius
        inside = box[_in_hull(capture, box)][: round(OBJECT_SHARE * count)]
    rest = count - len(inside)
    direction = rng.normal(size=(rest, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    # Even in the logarithm of the distance, so that near and far get Gaussians of fitting size.
    away = radius * np.exp(rng.uniform(np.log(0.05), np.log(SKY_DISTANCE), rest))
    points = np.concatenate([inside, middle + away[:, None] * direction])
    return points, _seen_colors(capture, points), np.full(len(points), -1)


def _in_hull(capture: Capture, points: Array) -> NDArray[np.bool_]:
    """Which of points [N, 3] lie in the outline of some object in all views that see them, which are half of all at least."""
    result, times = np.ones(len(points), bool), np.zeros(len(points), np.int64)
    for view in capture.views:
        assert view.objects is not None
        pixels, depth = view.camera.project(points)
        seen = (depth > 0) & (pixels >= 0).all(1) & (pixels < [view.camera.width, view.camera.height]).all(1)
        x, y = pixels[seen].astype(int).T
        result[np.flatnonzero(seen)[view.objects[y, x] < 0]] = False
        times += seen
    return result & (2 * times >= len(capture.views))


def _seen_colors(capture: Capture, points: Array) -> Array:
    """[N, 3] the mean colour of the pixels at which the views see points [N, 3]; grey where none does."""
    total, count = np.full((len(points), 3), 0.5), np.ones(len(points))
    for view in capture.views:
        pixels, depth = view.camera.project(points)
        seen = (depth > 0) & (pixels >= 0).all(1) & (pixels < [view.camera.width, view.camera.height]).all(1)
        x, y = pixels[seen].astype(int).T
        total[seen] += view.rgb[y, x] / 255.0
        count[seen] += 1
    return total / count[:, None]


def _spacings(points: Array) -> Array:
    """[N] m, the mean distance of each point's nearest neighbours."""
    distances, _ = cKDTree(points).query(points, k=min(NEIGHBOURS, len(points)))
    return np.maximum(distances[:, 1:].mean(1), 1e-6)
