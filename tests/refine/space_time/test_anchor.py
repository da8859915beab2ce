"""The first frame is known: what a network gets wrong there is taken off all frames, what it changes later stays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from perpetua.refine.space_time.anchor import anchored

T, H, W, SIDE = 6, 40, 64, 12


@pytest.fixture
def scene() -> tuple[NDArray, NDArray, NDArray]:
    """picture [T, H, W, 3], alpha and flow: a bright square that moves right by two pixels a frame over a floor with a pattern."""
    random = np.random.default_rng(0)
    floor = random.uniform(0.3, 0.5, (H, W, 3)).astype(np.float32)
    picture, alpha = np.repeat(floor[None], T, 0), np.zeros((T, H, W), np.float32)
    flow = np.zeros((T - 1, H, W, 2), np.float32)
    texture = random.uniform(0.6, 0.8, (SIDE, SIDE, 3))
    for t in range(T):
        place = np.s_[14 : 14 + SIDE, 10 + 2 * t : 10 + 2 * t + SIDE]
        picture[t][place], alpha[t][place] = texture, 1
        if t < T - 1:
            flow[t][(*place, 0)] = 2
    return picture, alpha, flow


def test_colours_that_shift_are_put_back_on_the_floor_and_on_what_moves(
    scene: tuple[NDArray, NDArray, NDArray],
) -> None:
    picture, alpha, flow = scene
    cast = np.array([0.05, -0.03, 0.02], np.float32)
    found = anchored(picture + (1 + alpha[..., None]) * cast, picture[0], alpha, flow)
    assert np.abs(found - picture).max() < 2e-3


def test_a_still_video_comes_out_as_its_first_frame(scene: tuple[NDArray, NDArray, NDArray]) -> None:
    picture, alpha, _ = scene
    still, cover = np.repeat(picture[:1], T, 0), np.repeat(alpha[:1], T, 0)
    wrong = np.random.default_rng(1).normal(0, 0.05, (H, W, 3)).astype(np.float32)
    found = anchored(still + wrong, still[0], cover, np.zeros((T - 1, H, W, 2), np.float32))
    assert np.abs(found - still).max() < 1e-5


def test_a_shadow_that_comes_later_stays(scene: tuple[NDArray, NDArray, NDArray]) -> None:
    picture, alpha, flow = scene
    shaded = picture.copy()
    shaded[3:, 30:36, 20:40] *= 0.6
    found = anchored(shaded, picture[0], alpha, flow)
    assert np.abs(found - shaded).max() < 1e-5


def test_where_the_camera_moves_the_floor_is_left_alone(scene: tuple[NDArray, NDArray, NDArray]) -> None:
    picture, alpha, flow = scene
    found = anchored(picture + np.float32(0.05), picture[0], alpha, flow + np.float32(1.5))
    floor = alpha < 0.5
    floor[0] = False  # which is known
    assert np.abs(found - picture - 0.05)[floor].max() < 1e-5
    assert np.abs(found - picture)[:, 16:24][alpha[:, 16:24] > 0.5].mean() < 0.01
