"""The weights that come with Perpetua: small, whole, and without harm to what is fine already."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.refine.space_time import SpaceTimeRefiner, weights
from perpetua.refine.space_time.network import SpaceTimeUNet
from perpetua.refine.space_time.refiner import refine_video

PICTURE = Path(__file__).parents[3] / "examples" / "clay_ball.png"
FRAMES = 3


@pytest.fixture(scope="module")
def network() -> SpaceTimeUNet:
    return weights.load(weights.SHIPPED)[0]


def picture(height: int, width: int) -> NDArray[np.float32]:
    """[height, width, 3] in [0, 1] of an example of ours."""
    read = cv2.imread(str(PICTURE), cv2.IMREAD_COLOR)
    assert read is not None
    return cv2.resize(read[..., ::-1], (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)


def test_they_are_small_and_say_where_they_come_from(network: SpaceTimeUNet) -> None:
    assert weights.SHIPPED.stat().st_size <= 6e6
    about = json.loads(weights.load(weights.SHIPPED)[1])
    assert about["plan"]["seed"] == 8
    assert about["clips"] >= 100
    assert all(bool(p.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("size", [(75, 121), (177, 321)])
def test_a_still_clean_video_stays_as_it_is(network: SpaceTimeUNet, size: tuple[int, int]) -> None:
    first = picture(*size)
    rgb = np.repeat(first[None], FRAMES, 0)
    depth = (
        np.linspace(0.8, 0.4, size[0], dtype=np.float32)[None, :, None].repeat(FRAMES, 0).repeat(size[1], 2)
    )
    alpha = np.zeros(depth.shape, np.float32)
    alpha[:, size[0] // 3 : 2 * size[0] // 3, size[1] // 3 : size[1] // 2] = 1
    flow = np.zeros((FRAMES - 1, *size, 2), np.float32)
    found = refine_video(network, rgb, depth, flow, alpha, first, 1, Progress()).rgb
    assert np.abs(found - rgb).mean() <= 1 / 255


def test_they_are_what_the_refiner_takes_by_itself() -> None:
    refiner = SpaceTimeRefiner()
    assert refiner.path == weights.SHIPPED
    assert refiner.steps == 1
