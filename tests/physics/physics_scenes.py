"""Small scenes of particles for the physics tests: no picture, no splats."""

from __future__ import annotations

import numpy as np
import torch

from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene
from perpetua.scene.materials import Material, resolve
from perpetua_protocol.take import MaterialSpec


def ball_points(radius: float, spacing: float, centre: tuple[float, float, float]) -> np.ndarray:
    """[P, 3] m: a cubic lattice inside a ball."""
    n = int(np.ceil(radius / spacing))
    axis = (np.arange(-n, n + 1)) * spacing
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return points[np.linalg.norm(points, axis=1) <= radius + 1e-9] + centre


def box_points(
    size: tuple[float, float, float], spacing: float, corner: tuple[float, float, float]
) -> np.ndarray:
    """[P, 3] m: a cubic lattice of cell centres filling a box that stands on its ``corner``."""
    axes = [(np.arange(round(s / spacing)) + 0.5) * spacing for s in size]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) + corner


def material(preset: str, **changes: float) -> Material:
    return resolve(MaterialSpec(preset, **changes))


def scene_of(
    parts: list[tuple[str, Material, np.ndarray]],
    spacing: float,
    resting: bool = True,
    meshes: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> Scene:
    """A scene whose bodies are (name, material, points [P, 3])."""
    positions = np.concatenate([points for _, _, points in parts]).astype(np.float32)
    body = np.concatenate([np.full(len(points), i) for i, (_, _, points) in enumerate(parts)]).astype(
        np.int32
    )
    empty = (np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    bodies = [Body(name, mat, *(meshes or {}).get(name, empty), resting) for name, mat, _ in parts]
    nothing = Gaussians(*(torch.zeros(shape) for shape in ((0, 3), (0, 4), (0, 3), (0,), (0, 1, 3))))
    binding = Binding(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3), torch.tensor(1e-6))
    camera = Camera(np.eye(3), np.eye(4), 2, 2)
    return Scene(
        nothing,
        nothing,
        binding,
        Particles.at_rest(positions, body),
        bodies,
        spacing,
        camera,
        np.zeros((2, 2, 3), np.uint8),
        np.zeros((2, 2), np.float32),
        np.zeros(3),
    )
