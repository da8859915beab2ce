"""Small pictures whose truth is known, and the example pictures where they are at hand."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.camera import camera_at
from perpetua.scene.cameras import Camera

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import ``drawn_captures``

PITCH_DEGREES = 8.0
RADIUS = 0.3
DISTANCE = 4.5
WALL = 7.0
SAMPLES = 3


@dataclass(frozen=True)
class StillLife:
    """A ball of RADIUS that touches the plane at (0, DISTANCE, 0), seen from (0, 0, 1); matte is its true coverage."""

    picture: Picture
    matte: NDArray[np.float32]
    camera: Camera
    click: tuple[float, float]
    radius: float = RADIUS
    distance: float = DISTANCE
    wall: float = WALL
    pitch_degrees: float = PITCH_DEGREES

    @property
    def horizon_y(self) -> float:
        return self.camera.height / 2 - self.camera.K[0, 0] * math.tan(math.radians(self.pitch_degrees))


def draw_still_life(width: int, height: int, darkest: float = 0.55) -> StillLife:
    """Ray trace the ball, a planked table and a patterned wall, with SAMPLES^2 rays a pixel. darkest: share of the light that
    the ball's shadow on the table leaves."""
    focal = 0.5 * width / math.tan(math.radians(20.0))
    camera = camera_at(math.radians(PITCH_DEGREES), focal, width, height)
    v, u = np.meshgrid(
        (np.arange(height * SAMPLES) + 0.5) / SAMPLES,
        (np.arange(width * SAMPLES) + 0.5) / SAMPLES,
        indexing="ij",
    )
    rays = camera.rays(np.stack([u.ravel(), v.ravel()], 1))
    start = camera.position
    centre = np.array([0.0, DISTANCE, RADIUS])
    a, b = (rays**2).sum(1), (rays * (start - centre)).sum(1)
    c = ((start - centre) ** 2).sum() - RADIUS**2
    root = b**2 - a * c
    ball = root > 0
    normal = (start + ((-b - np.sqrt(np.maximum(root, 0))) / a)[:, None] * rays - centre) / RADIUS
    table_depth = np.where(rays[:, 2] < 0, -1.0 / np.minimum(rays[:, 2], -1e-9), np.inf)
    wall_depth = WALL / rays[:, 1]
    hit = start + np.minimum(table_depth, wall_depth)[:, None] * rays
    on_table = table_depth < wall_depth
    planks = 0.06 * np.sin(14 * hit[:, 1]) + 0.02 * np.sin(3 * hit[:, 0])
    shade = np.clip(np.hypot(hit[:, 0], hit[:, 1] - DISTANCE) / (1.4 * RADIUS), darkest, 1.0)
    table = (np.array([0.78, 0.66, 0.36]) + planks[:, None]) * shade[:, None]
    stripes = 0.08 * np.sin(6 * hit[:, 0]) * np.cos(5 * hit[:, 2])
    wall = np.array([0.35, 0.55, 0.5]) + stripes[:, None]
    light = 0.55 + 0.45 * np.clip(normal @ np.array([0.3, -0.5, 0.81]), 0, 1)
    red = np.array([0.75, 0.25, 0.3]) * light[:, None] + 0.04 * np.sin(40 * normal[:, :1])
    color = np.where(ball[:, None], red, np.where(on_table[:, None], table, wall))
    shape = (height, SAMPLES, width, SAMPLES)
    rgb = color.reshape(*shape, 3).mean((1, 3))
    matte = ball.reshape(shape).mean((1, 3)).astype(np.float32)
    click, _ = camera.project(centre[None])
    picture = Picture(np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8), 1.0, None, Path("still_life.png"))
    return StillLife(picture, matte, camera, (float(click[0, 0]), float(click[0, 1])))


@pytest.fixture(scope="session")
def still_life() -> StillLife:
    return draw_still_life(480, 272)


@pytest.fixture(scope="session")
def unshaded() -> StillLife:
    """The same without the ball's shadow."""
    return draw_still_life(480, 272, 1.0)


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of example pictures: PERPETUA_EXAMPLES, or a folder of them beside the repository."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "examples"
    folder = Path(os.environ.get("PERPETUA_EXAMPLES", beside))
    if not (folder / "play_doh.png").is_file():
        pytest.skip("the example pictures are not here; set PERPETUA_EXAMPLES to their folder")
    return folder
