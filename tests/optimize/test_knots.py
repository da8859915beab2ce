"""The spline through time knots: values, slopes, and how it starts and ends."""

from collections.abc import Callable

import numpy as np
import pytest

from perpetua.optimize.api import Settings
from perpetua.optimize.correct import nothing
from perpetua.optimize.knots import knot_frames, slope_weights, value_weights
from perpetua.scene import Scene, Trajectory


@pytest.mark.parametrize(("frames", "count"), [(1, 2), (4, 2), (5, 3), (24, 7), (48, 13)])
def test_a_knot_every_four_frames(frames: int, count: int) -> None:
    knots = knot_frames(frames)
    assert len(knots) == count
    assert (knots[0], knots[-1]) == (0, frames)


def test_passes_through_its_knots_and_starts_at_rest() -> None:
    knots = knot_frames(24)
    np.testing.assert_allclose(value_weights(knots, knots), np.eye(7), atol=1e-12)
    np.testing.assert_allclose(slope_weights(knots, np.array([0.0])), 0, atol=1e-12)


def test_slopes_are_the_derivatives_of_the_values() -> None:
    knots, frames, step = knot_frames(20), np.linspace(0.1, 19.9, 57), 1e-5
    numeric = (value_weights(knots, frames + step) - value_weights(knots, frames - step)) / (2 * step)
    np.testing.assert_allclose(slope_weights(knots, frames), numeric, atol=1e-6)


@pytest.mark.parametrize("frames", [4, 12, 30])
def test_constant_acceleration_is_exact(frames: int) -> None:
    knots, at = knot_frames(frames), np.arange(frames + 1)
    np.testing.assert_allclose(
        value_weights(knots, at) @ knots.astype(float) ** 2, at**2, rtol=1e-5, atol=1e-4
    )
    np.testing.assert_allclose(
        slope_weights(knots, at) @ knots.astype(float) ** 2, 2 * at, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize(("preset", "apart"), [("clay", 4), ("cotton", 2)])
def test_sheets_have_more_knots(
    preset: str, apart: int, make_scene: Callable[[str], Scene], slide: Callable[[Scene, int], Trajectory]
) -> None:
    scene = make_scene(preset)
    correction = nothing(scene, slide(scene, 12), Settings())
    np.testing.assert_array_equal(correction.knots, np.arange(0, 13, apart))
