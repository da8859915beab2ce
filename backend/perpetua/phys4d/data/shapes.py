"""Shapes of the data's things: a surface to be seen, and particles to be simulated, at any spacing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray

from perpetua.phys4d.data.spec import Form

JITTER = 0.15
"""Spacings by which particles leave their lattice along each axis at most, so that what spreads forms no rows."""
RING = 0.3
"""Tube radius of a torus, of its whole width; unit shapes fit in a cube of 1."""
STONE_WAVES, STONE_DEPTH = 6, 0.16
TUBE_CORNERS = 8
ACROSS = 2
"""Columns of particles across a coarse rope, at least."""


@dataclass(frozen=True)
class Solid:
    """vertices [V, 3] m and faces [F, 3]: the surface, outward.  points: [P, 3] m.  depth: [P], m of each particle below the
    surface, roughly.  sheet: whether the particles are the vertices themselves (cloth).  skin: of a rope, the tube that is seen,
    vertices and faces, whose matter is the sheet's; else None."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    points: NDArray[np.float64]
    depth: NDArray[np.float64]
    sheet: bool = False
    skin: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None


def solid(form: Form, spacing: float) -> Solid:
    """The shape with particles ``spacing`` m apart, about the middle of its foot (z = 0)."""
    if form.kind == "sheet":
        return _sheet(form, spacing)
    if form.kind == "rope":
        return _rope(form, spacing)
    mesh, size = unit_mesh(form), np.asarray(form.size)
    mesh.apply_scale(size)
    axes = []
    for length in size:
        count = max(2, round(length / spacing))
        axes.append((np.arange(count) - (count - 1) / 2) * min(spacing, length / count))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    points = points[_depth(form, points / size) > 0]
    jitter = np.random.default_rng(form.seed).uniform(-JITTER, JITTER, points.shape) * spacing
    moved = points + jitter
    points = np.where((_depth(form, moved / size) > 0)[:, None], moved, points)
    depth = _depth(form, points / size) * size.min()
    lift = np.array([0.0, 0.0, size[2] / 2])
    return Solid(np.asarray(mesh.vertices) + lift, np.asarray(mesh.faces), points + lift, depth)


def unit_mesh(form: Form, fine: bool = True) -> trimesh.Trimesh:
    """The closed surface of the shape stretched to a cube of 1 about the origin; as it is seen, or with few corners, to be collided
    with."""
    ball, sections, cuts = (4, 48, 2) if fine else (2, 20, 0)
    if form.kind == "ball":
        mesh = trimesh.creation.icosphere(ball, 0.5)
    elif form.kind == "box":
        mesh = trimesh.creation.box((1, 1, 1))
    elif form.kind == "cylinder":
        mesh = trimesh.creation.cylinder(0.5, 1.0, sections=sections)
    elif form.kind == "cone":
        mesh = trimesh.creation.cone(0.5, 1.0, sections=sections)
        mesh.apply_translation((0, 0, -0.5))
    elif form.kind == "torus":
        mesh = trimesh.creation.torus(0.5 - RING / 2, RING / 2, major_sections=sections, minor_sections=20)
        mesh.apply_scale((1, 1, 1 / RING))
    else:
        mesh = trimesh.creation.icosphere(ball, 0.5)
        directions = np.asarray(mesh.vertices) / 0.5
        mesh.vertices = 0.5 * directions * _stone(form, directions)[:, None]
    if form.kind in ("box", "cylinder", "cone"):
        for _ in range(cuts + (1 if form.kind == "box" and fine else 0)):
            mesh = mesh.subdivide()
    return mesh


def hull_mesh(form: Form) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices [V, 3] m and faces [F, 3] of a solid with few corners, about the middle of its foot."""
    mesh = unit_mesh(form, fine=False).apply_scale(np.asarray(form.size))
    return np.add(mesh.vertices, (0.0, 0.0, form.size[2] / 2)), np.asarray(mesh.faces)


def volume(form: Form) -> float:
    """m^3 that particles of spacing^3 fill; of a sheet or rope 0."""
    if form.kind in ("sheet", "rope"):
        return 0.0
    return float(abs(unit_mesh(form).volume)) * float(np.prod(form.size))


def area(form: Form) -> float:
    """m^2 of a sheet's or rope's net; of a solid 0."""
    long, thick = max(form.size), sorted(form.size)[1]
    return long * thick if form.kind in ("sheet", "rope") else 0.0


def _depth(form: Form, points: NDArray) -> NDArray[np.float64]:
    """[P]: how far unit-cube ``points`` lie inside, in the cube's side, roughly; below zero outside."""
    x, y, z = points.T
    if form.kind == "ball":
        return np.asarray(0.5 - np.linalg.norm(points, axis=1))
    if form.kind == "box":
        return np.asarray(0.5 - np.abs(points).max(1))
    if form.kind == "cylinder":
        return np.minimum(0.5 - np.hypot(x, y), 0.5 - np.abs(z))
    if form.kind == "cone":
        return np.minimum(0.25 - 0.5 * z - np.hypot(x, y), 0.5 + z)
    if form.kind == "torus":
        return np.asarray(RING / 2 - np.hypot(np.hypot(x, y) - (0.5 - RING / 2), z * RING))
    length = np.linalg.norm(points, axis=1)
    return np.asarray(0.5 * _stone(form, points / np.maximum(length, 1e-9)[:, None]) - length)


