"""Puffs that take turns: no more than are there at a time, and none before it has faded."""

from __future__ import annotations

import numpy as np
import pytest
from lit_scenes import ball_scene, painted

from perpetua.errors import SimulationError
from perpetua.scene import emission
from perpetua.scene.emission import releases, waiting, with_streams
from perpetua.scene.puffs import longest_life, taking_turns, turn_of
from perpetua_protocol.take import Emitter, MaterialSpec, Round

SPOUT = Emitter("spout", (0.1, 0.0, 0.1), (0, 0, 1), 0.02, 0.5, material=MaterialSpec("steam", lifetime=0.25))
LONG = Round(96, (SPOUT,))


@pytest.fixture(scope="module")
def pot():
    return ball_scene(*painted(np.array([0.0, 0.0, 1.0]), 0.4, 0.6))


def test_an_even_stream_needs_its_rate_times_its_life():
    frames = np.arange(1000) / 8.0
    last = taking_turns(frames, 10.0)
    assert len(last) == 8 * 10 + 1
    assert (np.diff(np.sort(last)) > 0).all()
    np.testing.assert_array_equal(np.sort(last), frames[-81:])
    turns = turn_of(len(last), len(frames))
    order = np.argsort(last)
    for puff in (0, 40, 80):
        own = frames[turns == puff]
        assert np.diff(own).min() > 10.0
        assert own[-1] == last[order[puff]]
    assert len(taking_turns(frames[:5], 10.0)) == 5
    assert len(taking_turns(frames[:0], 10.0)) == 0


def test_a_long_round_holds_the_puffs_that_are_there_at_a_time(pot):
    out = releases(LONG, 0, 24.0, pot.spacing)
    whole = with_streams(pot, LONG, 0, 24.0)
    life = longest_life(whole.bodies[1].material, 24.0)
    puffs = len(whole.particles) - len(pot.particles)
    assert puffs < 0.15 * len(out)
    assert whole.binding.carried - pot.binding.carried == puffs, "a splat each, beside those of their shadow"
    rows = waiting(whole, out, LONG, 0)
    for row in np.unique(rows):
        own = out.frames[rows == row]
        assert np.diff(own).min() > life
        assert own[-1] == whole.released[row]
    after = with_streams(whole, LONG, 200, 24.0)
    assert len(after.particles) == len(whole.particles), "and a later round has them again"
    assert len(after.foreground) == len(whole.foreground), "and their shadow"


def test_only_what_is_there_at_a_time_counts(pot, monkeypatch):
    puffs = len(with_streams(pot, LONG, 0, 24.0).particles) - len(pot.particles)
    monkeypatch.setattr(emission, "MOST", puffs)
    with_streams(pot, LONG, 0, 24.0)
    monkeypatch.setattr(emission, "MOST", puffs - 1)
    with pytest.raises(SimulationError, match="'spout' would let out more than"):
        with_streams(pot, LONG, 0, 24.0)
    monkeypatch.setattr(emission, "MOST_PUFFS", 100)
    with pytest.raises(SimulationError, match="'spout' would let out more than"):
        releases(LONG, 0, 24.0, pot.spacing)
