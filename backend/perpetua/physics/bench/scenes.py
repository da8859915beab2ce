"""What the physics is measured on: a standing block of one material, or a sheet of cloth that falls; nothing to see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua.physics.api import RoundPlan
from perpetua.scene.scene import Scene
from perpetua_protocol.take import MaterialSpec, Round

SIDE_M = 0.1
"""m, edge of the block."""

FPS = 24.0
GRAVITY = (0.0, 0.0, -9.81)


def block(preset: str, particles: int, side: float = SIDE_M) -> Scene:
    """A cube of ``side`` m of the material on the plane, of about so many particles; of cloth a square above the plane, whose
    particles are its vertices."""
    import torch

    from perpetua.scene import Binding, Body, Camera, Gaussians, Particles
    from perpetua.scene.materials import resolve

    material = resolve(MaterialSpec(preset))
    if material.model == "cloth":
        vertices, faces, spacing = _square(particles, side)
        positions = vertices
    else:
        vertices, faces = _cube(side)
        count = max(2, round(particles ** (1 / 3)))
        spacing = side / count
        axis = (np.arange(count) + 0.5) * spacing
        grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
        positions = grid - [side / 2, side / 2, 0.0]
    body = Body(preset, material, vertices, faces)
    nothing = Gaussians(*(torch.zeros(shape) for shape in ((0, 3), (0, 4), (0, 3), (0,), (0, 1, 3))))
    return Scene(
        nothing,
        nothing,
        Binding(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3), torch.tensor(1e-6)),
        Particles.at_rest(positions.astype(np.float32), np.zeros(len(positions), np.int32)),
        [body],
        spacing,
        Camera(np.eye(3), np.eye(4), 2, 2),
        np.zeros((2, 2, 3), np.uint8),
        np.zeros((2, 2), np.float32),
        np.zeros(3),
    )


def plan(frames: int) -> RoundPlan:
    """A round of nothing but gravity."""
    return RoundPlan(Round(frames), 0, FPS, GRAVITY)


def _cube(side: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    import trimesh

    box = trimesh.creation.box((side, side, side))
    box.apply_translation((0.0, 0.0, side / 2))
    return np.array(box.vertices), np.array(box.faces)


def _square(particles: int, side: float) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Vertices, faces and spacing of a square sheet at the height of its side."""
    count = max(2, round(particles**0.5))
    axis = np.linspace(-side / 2, side / 2, count)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + count, corner + 1], 1),
            np.stack([corner + 1, corner + count, corner + count + 1], 1),
        ]
    )
    return np.stack([x.ravel(), y.ravel(), np.full(count * count, side)], 1), faces, side / (count - 1)
