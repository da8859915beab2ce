"""Emitters and keyed gravity as a take says them, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import (
    Click,
    Emitter,
    MaterialSpec,
    ObjectSpec,
    Push,
    Round,
    ScalarTrack,
    Take,
    VectorTrack,
    validate,
)

TAP = Emitter("tap", (0, 0, 0.2), radius=0.01, speed=0.8, rate=ScalarTrack((0, 6), (0.0, 1.0)))
TURNING = VectorTrack((0, 8), ((0, 0, -9.81), (9.81, 0, 0)))


def take_of(*rounds: Round, **more: object) -> Take:
    return Take("shot", "ball.png", (ObjectSpec("ball", (Click(1.0, 1.0),)),), rounds, **more)


def test_emitters_and_gravity_go_over_the_wire_as_they_are():
    later = Push("splash", (0, 0, 0), (1, 0, 0), 1.0, targets=("tap",))
    take = take_of(Round(8, (TAP,)), Round(8, (later,), gravity=TURNING))
    validate(take)
    assert msgspec.json.decode(msgspec.json.encode(take), type=Take) == take
    assert take.round_gravity(0) == (0.0, 0.0, -9.81)
    assert take.round_gravity(1) == TURNING


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"radius": 0.0}, "radius of 0 m"),
        ({"speed": -1.0}, "negative speed"),
        ({"rate": 1.5}, "rate outside 0"),
        ({"rate": ScalarTrack((0, 1), (0.0,))}, "its rate is keyed, but its keys need as many values"),
        ({"direction": (0, 0, 0)}, "no direction"),
        ({"direction": VectorTrack((0, 1), ((0, 0, 1), (0, 0, 0)))}, "no direction"),
        ({"colour": (2.0, 0, 0)}, "each part goes from 0 to 1"),
        ({"targets": ("ball",)}, "leave its targets empty"),
        ({"name": "ball"}, "has the name of an object"),
    ],
)
def test_an_emitter_that_could_not_work_is_refused_by_name(change: dict[str, object], sentence: str):
    wrong = msgspec.structs.replace(TAP, **change)
    with pytest.raises(InvalidTake, match=f"'{wrong.name}' in round 1.*{sentence}"):
        validate(take_of(Round(8, (wrong,))))


def test_the_same_name_is_the_same_matter():
    milk = msgspec.structs.replace(TAP, material=MaterialSpec("milk"))
    with pytest.raises(InvalidTake, match="'tap' in round 2 lets out another material"):
        validate(take_of(Round(8, (TAP,)), Round(8, (milk,))))


def test_matter_that_is_yet_to_come_cannot_be_acted_on():
    early = Push("splash", (0, 0, 0), (1, 0, 0), 1.0, targets=("tap",))
    with pytest.raises(InvalidTake, match="acts on 'tap', which is no object"):
        validate(take_of(Round(8, (early,)), Round(8, (TAP,))))


def test_gravity_with_keys_out_of_order_is_refused():
    wrong = VectorTrack((8, 0), TURNING.values)
    with pytest.raises(InvalidTake, match="The take's gravity is keyed, but its keys must be in order"):
        validate(take_of(Round(8), gravity=wrong))
    with pytest.raises(InvalidTake, match="The gravity of round 1 is keyed"):
        validate(take_of(Round(8, gravity=wrong)))
