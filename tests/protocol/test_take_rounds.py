"""A round may be refined in its own way, and drawn again."""

from __future__ import annotations

import msgspec
import pytest

from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import Click, ObjectSpec, RefinerSpec, Round, Take, validate


def take_of(*rounds: Round) -> Take:
    ball = ObjectSpec("ball", (Click(1.0, 1.0),))
    return Take(
        "shot", "ball.png", (ball,), rounds, refiner=RefinerSpec("wan", {"model": "m", "strength": 0.7})
    )


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        (None, RefinerSpec("wan", {"model": "m", "strength": 0.7})),
        (
            RefinerSpec("wan", {"strength": 0.4, "seed": 3}),
            RefinerSpec("wan", {"model": "m", "strength": 0.4, "seed": 3}),
        ),
        (RefinerSpec("files"), RefinerSpec("files")),
    ],
)
def test_a_round_s_options_stand_over_the_take_s(own: RefinerSpec | None, wanted: RefinerSpec) -> None:
    take = take_of(Round(8), Round(8, refiner=own))
    assert take.round_refiner(0) == take.refiner
    assert take.round_refiner(1) == wanted
    assert msgspec.json.decode(msgspec.json.encode(take), type=Take) == take


def test_a_draw_is_no_negative_number() -> None:
    validate(take_of(Round(8, draw=2)))
    with pytest.raises(InvalidTake, match="Round 1 has draw -1"):
        validate(take_of(Round(8, draw=-1)))