def _stone(form: Form, directions: NDArray) -> NDArray[np.float64]:
    """[N]: radius along unit ``directions`` [N, 3], at most 1."""
    random = np.random.default_rng([form.seed, 7])
    waves = random.normal(0, 2.0, (STONE_WAVES, 3))
    phase = random.uniform(0, 2 * np.pi, STONE_WAVES)
    height = np.sin(directions @ waves.T + phase).mean(1)
    return np.asarray(1 - STONE_DEPTH + STONE_DEPTH * height)


def _sheet(form: Form, spacing: float) -> Solid:
    """A net of square cells; its diagonals alternate, so that it has no direction of its own."""
    upright = form.size[1] == 0.0
    vertices, faces = _net(form.size[0], form.size[2] if upright else form.size[1], spacing)
    if upright:
        vertices = vertices[:, [0, 2, 1]] + [0.0, 0.0, form.size[2] / 2]
    return Solid(vertices, faces, vertices, np.zeros(len(vertices)), sheet=True)


def _rope(form: Form, spacing: float) -> Solid:
    """A narrow band of cloth, and the tube around it that is seen."""
    upright = form.size[0] == 0.0
    long, thick = (form.size[2] if upright else form.size[0]), form.size[1]
    vertices, faces = _net(long, thick, min(spacing, thick / (ACROSS - 1)))
    along = np.linspace(-long / 2, long / 2, max(8, round(long / (0.5 * thick))))
    turn = np.linspace(0, 2 * np.pi, TUBE_CORNERS, endpoint=False)
    ring = 0.5 * thick * np.stack([np.cos(turn), np.sin(turn)], 1)
    tube = np.concatenate([np.repeat(along, TUBE_CORNERS)[:, None], np.tile(ring, (len(along), 1))], 1)
    i = np.arange(len(tube)).reshape(len(along), TUBE_CORNERS)
    a, b = i[:-1], np.roll(i, -1, 1)[:-1]
    c, d = np.roll(i, -1, 1)[1:], i[1:]
    sides = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    first, last = i[0], i[-1]
    fan = np.arange(1, TUBE_CORNERS - 1)
    ends = [
        np.stack([first[0] + 0 * fan, first[fan + 1], first[fan]], 1),
        np.stack([last[0] + 0 * fan, last[fan], last[fan + 1]], 1),
    ]
    skin_faces = np.concatenate([sides, *ends])
    if upright:
        vertices, tube = vertices[:, [2, 1, 0]], tube[:, [2, 1, 0]]
        lift = np.array([0.0, 0.0, long / 2])
        skin_faces = skin_faces[:, ::-1]
    else:
        lift = np.array([0.0, 0.0, thick / 2])
    vertices, tube = vertices + lift, tube + lift
    return Solid(vertices, faces, vertices, np.zeros(len(vertices)), sheet=True, skin=(tube, skin_faces))


def _net(x: float, y: float, spacing: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    n, m = max(2, round(x / spacing) + 1), max(2, round(y / spacing) + 1)
    a, b = np.meshgrid(np.linspace(-x / 2, x / 2, n), np.linspace(-y / 2, y / 2, m), indexing="ij")
    vertices = np.stack([a, b, np.zeros_like(a)], -1).reshape(-1, 3)
    i = np.arange(n * m).reshape(n, m)
    p, q, r, s = i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]
    odd = np.add.outer(np.arange(n - 1), np.arange(m - 1)) % 2 == 1
    corners = [((p, q, r), ~odd), ((p, r, s), ~odd), ((p, q, s), odd), ((q, r, s), odd)]
    faces = np.concatenate([np.stack(corner, -1)[where] for corner, where in corners])
    return vertices, faces
