"""A video goes to a model's size and length and comes back; a long round is covered by windows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpetua.refine.diffusion.fit import fit_to
from perpetua.refine.diffusion.windows import Window, lay_over, windows_of


def gradient(frames: int, height: int, width: int) -> np.ndarray:
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    return np.stack([x / width, y / height, t / frames], -1).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "width", "multiple", "stride", "exactly", "wanted"),
    [
        ((49, 180, 320), 1280, 32, 4, None, (49, 736, 1280)),
        ((48, 180, 320), None, 16, 4, None, (49, 192, 320)),
        ((50, 176, 320), 832, 16, 8, None, (57, 464, 832)),
        ((49, 180, 320), 720, 16, 4, (480, 720), (49, 480, 720)),
        ((49, 320, 180), 720, 16, 4, (480, 720), (49, 480, 720)),
        ((1, 64, 64), None, 16, 4, None, (5, 64, 64)),
    ],
)
def test_the_model_gets_a_size_and_length_it_can_take(shape, width, multiple, stride, exactly, wanted):
    fit = fit_to(shape, width, multiple, stride, exactly)
    assert (fit.model_frames, fit.model_height, fit.model_width) == wanted
    right, down = fit.scale
    assert right == pytest.approx(down, rel=0.02), "nothing is stretched"


@pytest.mark.parametrize("exactly", [None, (60, 90)])
def test_a_video_comes_back_as_it_went(exactly: tuple[int, int] | None) -> None:
    video = gradient(6, 36, 64)
    fit = fit_to((6, 36, 64), 96, 16, 4, exactly)
    seen = fit.images(video)
    assert seen.shape == (9, *(exactly or (64, 96)), 3)
    np.testing.assert_array_equal(seen[6:], seen[5:6].repeat(3, 0), "added frames show the last one")
    np.testing.assert_allclose(fit.back(seen), video, atol=0.02)


def test_a_video_of_the_model_s_own_size_is_not_touched() -> None:
    video = np.random.default_rng(0).random((5, 32, 48, 3)).astype(np.float32)
    fit = fit_to((5, 32, 48), None, 16, 4)
    np.testing.assert_array_equal(fit.images(video), video)
    np.testing.assert_array_equal(fit.back(video), video)


def test_flow_is_in_the_model_s_pixels() -> None:
    flow = np.ones((5, 36, 64, 2), np.float32) * np.float32([1.0, -0.5])
    fit = fit_to((6, 36, 64), 128, 16, 4)
    seen = fit.flows(flow)
    assert seen.shape == (8, 80, 128, 2)
    np.testing.assert_allclose(seen[:5], np.broadcast_to([2.0, -1.0], seen[:5].shape), rtol=1e-5)
    assert not seen[5:].any(), "added frames stand still"


@given(st.integers(1, 400), st.sampled_from([(49, 4), (81, 4), (161, 8), (9, 4), (5, 4)]), st.integers(1, 60))
def test_windows_cover_a_round(frames: int, model: tuple[int, int], overlap: int) -> None:
    most, stride = model
    overlap = min(overlap, most - stride)
    windows = windows_of(frames, most, overlap, stride)
    assert windows[0].start == 0
    assert windows[-1].stop == frames
    for window in windows:
        assert 1 <= len(window) <= most
        assert window.start % stride == 0
    for before, after in itertools.pairwise(windows):
        assert after.start > before.start
        assert before.stop - after.start >= min(overlap, len(after)), "they overlap"


def test_a_window_fades_in_over_the_one_before() -> None:
    whole = np.zeros((10, 2, 2, 3), np.float32)
    covered = lay_over(whole, 0, np.full((6, 2, 2, 3), 0.2, np.float32), Window(0, 6))
    covered = lay_over(whole, covered, np.full((7, 2, 2, 3), 0.8, np.float32), Window(3, 10))
    assert covered == 10
    np.testing.assert_allclose(
        whole[:, 0, 0, 0], [0.2, 0.2, 0.2, 0.35, 0.5, 0.65, 0.8, 0.8, 0.8, 0.8], rtol=1e-5
    )
