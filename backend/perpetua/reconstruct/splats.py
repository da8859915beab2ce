"""An object as splats: its picture on the front, its continued colours around the sides and back, matter inside."""

from __future__ import annotations

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from perpetua.reconstruct.cells import cover
from perpetua.reconstruct.discs import Painted, balls, facing, tangent_discs
from perpetua.reconstruct.images import blurred, reduced
from perpetua.reconstruct.solid import Solid
from perpetua.scene.gaussians import Gaussians

Array = NDArray[np.float64]
Image = NDArray[np.float32]

FRONT_BUDGET = 40_000
"""Most splats on the fronts of all objects."""
SKIN_BUDGET = 13_000
"""Most splats on the rest of their surfaces."""
WHOLE = 0.9
"""Coverage from which a cell of the picture gets a splat; splats blur outwards by about half a cell, so the softest edge
cells would fatten the outline."""
MAX_STRETCH = 3.0
"""Longest a front splat may be along a slanted surface, in the size it has face on; the skin closes what is steeper."""
FRONT_ENOUGH = 0.4
"""Cosine to the view ray above which the front's own splats close the surface and no skin lies below them."""
SKIN_SIGMA = 0.75
"""Standard deviation of a skin splat in the skin's spacing."""
SKIN_INSET = 0.3
"""How far below the surface the skin lies, in its spacing."""
SKIN_CLEARANCE = 1.7
"""Standard deviations of a skin splat that stay inside the outline."""
NORMAL_SMOOTHINGS = 2
"""Rounds of averaging with the neighbours; the outline's steps of one grid cell then no longer tilt the discs."""
INTERIOR_SIGMA = 0.5
"""Standard deviation of an interior splat in the particles' spacing."""
INTERIOR_CLEARANCE = 3.0
"""Standard deviations an interior splat keeps from the surface, so that it is not seen while the object is whole."""


def clothe(
    solid: Solid,
    colours: Image,
    matte: NDArray[np.float32],
    particles: Array,
    spacing: float,
    splat_width: int,
    share: float,
    sub_gaussians: int,
    seed: int,
) -> Painted:
    """Splats of one object. colours: [H, W, 3], its own colours continued past its edge; particles: [P, 3] m; share: of
    the budgets; sub_gaussians: interior splats a particle."""
    cell = solid.camera.width / min(splat_width, solid.camera.width)
    parts = [_front(solid, colours, matte, splat_width, round(FRONT_BUDGET * share))]
    for splats in (
        _skin(solid, colours, matte, 1.5 * cell, round(SKIN_BUDGET * share), seed),
        _interior(solid, colours, particles, spacing, sub_gaussians, seed),
    ):
        seen = solid.camera.project(splats.means.numpy().astype(np.float64))[0]
        parts.append(Painted.hidden(splats, seen, np.full(len(splats), cell)))
    return Painted.cat(parts)


