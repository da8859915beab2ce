"""Matter for a field: particles at even spacing that reach into thin parts too, or a sheet for cloth."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.particles import JITTER, MAX_PARTICLES
from perpetua.reconstruct.sheet import FEWEST, triangles
from perpetua.reconstruct.surface.fusion import Field

Array = NDArray[np.float64]

REACH = 1.05
"""Farthest, in spacings, that matter may be from a particle: somewhat more than half the diagonal of a lattice cell, so that
rounded corners get none more."""
FEWEST_PARTICLES = 8
SHIFTS = (0.0, 0.25, 0.5, 0.75)
"""Of a spacing, that the lattice may be shifted by along each axis."""


def volume_of(field: Field) -> float:
    """m^3 inside, by the signed distance at the voxels' centres: each counts by how much of it lies inside."""
    share = np.clip(0.5 - field.values.astype(np.float64) / field.voxel, 0.0, 1.0)
    return float(share.sum() * field.voxel**3)


def fill_field(field: Field, spacing: float, name: str, seed: int, floor: float | None = None) -> Array:
    """[P, 3] m: a cubic lattice with a little jitter, of ``spacing`` m, and in parts that it misses single particles. With a ``floor``
    the lowest layer lies half a spacing above it.

    Raises ``ReconstructionError`` if the spacing leaves the object empty or asks for millions.
    """
    expected = volume_of(field) / spacing**3
    if expected > MAX_PARTICLES:
        raise ReconstructionError(
            f"The particle spacing asks for {expected:.0f} particles in '{name}'; raise it (it is in metres)."
        )
    points = _all(field, spacing, floor)
    if len(points) < FEWEST_PARTICLES:
        raise ReconstructionError(
            f"The particle spacing leaves only {len(points)} particles in '{name}'; lower it or raise the particle count."
        )
    shift = np.random.default_rng(seed).uniform(-JITTER, JITTER, points.shape) * spacing
    if floor is not None:
        shift[points[:, 2] < floor + 0.75 * spacing, 2] = 0.0  # the lowest layer stays level
    moved = points + shift
    return np.where((field.at(moved) < 0)[:, None], moved, points)


def spacing_of(fields: list[Field], floors: list[float | None], count: int) -> float:
    """The spacing, m, at which about ``count`` particles fill ``fields``."""
    spacing = (sum(volume_of(field) for field in fields) / count) ** (1 / 3)
    for _ in range(3):
        found = sum(len(_all(f, spacing, z)) for f, z in zip(fields, floors))
        spacing *= 0.7 if found == 0 else (found / count) ** (1 / 3)
    return float(spacing)


def _all(field: Field, spacing: float, floor: float | None) -> Array:
    points = _lattice(field, spacing, floor)
    return np.concatenate([points, _thin(field, points, spacing)])


def _lattice(field: Field, spacing: float, floor: float | None) -> Array:
    """The lattice's points inside, [P, 3] m: of lattices shifted by SHIFTS of a spacing, the one whose particles together have the
    field's volume best, since flat sides would otherwise gain or lose a whole layer."""
    wanted = volume_of(field) / spacing**3
    rising = (0.0,) if floor is not None else SHIFTS
    tried = [
        _shifted_lattice(field, spacing, floor, np.array([x, y, z]))
        for x, y, z in itertools.product(SHIFTS, SHIFTS, rising)
    ]
    return min(tried, key=lambda points: abs(len(points) - wanted))


def _shifted_lattice(field: Field, spacing: float, floor: float | None, shift: Array) -> Array:
    low = field.origin
    high = low + field.voxel * (np.array(field.values.shape) - 1)
    first = low + 0.5 * ((high - low) % spacing) - shift * spacing
    if floor is not None:
        first[2] = max(floor + spacing * (np.floor((low[2] - floor) / spacing) + 0.5), floor + 0.5 * spacing)
    axes = [np.arange(a, b, spacing) for a, b in zip(first, high)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return points[field.at(points) < 0]


def _thin(field: Field, points: Array, spacing: float) -> Array:
    """[n, 3] m more particles, where matter lies farther than REACH from all ``points``: the deepest voxels first, none nearer to
    another than a spacing."""
    inside = np.flatnonzero(field.values.ravel() < 0)
    matter = field.centres()[inside]
    if len(points):
        far = cKDTree(points).query(matter, distance_upper_bound=REACH * spacing)[0] > REACH * spacing
        matter, inside = matter[far], inside[far]
    if not len(matter):
        return np.empty((0, 3))
    matter = matter[np.argsort(field.values.ravel()[inside], kind="stable")]
    tree, free, chosen = cKDTree(matter), np.ones(len(matter), bool), []
    for index in range(len(matter)):
        if free[index]:  # one query at a time: all at once would hold every pair
            chosen.append(index)
            free[tree.query_ball_point(matter[index], spacing)] = False
    return matter[chosen]


def sheet_of_field(field: Field, spacing: float, name: str) -> tuple[Array, NDArray[np.int64]]:
    """Corners [P, 3] m and triangles [F, 3] of the sheet half way through a thin field, ``spacing`` m between neighbours, as seen across
    its broadest plane.

    Raises ``ReconstructionError`` if the spacing leaves too few corners.
    """
    matter = field.centres()[field.values.ravel() < 0]
    middle = matter.mean(0)
    axes = np.linalg.svd(matter - middle, full_matrices=False)[2]
    if np.linalg.det(axes) < 0:
        axes[2] = -axes[2]
    local = (matter - middle) @ axes.T
    low, high = local.min(0), local.max(0)
    u, v = (np.arange(a + 0.25 * field.voxel, b, spacing) for a, b in zip(low[:2], high[:2]))
    w = np.arange(low[2], high[2] + field.voxel, 0.5 * field.voxel)
    columns = np.stack(np.meshgrid(u, v, w, indexing="ij"), -1)
    inside = np.asarray(field.at(columns.reshape(-1, 3) @ axes + middle) < 0).reshape(columns.shape[:3])
    covered = np.asarray(inside.any(2))
    depth = (inside * w).sum(2) / np.maximum(inside.sum(2), 1)
    corners = np.concatenate([columns[:, :, 0, :2], depth[..., None]], -1).reshape(-1, 3) @ axes + middle
    used, faces = np.unique(triangles(covered), return_inverse=True)
    if len(used) < FEWEST:
        raise ReconstructionError(
            f"The particle spacing leaves only {len(used)} points in the cloth '{name}'; lower it or raise the particle count."
        )
    return corners[used], faces.reshape(-1, 3).astype(np.int64)
