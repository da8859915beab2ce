"""The estimate for the whole job, fed with the loop's own stage names."""

from __future__ import annotations

from itertools import pairwise

import pytest

from perpetua.jobs.overall import Overall, eta_s
from perpetua_protocol.take import ObjectSpec, Round, Take

TAKE = Take("t", "p.png", (ObjectSpec("a", box=(0, 0, 1, 1)),), (Round(4), Round(4)))
ROUND = [
    "simulate",
    "prepare refiner",
    "render front",
    "refine front",
    "optimise 1 view",
    "render left",
    "render right",
    "refine left",
    "refine right",
    "optimise 3 views",
]


def stages() -> list[str]:
    found = ["reconstruct", "cache"]
    for index in (1, 2):
        found += [f"round {index}: {what}" for what in ROUND] + ["cache"]
    return found


def test_it_grows_from_nothing_to_one_through_a_bake() -> None:
    overall = Overall(TAKE, 2)
    seen = [overall.update(stage, fraction) for stage in stages() for fraction in (0.0, 0.5, 1.0)]
    assert seen[0] == 0.0
    assert seen[-1] == pytest.approx(1.0)
    assert all(b >= a for a, b in pairwise(seen))
    assert max(b - a for a, b in pairwise(seen)) < 0.2


def test_a_stage_found_from_before_may_be_left_out() -> None:
    overall = Overall(TAKE, 2)
    assert overall.update("round 2: simulate", 0.5) > 0.5


def test_an_unknown_stage_changes_nothing_and_a_repeat_does_not_fall() -> None:
    overall = Overall(TAKE, 1)
    at = overall.update("round 1: optimise 1 view", 0.5)
    assert overall.update("something new", 1.0) == at
    assert overall.update("round 1: simulate", 0.1) == at


def test_the_reconstruction_alone_is_the_whole() -> None:
    overall = Overall(TAKE, 0)
    assert overall.update("reconstruct", 1.0) > 0.9
    assert overall.update("cache", 1.0) == pytest.approx(1.0)


def test_the_time_left() -> None:
    assert eta_s(0.25, 10.0) == pytest.approx(30.0)
    assert eta_s(1.0, 10.0) == 0.0
    assert eta_s(0.001, 10.0) is None
    assert eta_s(0.5, 0.1) is None
