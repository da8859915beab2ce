"""Keys of actions, sampled."""

from __future__ import annotations

import numpy as np
import pytest

from perpetua.scene.actions import direction_at, is_active, sample_rotation, sample_scalar, sample_vector
from perpetua_protocol.take import Push, RotationTrack, Round, ScalarTrack, VectorTrack


def test_constants_and_keys() -> None:
    assert sample_scalar(3, 10.0) == 3.0
    track = ScalarTrack((10.0, 20.0), (1.0, 3.0))
    assert [sample_scalar(track, f) for f in (0, 10, 15, 20, 99)] == [1, 1, 2, 3, 3]
    keyed = VectorTrack((0.0, 4.0), ((0.0, 0.0, 1.0), (4.0, -4.0, 1.0)))
    np.testing.assert_allclose(sample_vector(keyed, 1.0), [1, -1, 1])
    np.testing.assert_allclose(sample_vector((1.0, 2.0, 3.0), 7.0), [1, 2, 3])


def test_rotations_turn_evenly_along_the_shorter_arc() -> None:
    half = np.sqrt(0.5)
    track = RotationTrack(
        (0.0, 2.0, 3.0), ((2.0, 0.0, 0.0, 0.0), (-half, 0.0, 0.0, -half), (-half, 0.0, 0.0, -half))
    )
    angle = [
        2 * np.degrees(np.arctan2(abs(q[3]), abs(q[0])))
        for q in (sample_rotation(track, f) for f in (-1, 0, 0.5, 1, 2, 2.5, 9))
    ]
    np.testing.assert_allclose(angle, [0, 0, 22.5, 45, 90, 90, 90], atol=1e-6)
    np.testing.assert_allclose(sample_rotation((0.0, 0.0, 3.0, 4.0), 0), [0, 0, 0.6, 0.8])


def test_a_direction_is_a_unit_vector_or_nothing() -> None:
    np.testing.assert_allclose(direction_at((0.0, 3.0, 4.0), 0), [0, 0.6, 0.8])
    assert not direction_at((0.0, 0.0, 0.0), 0).any()
    turning = VectorTrack((0.0, 2.0), ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)))
    assert not direction_at(turning, 1.0).any()  # halfway between opposites there is no direction


@pytest.mark.parametrize(
    ("start", "end", "active"),
    [(None, None, (24, 47)), (30.0, None, (30, 47)), (None, 30.0, (24, 29)), (26.0, 28.0, (26, 27))],
)
def test_when_an_action_acts(start: float | None, end: float | None, active: tuple[int, int]) -> None:
    push = Push("p", (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 1.0, start=start, end=end)
    acting = [f for f in range(20, 60) if is_active(push, f, Round(24, (push,)), 24)]
    assert (acting[0], acting[-1]) == active
    assert acting == list(range(active[0], active[1] + 1))
