"""Scenes made without a picture: bodies filled with particles and dressed in splats of a pattern, on a checked table before a wall.

Everything about them is known, so nothing that a reconstruction gets wrong stands between the loop and what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene
from perpetua.scene.cameras import inverse
from perpetua.scene.materials import Material

FOCAL_WIDTHS = 1.1
"""Focal length of the cameras in picture widths: 49 degrees."""
DISTANCE, ELEVATION_DEGREES = 0.48, 24.0
"""Of the cameras from the scene's centre: m, and above the horizon."""
SKIN_PER_SPACING = 2.2
"""Splats on a body's surface for each particle spacing along it."""
SKIN_SIGMA, INSIDE_SIGMA = 0.38, 0.35
"""Standard deviations of the splats on a surface and of the one in each particle, in particle spacings."""
ROOM_RADIUS, ROOM_HEIGHT, ROOM_STEP = 0.75, 0.6, 0.03
"""Table and round wall, m."""


@dataclass(frozen=True)
class Solid:
    """A body to be: a convex closed surface at rest (m) or, for cloth, a sheet whose corners become its particles."""

    name: str
    material: Material
    mesh: trimesh.Trimesh
    colour: tuple[float, float, float]
    resting: bool = True


def ball(radius: float, centre: tuple[float, float, float]) -> trimesh.Trimesh:
    """A ball, m."""
    return trimesh.creation.icosphere(subdivisions=3, radius=radius).apply_translation(centre)


def block(size: tuple[float, float, float], centre: tuple[float, float, float]) -> trimesh.Trimesh:
    """A box with sides along the axes, m."""
    return trimesh.creation.box(size).apply_translation(centre)


def drum(radius: float, height: float, centre: tuple[float, float, float]) -> trimesh.Trimesh:
    """An upright cylinder, m."""
    return trimesh.creation.cylinder(radius, height, sections=48).apply_translation(centre)


def hanging_sheet(width: float, height: float, top: float, spacing: float) -> trimesh.Trimesh:
    """An upright sheet across the front camera's view, m, its diagonals in turns."""
    n, m = round(width / spacing) + 1, round(height / spacing) + 1
    a, b = np.meshgrid(np.linspace(-0.5, 0.5, n), np.linspace(0, 1, m), indexing="ij")
    vertices = np.stack([a * width, np.zeros_like(a), top - b * height], -1).reshape(-1, 3)
    i = np.arange(n * m).reshape(n, m)
    p, q, r, s = i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]
    odd = np.add.outer(np.arange(n - 1), np.arange(m - 1)) % 2 == 1
    corners = [(p, q, r, ~odd), (p, r, s, ~odd), (p, q, s, odd), (q, r, s, odd)]
    faces = np.concatenate([np.stack(corner, -1)[where] for *corner, where in corners])
    return trimesh.Trimesh(vertices, faces, process=False)


def make_scene(solids: list[Solid], spacing: float, width: int, height: int) -> Scene:
    """The scene of ``solids``, with particles ``spacing`` m apart and a front camera of ``width`` x ``height`` pixels."""
    points, splats, owners = [], [], []
    count = 0
    for index, solid in enumerate(solids):
        inside = _particles(solid, spacing)
        skin = _skin(solid, spacing, index)
        means = skin if solid.material.model == "cloth" else np.concatenate([skin, inside])
        sigma = np.full(len(means), SKIN_SIGMA * spacing)
        sigma[len(skin) :] = INSIDE_SIGMA * spacing
        splats.append(_balls(means, sigma, _pattern(means, solid)))
        owners.append(torch.from_numpy(cKDTree(inside).query(means)[1].astype(np.int64) + count))
        points.append(inside)
        count += len(inside)
    positions = np.concatenate(points).astype(np.float32)
    body = np.repeat(np.arange(len(solids), dtype=np.int32), [len(p) for p in points])
    foreground = Gaussians.cat(splats)
    centre = 0.5 * (positions.min(0) + positions.max(0)).astype(np.float64)
    return Scene(
        background=_room(),
        foreground=foreground,
        binding=Binding.to_nearest(foreground.means, torch.from_numpy(positions), torch.cat(owners)),
        particles=Particles.at_rest(positions, body),
        bodies=[
            Body(s.name, s.material, np.asarray(s.mesh.vertices), np.asarray(s.mesh.faces), s.resting)
            for s in solids
        ],
        spacing=spacing,
        camera=look(centre, 0.0, width, height, "front", "front"),
        picture=np.zeros((height, width, 3), np.uint8),
        matte=np.zeros((height, width), np.float32),
        centre=centre,
    )


