"""What is changed in a small picture, carried over to a large one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from perpetua.refine.space_time.working_size import (
    Coarse,
    raised_depth,
    raised_flow,
    raised_picture,
    shrunk,
    working_size,
)

H, W = 96, 150
SMALL = 33, 51


def textured() -> NDArray[np.float32]:
    """[1, H, W, 3]: a light square with fine texture on a dark floor."""
    random = np.random.default_rng(0)
    picture = np.full((H, W, 3), 0.2) + 0.05 * random.uniform(-1, 1, (H, W, 3))
    picture[30:70, 50:100] = 0.7 + 0.2 * random.uniform(-1, 1, (40, 50, 1))
    return picture[None].astype(np.float32)


def small_of(video: NDArray) -> NDArray[np.float32]:
    return np.stack([cv2.resize(frame, SMALL[::-1], interpolation=cv2.INTER_AREA) for frame in video])


def test_nothing_changed_is_nothing_changed() -> None:
    large = textured()
    assert np.abs(raised_picture(small_of(large), small_of(large), large) - large).max() < 1e-6


def test_a_shade_that_falls_on_texture_keeps_it() -> None:
    large = textured()
    shade = np.linspace(0.6, 1.0, W, dtype=np.float32)[None, None, :, None]
    found = raised_picture(small_of(large * shade), small_of(large), large)
    assert np.abs(found - large * shade).mean() < 0.012
    inside = np.s_[0, 40:60, 60:90, 0]
    texture, kept = (video[inside] - cv2.blur(video[inside], (5, 5)) for video in (large * shade, found))
    assert np.corrcoef(texture.ravel(), kept.ravel())[0, 1] > 0.98
    assert kept.std() == pytest.approx(texture.std(), rel=0.15)


def test_a_change_keeps_to_outlines() -> None:
    large = np.full((1, H, W, 3), 0.2, np.float32)
    large[:, 30:70, 53:101] = 0.7
    darker = large.copy()
    darker[:, 30:70, 53:101] *= 0.8
    found = raised_picture(small_of(darker), small_of(large), large)
    plain = large + cv2.resize(small_of(darker)[0] - small_of(large)[0], (W, H))[None]
    edge = np.s_[0, 36:64, 98:104]
    assert np.abs(found - darker)[edge].mean() < 0.5 * np.abs(plain - darker)[edge].mean()


def test_depth_and_flow_are_scaled() -> None:
    depth = np.full((2, H, W), 2.0, np.float32)
    depth[:, :8] = 0
    flow = np.zeros((1, H, W, 2), np.float32)
    flow[..., 0], flow[..., 1] = 6.0, -3.0
    rgb = np.repeat(textured(), 2, 0)
    small = shrunk(Coarse(rgb, depth, flow, np.ones_like(depth), rgb[0]), SMALL)
    assert small.alpha.shape == (2, *SMALL)
    assert small.first.shape == (*SMALL, 3)
    assert np.allclose(small.flow[0], np.array([6.0 * SMALL[1] / W, -3.0 * SMALL[0] / H]), atol=1e-5)
    found = raised_depth(0.9 * small.depth, small.depth, depth)
    assert (found[:, :5] == 0).all()
    assert np.allclose(found[:, 20:], 1.8, atol=1e-5)
    found = raised_flow(small.flow + np.float32(1), small.flow, flow)
    assert np.allclose(found[0], np.array([6 + W / SMALL[1], -3 + H / SMALL[0]]), atol=1e-4)


def test_large_videos_get_the_working_size_and_others_keep_theirs() -> None:
    assert working_size(96, 160, 160 * 96) == (96, 160)
    assert working_size(16, 24, 160 * 96) == (16, 24)
    assert working_size(100, 166, 160 * 96) == (100, 166)
    rows, columns = working_size(353, 641, 160 * 96)
    assert rows * columns == pytest.approx(160 * 96, rel=0.02)
    assert columns / rows == pytest.approx(641 / 353, rel=0.01)
