"""Videos made inconsistent: by known amounts, differently in each view, and the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perpetua.evaluate.spoil import BAD_DELAY, Spoiling, slow_warp, warped

VIDEO = np.random.default_rng(1).uniform(0.2, 0.8, (9, 24, 32, 3)).astype(np.float32)
UNSPOILED = Spoiling(gain=0.0, bias=0.0, warp=0.0, noise=0.0)


def test_the_same_view_is_spoiled_the_same_way_and_another_differently():
    spoil = Spoiling()
    first = spoil(VIDEO, "left", 1)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.tobytes() == spoil(VIDEO, "left", 1).tobytes()
    others = [spoil(VIDEO, "right", 1), spoil(VIDEO, "left", 2), replace(spoil, seed=1)(VIDEO, "left", 1)]
    assert all(np.abs(other - first).mean() > 0.01 for other in others)


def test_nothing_asked_for_changes_nothing():
    np.testing.assert_allclose(UNSPOILED(VIDEO, "left", 1), VIDEO, atol=1e-6)


def test_a_bad_view_lags_behind():
    ramp = np.broadcast_to(np.linspace(0, 0.8, 9, dtype=np.float32)[:, None, None, None], VIDEO.shape).copy()
    bad = UNSPOILED(ramp, UNSPOILED.bad, 1)
    np.testing.assert_allclose(bad[BAD_DELAY + 1], ramp[1], atol=1e-6)
    np.testing.assert_allclose(bad[0], ramp[0], atol=1e-6)


def test_colours_change_by_one_gain_and_bias_a_channel():
    spoiled = replace(UNSPOILED, gain=0.06, bias=0.03)(VIDEO, "left", 1)
    for channel in range(3):
        gain, bias = np.polyfit(VIDEO[..., channel].ravel(), spoiled[..., channel].ravel(), 1)
        assert 0.94 <= gain <= 1.06
        assert abs(bias) <= 0.03
        np.testing.assert_allclose(VIDEO[..., channel] * gain + bias, spoiled[..., channel], atol=1e-4)


def test_warps_are_smooth_and_as_large_as_said():
    offsets = slow_warp(np.random.default_rng(3), 7, 96, 160, 2.0)
    length = np.linalg.norm(offsets, axis=-1)
    assert 1.5 < length.max() <= 2.0 + 1e-5
    for axis in (1, 2):
        assert np.abs(np.diff(offsets, axis=axis)).max() < 0.25  # pixels from one pixel to the next
    assert np.abs(offsets[-1] - offsets[0]).max() > 0.3


def test_a_warp_takes_colours_from_where_it_points():
    image = np.zeros((5, 6, 3), np.float32)
    image[2, 4] = 1.0
    offsets = np.zeros((5, 6, 2), np.float32)
    offsets[..., 0] = 1.0
    assert warped(image, offsets)[2, 3, 0] == 1.0
