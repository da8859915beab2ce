"""A small world made by hand: a textured ball of particles on a checked table, seen from three sides."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve the rasteriser on few cores

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from perpetua.progress import Progress
from perpetua.render import render_layers
from perpetua.render.film import compose
from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene, Trajectory, deform
from perpetua.scene.presets import PRESETS
from perpetua_protocol.take import MaterialSpec

SPACING, RADIUS, HEIGHT = 0.012, 0.05, 0.055
WIDTH, TALL = 160, 96


def look_from(degrees: float, name: str, role: str = "side") -> Camera:
    """A camera 0.5 m from the ball, a little above it."""
    eye = np.array([0.0, -0.48, 0.16])
    forward = np.array([0, 0, HEIGHT]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    pose[:3, 3] = eye
    K = np.array([[170.0, 0, WIDTH / 2], [0, 170.0, TALL / 2], [0, 0, 1]])
    camera = Camera(K, np.linalg.inv(pose), WIDTH, TALL, name, role)
    return camera.orbited(degrees, np.array([0, 0, HEIGHT]), name, role) if degrees else camera


def ball_particles() -> np.ndarray:
    axis = np.arange(-RADIUS, RADIUS + SPACING, SPACING)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return (grid[np.linalg.norm(grid, axis=1) <= RADIUS] + [0, 0, HEIGHT]).astype(np.float32)


def ball_surface(count: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Points and colours of a ball's skin (Fibonacci lattice), in a pattern with detail in every direction."""
    i = np.arange(count) + 0.5
    z, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z**2)
    normal = np.stack([r * np.cos(turn), r * np.sin(turn), z], 1)
    colors = 0.5 + 0.35 * np.sin(normal * [9.0, 7.0, 8.0] + [0.0, 1.0, 2.0])
    return normal * RADIUS + [0, 0, HEIGHT], colors


def splats(points: np.ndarray, colors: np.ndarray, size: float) -> Gaussians:
    count = len(points)
    return Gaussians.from_colors(
        torch.tensor(points, dtype=torch.float32),
        torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        torch.full((count, 3), size),
        torch.full((count,), 0.9),
        torch.tensor(colors, dtype=torch.float32),
    )


@pytest.fixture(scope="session")
def make_scene() -> Callable[[str], Scene]:
    """scene of a ball made of the named preset."""

    def make(preset: str) -> Scene:
        points, colors = ball_surface()
        particles = ball_particles()
        skin = splats(points, colors, 0.004)
        nearest = torch.from_numpy(cKDTree(particles).query(points)[1].astype(np.int64))
        binding = Binding.to_nearest(skin.means, torch.from_numpy(particles), nearest)
        axis = np.arange(-0.5, 0.5, 0.025)
        x, y = (a.ravel() for a in np.meshgrid(axis, axis))
        table = np.stack([x, y, np.full_like(x, -0.012)], 1)
        checks = np.where(
            ((x * 10).round() + (y * 10).round())[:, None] % 2 == 0, [0.7, 0.6, 0.5], [0.3, 0.35, 0.4]
        )
        body = Body(
            "ball", PRESETS[MaterialSpec(preset).preset], np.zeros((0, 3)), np.zeros((0, 3), np.int64)
        )
        camera = look_from(0, "front", "front")
        return Scene(
            background=splats(table, checks, 0.015),
            foreground=skin,
            binding=binding,
            particles=Particles.at_rest(particles, np.zeros(len(particles), np.int32)),
            bodies=[body],
            spacing=SPACING,
            camera=camera,
            picture=np.zeros((TALL, WIDTH, 3), np.uint8),
            matte=np.zeros((TALL, WIDTH), np.float32),
            centre=np.array([0, 0, HEIGHT]),
        )

    return make


@pytest.fixture(scope="session")
def cameras() -> list[Camera]:
    return [look_from(0, "front", "front"), look_from(-30, "left"), look_from(30, "right")]


@pytest.fixture(scope="session")
def film() -> Callable[..., np.ndarray]:
    """The video [T+1, H, W, 3] of a trajectory, as the loop makes it."""

    @torch.no_grad()
    def make(
        scene: Scene, trajectory: Trajectory, camera: Camera, sh: np.ndarray | None = None
    ) -> np.ndarray:
        rest = scene.foreground if sh is None else replace(scene.foreground, sh=torch.from_numpy(sh))
        backdrop = render_layers(scene.background, camera)
        frames = []
        for positions, F in zip(trajectory.positions, trajectory.F, strict=True):
            moved = deform(rest, scene.binding, torch.from_numpy(positions), torch.from_numpy(F))
            frames.append(compose(render_layers(moved, camera), backdrop).rgb.clamp(0, 1).numpy())
        return np.stack(frames)

    return make


@pytest.fixture(scope="session")
def slide() -> Callable[[Scene, int], Trajectory]:
    """A simulator's motion: the ball slides 3 cm along x, without deforming."""

    def make(scene: Scene, frames: int) -> Trajectory:
        s = np.arange(frames + 1, dtype=np.float32) / frames
        shift = np.zeros((frames + 1, 1, 3), np.float32)
        shift[:, 0, 0] = 0.03 * s
        positions = scene.particles.positions[None] + shift
        eye = np.broadcast_to(np.eye(3, dtype=np.float32), (*positions.shape, 3)).copy()
        return Trajectory(positions, eye, np.arange(frames + 1) / 24.0)

    return make


@pytest.fixture
def quiet() -> Progress:
    return Progress()
