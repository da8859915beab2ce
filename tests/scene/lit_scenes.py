"""A ball on a table in a known light, painted pixel by pixel, and blocks of particles."""

from __future__ import annotations

import numpy as np
import torch
import trimesh

from perpetua.scene import Binding, Body, Camera, Gaussians, Particles, Scene
from perpetua.scene.presets import PRESETS

RADIUS, SPACING = 0.05, 0.01
WIDTH, TALL = 160, 120


def camera() -> Camera:
    """Half a metre in front of the ball and a little above it."""
    eye, target = np.array([0.0, -0.5, 0.2]), np.array([0.0, 0.0, RADIUS])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.array([1.0, 0.0, 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    pose[:3, 3] = eye
    K = np.array([[300.0, 0, WIDTH / 2], [0, 300.0, TALL / 2], [0, 0, 1]])
    return Camera(K, np.linalg.inv(pose), WIDTH, TALL, "front", "front")


def painted(towards: np.ndarray, ambient: float, lamp: float, spots: float = 0.0):
    """Picture [H, W, 3] uint8 and matte [H, W] of the ball in sRGB, with spots darker by the share ``spots``."""
    view = camera()
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(TALL) + 0.5)
    rays = view.rays(np.stack([x.ravel(), y.ravel()], 1))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    to = np.array([0.0, 0.0, RADIUS]) - view.position
    along = rays @ to
    inside = RADIUS**2 - (to @ to - along**2)
    hit = inside > 0
    points = (along - np.sqrt(np.maximum(inside, 0)))[:, None] * rays - to
    normal = points / RADIUS
    albedo = 0.5 * (1 - spots * (np.sin(40 * normal[:, 0]) * np.sin(40 * normal[:, 2]) > 0.2))
    linear = albedo * (ambient + lamp * np.clip(normal @ towards, 0, None))
    colour = 255 * (linear.clip(0, 1) ** (1 / 2.2))[:, None] * [1.0, 0.7, 0.5]
    picture = np.where(hit[:, None], colour, 120.0).reshape(TALL, WIDTH, 3).astype(np.uint8)
    return picture, hit.reshape(TALL, WIDTH).astype(np.float32)


def ball_scene(picture: np.ndarray, matte: np.ndarray) -> Scene:
    """The ball of that picture as a jelly, one splat a particle, on a grey table."""
    mesh = trimesh.creation.icosphere(4, RADIUS)
    mesh.apply_translation((0, 0, RADIUS))
    axis = np.arange(-RADIUS, RADIUS, SPACING) + SPACING / 2
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    points = points[np.linalg.norm(points, axis=1) <= RADIUS] + [0, 0, RADIUS]
    rest = torch.from_numpy(points).float()
    step = np.arange(-0.4, 0.4, 0.02)
    table = np.stack([*(a.ravel() for a in np.meshgrid(step, step)), np.full(len(step) ** 2, -0.002)], 1)
    return Scene(
        splats(torch.from_numpy(table).float(), 0.014, 0.6, flat=True),
        splats(rest, 0.006, 0.5),
        Binding.to_nearest(rest, rest, torch.arange(len(rest))),
        Particles.at_rest(points.astype(np.float32), np.zeros(len(points), np.int32)),
        [Body("ball", PRESETS["jelly"], np.array(mesh.vertices), np.array(mesh.faces))],
        SPACING,
        camera(),
        picture,
        matte,
        np.array([0.0, 0.0, RADIUS]),
    )


def splats(means: torch.Tensor, size: float, grey: float, flat: bool = False) -> Gaussians:
    count = len(means)
    scales = torch.full((count, 3), size)
    if flat:
        scales[:, 2] = 0.0005
    return Gaussians.from_colors(
        means, torch.tensor([1.0, 0, 0, 0]).repeat(count, 1), scales,
        torch.full((count,), 0.97), torch.full((count, 3), grey),
    )  # fmt: skip


def block(size: tuple[float, float, float], corner: tuple[float, float, float], spacing: float) -> np.ndarray:
    """Particles [n, 3] m that fill a box from its lower ``corner``."""
    axes = [c + (np.arange(round(s / spacing)) + 0.5) * spacing for c, s in zip(corner, size, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
