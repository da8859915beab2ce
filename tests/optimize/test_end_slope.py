"""The slope at the end of a correction: exact for a constant acceleration, nothing for noise, right for what truly moves."""

from __future__ import annotations

import numpy as np
import pytest

from perpetua.optimize.end_slope import end_slope
from perpetua.optimize.knots import slope_weights


@pytest.mark.parametrize("knots", [[0, 4], [0, 4, 8], list(range(0, 25, 4)), list(range(0, 49, 4))])
def test_constant_acceleration_is_exact(knots: list[int]) -> None:
    t = np.array(knots, np.float64)
    values = t[:, None] ** 2 * np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(end_slope(t, values), 2 * t[-1] * np.array([1.0, -2.0, 0.5]), rtol=1e-6)


def test_nothing_stays_nothing() -> None:
    assert not end_slope(np.arange(0, 25, 4), np.zeros((7, 4))).any()


def test_noise_around_rest_becomes_no_velocity() -> None:
    knots = np.arange(0, 25, 4)
    noise = np.random.default_rng(0).normal(size=(7, 300)) * (knots > 0)[:, None]
    parabola = slope_weights(knots, knots[-1:])[0] @ noise
    assert np.abs(end_slope(knots, noise)).mean() < 0.2 * np.abs(parabola).mean()


def test_a_wobble_well_above_its_noise_keeps_its_speed() -> None:
    knots = np.arange(0, 25, 4)
    truth = (1 - np.cos(2 * np.pi * knots / 32)) * np.ones((300, 1))
    values = truth.T + 0.02 * np.random.default_rng(1).normal(size=(7, 300)) * (knots > 0)[:, None]
    speed = 2 * np.pi / 32 * np.sin(2 * np.pi * 24 / 32)
    np.testing.assert_allclose(end_slope(knots, values).mean(), speed, rtol=0.2)
