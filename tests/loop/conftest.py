"""A small picture with a ball on a table, and the take that plays it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perpetua_protocol.take import (
    CameraSpec,
    Click,
    MaterialSpec,
    ObjectSpec,
    Push,
    Quality,
    RefinerSpec,
    Round,
    ScalarTrack,
    SceneSettings,
    Take,
    Wind,
)

WIDTH, HEIGHT = 320, 192
CENTRE, RADIUS = (160.0, 108.0), 44.0


def paint_ball() -> np.ndarray:
    """[H, W, 3] uint8: a spotted orange ball on a grey-blue table before a pale wall."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    wall = np.stack([190 - 0.2 * y, 200 - 0.1 * x, 205 - 0.1 * y], -1)
    table = np.stack([70 + 0.1 * y, 85 + 0.05 * x, 100 + 0.1 * y], -1)
    picture = np.where((y > 80)[..., None], table, wall)
    u, v = (x - CENTRE[0]) / RADIUS, (y - CENTRE[1]) / RADIUS
    height = np.sqrt(np.clip(1 - u**2 - v**2, 0, None))
    light = 0.45 + 0.55 * np.clip(0.5 * height - 0.3 * u - 0.6 * v, 0, 1)
    spots = np.where(np.sin(9 * u) * np.sin(8 * v + 1) > 0.3, 0.55, 1.0)
    ball = (light * spots)[..., None] * np.array([240.0, 130.0, 40.0])
    inside = (u**2 + v**2 < 1)[..., None]
    picture = np.where(inside, ball, picture)
    return cv2.GaussianBlur(picture, (0, 0), 0.6).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "ball.png"
    cv2.imwrite(str(path), paint_ball()[..., ::-1])
    return path


@pytest.fixture(scope="session")
def take() -> Take:
    """Two short rounds of a jelly ball, seen from three cameras."""
    gust = Wind("gust", (1.0, 0.0, 0.0), ScalarTrack((0.0, 2.0, 4.0), (0.0, 1.5, 0.0)), drag=4.0)
    press = Push("press", (0.0, 0.0, 0.06), (0.0, 0.0, -1.0), 0.6, reach=0.04, start=0.0, end=6.0)
    return Take(
        name="ball",
        picture="ball.png",
        objects=(
            ObjectSpec(
                "ball",
                (Click(CENTRE[0], CENTRE[1]),),
                box=(110.0, 58.0, 210.0, 158.0),
                material=MaterialSpec("jelly"),
                height=0.06,
            ),
        ),
        rounds=(Round(8, (gust, press)), Round(8)),
        cameras=(
            CameraSpec("front", "front"),
            CameraSpec("left", "side", -25.0),
            CameraSpec("right", "side", 25.0),
        ),
        scene=SceneSettings(table_edge_y=80.0),
        quality=Quality(width=160, particles=500, splat_width=160, optimise_renders=150),
        refiner=RefinerSpec("none"),
        identify="off",
    )
