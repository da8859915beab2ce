"""Captures of simple solids drawn by tracing rays, so that every depth, mask and pose is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.scene.cameras import Camera

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ball:
    centre: tuple[float, float, float]
    radius: float

    def hit(self, start: Array, rays: Array) -> Array:
        away = start - np.array(self.centre)
        a, b = (rays**2).sum(1), rays @ away
        root = b**2 - a * (away @ away - self.radius**2)
        first = (-b - np.sqrt(np.maximum(root, 0))) / a
        return np.where((root > 0) & (first > 0), first, np.inf)


@dataclass(frozen=True)
class Box:
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def hit(self, start: Array, rays: Array) -> Array:
        safe = np.where(np.abs(rays) < 1e-12, 1e-12, rays)
        a, b = ((np.array(corner) - start) / safe for corner in (self.low, self.high))
        enter, leave = np.minimum(a, b).max(1), np.maximum(a, b).min(1)
        return np.where((leave > enter) & (enter > 0), enter, np.inf)


def looking(place: Array, at: Array, width: int, height: int, fov: float = 40.0) -> Camera:
    back = place - at
    back = back / np.linalg.norm(back)
    right = np.cross([0, 0, 1.0], back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(back, right), back, place], 1)
    return Camera.from_blender(matrix, fov, width, height)


def ring(count: int, radius: float, at: Array, width: int, height: int, turn: float = 0.0) -> list[Camera]:
    """Cameras around ``at``, the first in front of it (at -Y), at three heights by turns."""
    made = []
    for index in range(count):
        angle = -np.pi / 2 + 2 * np.pi * (index + turn) / count
        up = np.radians((16, 38, 60)[index % 3])
        away = np.array([np.cos(angle) * np.cos(up), np.sin(angle) * np.cos(up), np.sin(up)])
        made.append(looking(at + radius * away, at, width, height))
    return made


def paint(points: Array, thing: int) -> Array:
    """[N, 3] colours: soft stripes, of another colour for each thing."""
    wave = 0.5 + 0.5 * np.sin(90 * points + 7 * thing)
    tint = np.array([[0.35, 0.25, 0.2], [0.75, 0.3, 0.2], [0.2, 0.5, 0.75]])[thing + 1]
    return np.clip(tint + 0.16 * (wave - 0.5), 0, 1)


def grained(points: Array, thing: int) -> Array:
    """[N, 3] colours: noise of three sizes that never repeats, as features are found on; of another tint for each thing."""
    table = np.random.default_rng(thing + 1).random((3, 32, 32, 32, 3))
    colors = np.tile(
        np.array([[0.45, 0.4, 0.35], [0.7, 0.35, 0.25], [0.3, 0.5, 0.65]])[thing + 1], (len(points), 1)
    )
    for octave, size in enumerate((0.05, 0.02, 0.009)):
        place = points / size + 1000
        cell, (x, y, z) = np.floor(place).astype(int), np.modf(place)[0].T
        for dx, dy, dz in np.ndindex(2, 2, 2):
            weight = np.abs(1 - dx - x) * np.abs(1 - dy - y) * np.abs(1 - dz - z)
            corner = (cell + np.array([dx, dy, dz])) % 32
            colors += weight[:, None] * 0.35 * (table[octave][tuple(corner.T)] - 0.5)
    return np.clip(colors, 0, 1)


def seen_by(
    camera: Camera,
    name: str,
    solids: dict[str, list[Ball | Box]],
    paint: Callable[[Array, int], Array] = paint,
) -> CapturedView:
    """What a camera sees of ``solids`` (by object) on the plane z = 0, which ends 0.7 m from the origin; beyond is sky."""
    v, u = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = camera.rays(np.stack([u, v], -1).reshape(-1, 2))
    start = camera.position
    floor = np.where(rays[:, 2] < -1e-9, -start[2] / np.minimum(rays[:, 2], -1e-9), np.inf)
    ground = start + np.where(np.isfinite(floor), floor, 0.0)[:, None] * rays
    depth = np.where(np.linalg.norm(ground[:, :2], axis=1) < 0.7, floor, np.inf)
    thing = np.full(len(rays), -1, np.int32)
    for index, parts in enumerate(solids.values()):
        for part in parts:
            hit = part.hit(start, rays)
            thing[hit < depth] = index
            depth = np.minimum(depth, hit)
    points = start + np.where(np.isfinite(depth), depth, 0.0)[:, None] * rays
    rgb = np.full((len(rays), 3), (0.6, 0.7, 0.8))
    for index in range(-1, len(solids)):
        own = (thing == index) & np.isfinite(depth)
        rgb[own] = paint(points[own], index)
    shape = (camera.height, camera.width)
    return CapturedView(
        name,
        camera,
        np.rint(rgb * 255).astype(np.uint8).reshape(*shape, 3),
        depth.reshape(shape).astype(np.float32),
        thing.reshape(shape),
    )


def capture_of(
    solids: dict[str, list[Ball | Box]],
    views: int = 14,
    size: tuple[int, int] = (96, 72),
    radius: float = 0.5,
    at: tuple[float, float, float] = (0, 0, 0.05),
    held_out: int = 0,
    change: Callable[[CapturedView], CapturedView] = lambda view: view,
    paint: Callable[[Array, int], Array] = paint,
) -> Capture:
    middle = np.array(at)
    train = ring(views, radius, middle, *size)
    test = ring(held_out, radius, middle, *size, 0.37) if held_out else []
    return Capture(
        tuple(change(seen_by(camera, f"{i}.png", solids, paint)) for i, camera in enumerate(train)),
        0,
        tuple(seen_by(camera, f"test_{i}.png", solids, paint) for i, camera in enumerate(test)),
        tuple(solids),
        True,
    )