def _front(
    solid: Solid, colours: Image, matte: NDArray[np.float32], splat_width: int, budget: int
) -> Painted:
    """Discs on the front surface, one a cell of the picture."""
    height, width = matte.shape
    columns = min(splat_width, width)
    rows = max(2, round(height * columns / width))
    step = np.array([width / columns, height / rows])
    small = reduced(colours, columns, rows)
    covered = reduced(matte, columns, rows)
    cells = cover(small, covered > WHOLE, budget)
    pixels = cells.centres * step
    sides = cells.sides[:, None] * step
    along_u = _chord(solid, pixels, np.array([0.5, 0.0]) * sides)
    along_v = _chord(solid, pixels, np.array([0.0, 0.5]) * sides)
    depth = solid.depths(pixels)[0]
    means = solid.camera.position + depth[:, None] * solid.camera.rays(pixels)
    size = (depth / solid.camera.K[0, 0])[:, None] * sides[:, :1]
    along_u, along_v = _at_most(along_u, MAX_STRETCH * size), _at_most(along_v, MAX_STRETCH * size)
    low = np.round(cells.centres - cells.sides[:, None] / 2).astype(int)
    colors = np.zeros((len(cells), 3))
    for side in np.unique(cells.sides).astype(int):
        chosen = np.flatnonzero(cells.sides == side)
        x, y = low[chosen].T
        colors[chosen] = np.mean([small[y + dy, x + dx] for dy in range(side) for dx in range(side)], 0)
    whole = cv2.erode((covered > 0.98).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    own = whole[tuple(cells.centres.astype(int).T[::-1])]
    return Painted(tangent_discs(means, along_u, along_v, colors), own, pixels, sides[:, 0])


def _chord(solid: Solid, pixels: Array, half: Array) -> Array:
    """[N, 3] m, the step on the front surface from ``pixels - half`` to ``pixels + half``; one-sided at the outline."""
    ends = []
    for sign in (-1.0, 1.0):
        place = pixels + sign * half
        outside = ~solid.covers(place)
        place = np.where(outside[:, None], pixels, place)
        depth = solid.depths(place)[0]
        ends.append((solid.camera.position + depth[:, None] * solid.camera.rays(place), outside))
    (start, start_out), (end, end_out) = ends
    chord = end - start
    one_sided = (start_out ^ end_out)[:, None]
    lost = (start_out & end_out)[:, None]
    depth = solid.depths(pixels)[0][:, None]
    flat = depth * (solid.camera.rays(pixels + half) - solid.camera.rays(pixels - half))
    return np.where(lost, flat, np.where(one_sided, 2 * chord, chord))


def _at_most(vectors: Array, longest: Array) -> Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.minimum(1.0, longest / np.maximum(length, 1e-12))


def _skin(
    solid: Solid, colours: Image, matte: NDArray[np.float32], cell: float, budget: int, seed: int
) -> Gaussians:
    """Discs over the parts of the surface that the camera sees at a slant or not at all, a little below the surface."""
    mesh = trimesh.Trimesh(solid.vertices, solid.faces, process=False)
    metres = (
        float(np.mean(np.linalg.norm(solid.vertices - solid.camera.position, axis=1))) / solid.camera.K[0, 0]
    )
    spacing = max(cell * metres, float(np.sqrt(mesh.area / max(1, budget))))
    points, face = trimesh.sample.sample_surface(mesh, int(8 * mesh.area / spacing**2), seed=seed)
    key = np.floor(points / spacing).astype(np.int64)
    _, first = np.unique(key, axis=0, return_index=True)
    points, normals = points[first], _smooth_normals(mesh, points[first], face[first])
    views = points - solid.camera.position
    cosine = -(views * normals).sum(1) / np.linalg.norm(views, axis=1)
    kept = cosine < FRONT_ENOUGH
    points, normals = points[kept], normals[kept]
    first, second = (spacing * axis for axis in facing(normals))
    means = points - SKIN_INSET * spacing * normals
    means = _withdrawn(means, SKIN_SIGMA * first, SKIN_SIGMA * second, solid, matte, cell)
    colors = _colours_at(colours, solid.camera.project(means)[0])
    return tangent_discs(means, first, second, colors, SKIN_SIGMA)


def _withdrawn(
    means: Array, first: Array, second: Array, solid: Solid, matte: NDArray[np.float32], cell: float
) -> Array:
    """means [N, 3] moved across the view until discs of half axes ``first``, ``second`` [N, 3] m stay inside the matte, so that
    the skin never shows around the object's outline in the picture."""
    inside = (matte > 0.5).astype(np.uint8)
    depth_inside = cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth_outside = cv2.distanceTransform(np.pad(1 - inside, 1, constant_values=1), cv2.DIST_L2, 5)[
        1:-1, 1:-1
    ]
    field = cv2.GaussianBlur(depth_inside - depth_outside, (0, 0), 1.5).astype(np.float64)
    slope = np.gradient(field)
    rotation = solid.camera.world_to_camera[:3, :3]
    for _ in range(2):
        pixels, depth = solid.camera.project(means)
        place = (pixels - 0.5).T[::-1]
        gap = map_coordinates(field, place, order=1, mode="nearest")
        inward = np.stack(
            [map_coordinates(g, place, order=1, mode="nearest") for g in (slope[1], slope[0])], 1
        )
        inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-6)
        scale = (solid.camera.K[0, 0] / depth)[:, None]
        reach = np.hypot(*(((axis @ rotation.T)[:, :2] * scale * inward).sum(1) for axis in (first, second)))
        missing = np.maximum(SKIN_CLEARANCE * reach + 0.5 * cell - gap, 0.0)[:, None]
        means = means + (missing / scale * inward) @ rotation[:2]
    return means


def _smooth_normals(mesh: trimesh.Trimesh, points: Array, face: NDArray[np.int64]) -> Array:
    """[N, 3] unit normals at points [N, 3] on faces [N], smoothed over the neighbours of each vertex."""
    normals = np.asarray(mesh.vertex_normals, dtype=np.float64)
    edges = mesh.edges
    for _ in range(NORMAL_SMOOTHINGS):
        total = normals.copy()
        np.add.at(total, edges[:, 0], normals[edges[:, 1]])
        np.add.at(total, edges[:, 1], normals[edges[:, 0]])
        normals = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[face], points)
    result = (normals[mesh.faces[face]] * np.nan_to_num(weights, nan=1 / 3)[:, :, None]).sum(1)
    return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-12)


def _interior(
    solid: Solid, colours: Image, particles: Array, spacing: float, sub_gaussians: int, seed: int
) -> Gaussians:
    """Round splats in and around each particle, small near the surface so that they stay hidden until matter parts."""
    rng = np.random.default_rng(seed)
    means = np.repeat(particles, sub_gaussians, 0)
    if sub_gaussians > 1:
        means = means + rng.uniform(-0.4, 0.4, means.shape) * spacing
    mesh = trimesh.Trimesh(solid.vertices, solid.faces, process=False)
    surface, _ = trimesh.sample.sample_surface(mesh, max(2000, int(6 * mesh.area / spacing**2)), seed=seed)
    away, _ = cKDTree(surface).query(means)
    size = INTERIOR_SIGMA * spacing / sub_gaussians ** (1 / 3)
    radii = np.clip(away / INTERIOR_CLEARANCE, 0.1 * size, size)
    soft = blurred(colours, max(1.0, 0.004 * colours.shape[1]))
    return balls(means, radii, _colours_at(soft, solid.camera.project(means)[0]))


def _colours_at(colours: Image, pixels: Array) -> Array:
    """[N, 3] colours [H, W, 3] at pixels [N, 2]."""
    x = np.clip(pixels[:, 0].astype(int), 0, colours.shape[1] - 1)
    y = np.clip(pixels[:, 1].astype(int), 0, colours.shape[0] - 1)
    return colours[y, x].astype(np.float64)
