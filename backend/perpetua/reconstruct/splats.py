"""An object as splats: its picture on the front, its continued colours around the sides and back, matter inside."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.reconstruct.cells import cover
from perpetua.reconstruct.discs import balls, facing, tangent_discs
from perpetua.reconstruct.solid import Solid
from perpetua.scene.gaussians import Gaussians

Array = NDArray[np.float64]
Image = NDArray[np.float32]

FRONT_BUDGET = 30_000
"""Most splats on the fronts of all objects."""
SKIN_BUDGET = 22_000
"""Most splats on the rest of their surfaces."""
MAX_STRETCH = 3.0
"""Longest a front splat may be along a slanted surface, in the size it has face on; the skin closes what is steeper."""
FRONT_ENOUGH = 0.4
"""Cosine to the view ray above which the front's own splats close the surface and no skin lies below them."""
SKIN_SIGMA = 0.75
"""Standard deviation of a skin splat in the skin's spacing."""
INTERIOR_SIGMA = 0.5
"""Standard deviation of an interior splat in the particles' spacing."""
INTERIOR_CLEARANCE = 3.0
"""Standard deviations an interior splat keeps from the surface, so that it is not seen while the object is whole."""


@dataclass(frozen=True)
class Skinned:
    """An object's splats. own: [N] bool, those that carry the picture's pixels.  pixels: [N, 2], where in the picture (full
    size) each is seen.  sides: [N] pixels."""

    splats: Gaussians
    own: NDArray[np.bool_]
    pixels: Array
    sides: Array


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
) -> Skinned:
    """Splats of one object. colours: [H, W, 3], its own colours continued past its edge; particles: [P, 3] m; share: of
    the budgets; sub_gaussians: interior splats a particle."""
    front, pixels, sides = _front(solid, colours, matte, splat_width, round(FRONT_BUDGET * share))
    cell = solid.camera.width / min(splat_width, solid.camera.width)
    skin = _skin(solid, colours, 1.5 * cell, round(SKIN_BUDGET * share), seed)
    inner = _interior(solid, colours, particles, spacing, sub_gaussians, seed)
    hidden = [skin, inner]
    rest = np.concatenate([part.means.numpy() for part in hidden]).astype(np.float64)
    count = len(front) + len(rest)
    own = np.zeros(count, bool)
    own[: len(front)] = True
    seen = solid.camera.project(rest)[0]
    return Skinned(
        Gaussians.cat([front, *hidden]),
        own,
        np.concatenate([pixels, seen]),
        np.concatenate([sides, np.full(len(rest), cell)]),
    )


def _front(
    solid: Solid, colours: Image, matte: NDArray[np.float32], splat_width: int, budget: int
) -> tuple[Gaussians, Array, Array]:
    """Discs on the front surface, one a cell of the picture, their pixels and their sides."""
    height, width = matte.shape
    columns = min(splat_width, width)
    rows = max(2, round(height * columns / width))
    step = np.array([width / columns, height / rows])
    small = cv2.resize(colours, (columns, rows), interpolation=cv2.INTER_AREA)
    covered = cv2.resize(matte, (columns, rows), interpolation=cv2.INTER_AREA)
    cells = cover(small, covered > 0.5, budget)
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
    return tangent_discs(means, along_u, along_v, colors), pixels, sides[:, 0]


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


def _skin(solid: Solid, colours: Image, cell: float, budget: int, seed: int) -> Gaussians:
    """Discs over the parts of the surface that the camera sees at a slant or not at all, a little below the surface."""
    mesh = trimesh.Trimesh(solid.vertices, solid.faces, process=False)
    metres = (
        float(np.mean(np.linalg.norm(solid.vertices - solid.camera.position, axis=1))) / solid.camera.K[0, 0]
    )
    spacing = max(cell * metres, float(np.sqrt(mesh.area / max(1, budget))))
    points, face = trimesh.sample.sample_surface(mesh, int(8 * mesh.area / spacing**2), seed=seed)
    key = np.floor(points / spacing).astype(np.int64)
    _, first = np.unique(key, axis=0, return_index=True)
    points, normals = points[first], mesh.face_normals[face[first]]
    views = points - solid.camera.position
    cosine = -(views * normals).sum(1) / np.linalg.norm(views, axis=1)
    kept = cosine < FRONT_ENOUGH
    points, normals = points[kept], normals[kept]
    means = points - 0.3 * spacing * normals
    first_axis, second_axis = facing(normals)
    colors = _colours_at(colours, solid.camera.project(points)[0])
    return tangent_discs(means, spacing * first_axis, spacing * second_axis, colors, SKIN_SIGMA)


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
    soft = cv2.GaussianBlur(colours, (0, 0), max(1.0, 0.004 * colours.shape[1]))
    return balls(means, radii, _colours_at(soft, solid.camera.project(means)[0]))


def _colours_at(colours: Image, pixels: Array) -> Array:
    """[N, 3] colours [H, W, 3] at pixels [N, 2]."""
    x = np.clip(pixels[:, 0].astype(int), 0, colours.shape[1] - 1)
    y = np.clip(pixels[:, 1].astype(int), 0, colours.shape[0] - 1)
    return colours[y, x].astype(np.float64)
