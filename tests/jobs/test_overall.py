"""The estimate for the whole job, fed with the loop's own stage names."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from perpetua.jobs.overall import Overall
from perpetua_protocol.take import ObjectSpec, RefinerSpec, Round, SceneSettings, Take, ViewMaker

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
    "write back",
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


def test_a_view_maker_s_stages_are_part_of_the_way() -> None:
    take = msgspec.structs.replace(TAKE, scene=SceneSettings(view_maker=ViewMaker("files")))
    overall = Overall(take, 1)
    sides = [f"{what} turn_{side}" for side in ("left", "right") for what in ("film", "paint")]
    seen = [overall.update(stage, 1.0) for stage in ("reconstruct", *sides, "repaint", "cache")]
    assert all(b > a for a, b in pairwise(seen))
    assert Overall(TAKE, 1).update("film turn_left", 1.0) == 0.0


def test_the_time_left_follows_the_speed_of_the_run() -> None:
    overall, now = Overall(TAKE, 2), 0.0
    told = []
    for stage in stages():
        for fraction in (0.0, 0.5, 1.0):
            overall.update(stage, fraction, now)
            told.append((now, overall.left_s))
            now += 3.0 if "simulate" in stage else 0.1
    assert told[0][1] is None
    for when, left in told[len(told) // 2 + 9 :]:
        assert left == pytest.approx(now - when, abs=1.0), "the second round goes as the first did"


def test_the_time_left_never_counts_a_stage_twice_where_physics_is_accepted() -> None:
    take = msgspec.structs.replace(TAKE, refiner=RefinerSpec("files"), identify="accept")
    overall, now = Overall(take, 2), 0.0
    seconds = {"simulate": 3.0, "optimise": 4.0, "identify": 6.0}
    told = []
    for index in (1, 2):
        for what in (*ROUND[:-1], "identify", "simulate again", "optimise again", "write back"):
            kind = what.split()[0]
            for fraction in (0.0, 0.5):
                overall.update(f"round {index}: {what}", fraction, now)
                told.append((now, overall.left_s))
                now += seconds.get(kind, 0.1) / 2 * (index if kind == "identify" else 1)
    for when, left in told[len(told) // 2 :]:
        assert left == pytest.approx(now - when, abs=2.0), "its search plays two rounds"


def test_what_an_earlier_run_left_does_not_make_the_rest_look_short() -> None:
    overall = Overall(TAKE, 2)
    overall.update("reconstruct", 0.5, 0.0)
    for fraction, now in ((0.0, 0.1), (0.25, 10.1)):
        overall.update("round 2: simulate", fraction, now)
    assert overall.fraction > 0.5
    assert 30.0 <= overall.left_s < 60.0


def test_kernels_that_are_compiled_once_do_not_make_the_rest_look_long() -> None:
    """The first simulation of an installation gets ready for minutes, and then runs in seconds."""
    overall, now = Overall(TAKE, 2), 0.0
    told = []
    for stage in stages():
        ready = 140.0 if stage == "round 1: simulate" else 0.0
        for step in range(16):
            overall.update(stage, step / 16, now)
            told.append((now, overall.left_s))
            now += (0.3 if "simulate" in stage else 0.05) + (ready if step == 0 else 0.0)
    after = [(when, left) for when, left in told if when > 140.0 and left is not None]
    assert len(after) > 300
    for when, left in after:
        assert left == pytest.approx(now - when, abs=20.0)
    for when, left in after[len(after) // 2 :]:
        assert left == pytest.approx(now - when, abs=1.0)


def test_what_every_stage_of_a_kind_gets_ready_with_is_counted() -> None:
    take = msgspec.structs.replace(TAKE, refiner=RefinerSpec("files"), identify="off")
    overall, now = Overall(take, 2), 0.0
    told = []
    for index in (1, 2):
        for what in ROUND:
            overall.update(f"round {index}: {what}", 0.0, now)
            now += 5.0 if "optimise" in what else 0.0
            for step in range(1, 11):
                overall.update(f"round {index}: {what}", step / 10, now)
                told.append((now, overall.left_s))
                now += 0.2
    for when, left in told[len(told) // 2 :]:
        assert left == pytest.approx(now - when, rel=0.15, abs=1.5)
