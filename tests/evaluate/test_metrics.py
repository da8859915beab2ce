"""Each figure of the benchmark on cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perpetua.evaluate.metrics import flicker, object_size, particle_error, psnr, vector_error


def test_particle_error_is_the_mean_distance_in_each_frame():
    truth = np.zeros((2, 2, 3), np.float32)
    positions = truth.copy()
    positions[1, 0] = [3.0, 0.0, 4.0]  # 5 m away, the other at its place
    np.testing.assert_allclose(particle_error(positions, truth), [0.0, 2.5])


def test_vector_error_counts_direction():
    assert vector_error(np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]])) == pytest.approx(math.sqrt(2))


def test_object_size_is_the_longest_side():
    assert object_size(np.array([[0.0, 0, 0], [0.1, 0.3, 0.2]])) == pytest.approx(0.3)


def test_psnr_of_a_tenth_is_20_db():
    video = np.zeros((2, 4, 4, 3))
    assert psnr(video + 0.1, video) == pytest.approx(20.0)
    assert psnr(video, video) == math.inf


def test_only_what_trembles_flickers():
    truth = np.random.default_rng(0).uniform(size=(5, 4, 4, 3))
    steady = truth + np.linspace(0, 0.2, 5)[:, None, None, None]  # an error that grows evenly
    assert flicker(steady, truth) == pytest.approx(0.0, abs=1e-9)
    shaking = truth + np.array([0, 1, 0, 1, 0])[:, None, None, None] / 255
    assert flicker(shaking, truth) == pytest.approx(2.0)
    assert flicker(truth[:2], truth[:2]) == 0.0