def look(
    centre: NDArray,
    degrees: float,
    width: int,
    height: int,
    name: str,
    role: str = "side",
    elevation: float = ELEVATION_DEGREES,
) -> Camera:
    """A camera that looks at ``centre`` [3] m from ``degrees`` to the front's right, ``elevation`` degrees above the horizon."""
    rise = np.radians(elevation)
    forward = np.array([0.0, np.cos(rise), -np.sin(rise)])
    right = np.array([1.0, 0.0, 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    pose[:3, 3] = centre - DISTANCE * forward
    focal = FOCAL_WIDTHS * width
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Camera(K, inverse(pose), width, height).orbited(degrees, centre, name, role)


def _particles(solid: Solid, spacing: float) -> NDArray[np.float64]:
    """[p, 3] m: the corners of cloth; else a lattice of cell centres inside the convex surface."""
    if solid.material.model == "cloth":
        return np.asarray(solid.mesh.vertices, np.float64)
    low, high = solid.mesh.bounds
    sides = [
        (np.arange(np.ceil((h - lo) / spacing)) + 0.5) * spacing + lo for lo, h in zip(low, high, strict=True)
    ]
    points = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3)
    outside = np.einsum("pi,fi->pf", points, solid.mesh.face_normals) - np.einsum(
        "fi,fi->f", solid.mesh.face_normals, solid.mesh.triangles[:, 0]
    )
    return points[(outside <= 1e-9).all(1)]


def _skin(solid: Solid, spacing: float, seed: int) -> NDArray[np.float64]:
    """[n, 3] m: points spread over the surface."""
    count = int(solid.mesh.area * (SKIN_PER_SPACING / spacing) ** 2)
    points, _ = trimesh.sample.sample_surface(solid.mesh, count, seed=seed)
    return np.asarray(points)


def _pattern(points: NDArray, solid: Solid) -> NDArray[np.float64]:
    """[n, 3]: the body's colour with waves a few centimetres long and light from above, so that every place looks different."""
    u = points - solid.mesh.bounds[0]
    waves = np.sin(u @ np.array([[190.0, 60.0, -80.0], [-70.0, 150.0, 110.0], [120.0, -100.0, 170.0]]).T)
    light = 0.75 + 0.25 * u[:, 2:] / max(float(np.ptp(solid.mesh.bounds[:, 2])), 1e-9)
    return (np.array(solid.colour) * light * (1 + 0.3 * waves)).clip(0.02, 0.98)


def _room() -> Gaussians:
    """A table with a check pattern and a wall around it."""
    axis = np.arange(-ROOM_RADIUS, ROOM_RADIUS, ROOM_STEP)
    x, y = (a.ravel() for a in np.meshgrid(axis, axis))
    table = np.stack([x, y, np.full_like(x, -0.5 * ROOM_STEP)], 1)
    table = table[np.hypot(x, y) < ROOM_RADIUS]
    checks = (np.floor(table[:, 0] / 0.09) + np.floor(table[:, 1] / 0.09))[:, None] % 2 == 0
    turn = np.arange(0, 2 * np.pi, ROOM_STEP / ROOM_RADIUS)
    a, z = (v.ravel() for v in np.meshgrid(turn, np.arange(0, ROOM_HEIGHT, ROOM_STEP)))
    wall = np.stack([ROOM_RADIUS * np.cos(a), ROOM_RADIUS * np.sin(a), z], 1)
    stripes = 0.5 + 0.12 * np.sin(8 * a)[:, None] * np.array([1.0, 0.6, -0.5]) + 0.2 * z[:, None]
    colors = np.concatenate([np.where(checks, [0.62, 0.55, 0.47], [0.36, 0.38, 0.42]), stripes.clip(0, 1)])
    means = np.concatenate([table, wall])
    return _balls(means, np.full(len(means), 0.55 * ROOM_STEP), colors)


def _balls(means: NDArray, sigma: NDArray, colors: NDArray) -> Gaussians:
    count = len(means)
    return Gaussians.from_colors(
        torch.tensor(means, dtype=torch.float32),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        torch.tensor(sigma, dtype=torch.float32)[:, None].repeat(1, 3),
        torch.full((count,), 0.92),
        torch.tensor(colors, dtype=torch.float32),
    )
