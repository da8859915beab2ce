"""How the colliders of a staged shot are seen: splats spread over their meshes, lit by the lamp, at their keyed places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation as Turn

from perpetua.scene import Gaussians
from perpetua.scene.actions import sample_rotation, sample_vector
from perpetua_protocol.actions import Collider, Mesh
from perpetua_protocol.take import Round, Vec3

COLOUR: Vec3 = (0.62, 0.65, 0.70)
"""Brushed metal."""
OVERLAP = 0.85
"""A splat's deviation, in distances to the next."""

Light = Callable[[NDArray], NDArray]
"""How bright faces of the unit normals [N, 3] are, [N]."""


@dataclass(frozen=True)
class Tool:
    """A collider of a round that lasts from frame ``first`` to ``last``. points, normals: [N, 3] in its own axes, m."""

    action: Collider
    first: int
    last: int
    points: NDArray
    normals: NDArray

    def seen(self, frame: int, size: float, light: Light) -> Gaussians:
        """Its splats, ``size`` m across, at a frame of the take."""
        turn = Turn.from_quat(sample_rotation(self.action.rotation, frame), scalar_first=True)
        means = turn.apply(self.points) + sample_vector(self.action.location, frame)
        bright = light(turn.apply(self.normals))[:, None] * np.asarray(COLOUR)
        count = len(means)
        return Gaussians.from_colors(
            torch.from_numpy(means).float(),
            torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
            torch.full((count, 3), size),
            torch.full((count,), 0.97),
            torch.from_numpy(bright).float().clamp(0, 1),
        )


def mesh_of(mesh: trimesh.Trimesh) -> Mesh:
    """``mesh`` as an action carries it."""
    return Mesh(tuple(map(tuple, mesh.vertices.tolist())), tuple(map(tuple, mesh.faces.tolist())))


def tools_of(rounds: tuple[Round, ...], spacing: float) -> list[Tool]:
    """The colliders of ``rounds``, with points some ``spacing`` m apart."""
    tools, first = [], 0
    for turn in rounds:
        for action in turn.actions:
            if isinstance(action, Collider):
                mesh = trimesh.Trimesh(np.asarray(action.mesh.vertices), np.asarray(action.mesh.faces))
                count = int(mesh.area / spacing**2) + 1
                # more than are wanted, then none nearer than that to another: sample_surface_even warns of just this
                points, face = trimesh.sample.sample_surface(mesh, 6 * count, seed=0)
                points, apart = trimesh.points.remove_close(points, 0.8 * spacing)
                normals = np.asarray(mesh.face_normals)[face[apart]]
                tools.append(Tool(action, first, first + turn.frames, np.asarray(points), normals))
        first += turn.frames
    return tools


def seen(tools: list[Tool], frame: int, spacing: float, light: Light) -> list[Gaussians]:
    """The splats of the tools that are there at a frame of the take; at a round's end its own, not those of the next."""
    there = [tool for tool in tools if tool.first < frame <= tool.last or frame == tool.first == 0]
    return [tool.seen(frame, OVERLAP * spacing, light) for tool in there]
