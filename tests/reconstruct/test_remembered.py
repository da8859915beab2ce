"""An object that was found stays found, for the same marks in the same picture only."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from perpetua.errors import SegmentationError
from perpetua.reconstruct import remembered
from perpetua.reconstruct.api import Picture
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec


class Counting:
    """Finds all right of the first click, and counts how often it looks."""

    def __init__(self) -> None:
        self.looked = 0

    def segment(self, picture: Picture, thing: ObjectSpec) -> NDArray[np.float32]:
        self.looked += 1
        if not thing.clicks:
            raise SegmentationError("click it")
        matte = np.zeros(picture.rgb.shape[:2], np.float32)
        matte[:, int(thing.clicks[0].x) :] = 1
        return matte


def picture_of(shade: int) -> Picture:
    return Picture(np.full((6, 8, 3), shade, np.uint8), 1.0, None, Path("p.png"))


BALL = ObjectSpec("ball", (Click(3, 2),), material=MaterialSpec("clay"))


@pytest.fixture(autouse=True)
def _nothing_found_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_found", type(remembered._found)())


def test_another_material_is_not_searched_for_again() -> None:
    segmenter = Counting()
    first = remembered.matte(segmenter, picture_of(9), BALL)
    jelly = msgspec.structs.replace(BALL, name="jelly", material=MaterialSpec("jelly"))
    assert np.array_equal(remembered.matte(segmenter, picture_of(9), jelly), first)
    assert segmenter.looked == 1


@pytest.mark.parametrize("change", ["click", "picture", "stands"])
def test_what_a_segmenter_goes_by_is_looked_at(change: str) -> None:
    segmenter = Counting()
    remembered.matte(segmenter, picture_of(9), BALL)
    if change == "click":
        other = msgspec.structs.replace(BALL, clicks=(Click(5, 2),))
        assert remembered.matte(segmenter, picture_of(9), other).sum() == 18
    elif change == "picture":
        remembered.matte(segmenter, picture_of(10), BALL)
    else:
        remembered.matte(segmenter, picture_of(9), msgspec.structs.replace(BALL, resting=False))
    assert segmenter.looked == 2


def test_a_matte_is_the_callers_own() -> None:
    segmenter = Counting()
    remembered.matte(segmenter, picture_of(9), BALL)[:] = 0.5
    assert remembered.matte(segmenter, picture_of(9), BALL).sum() == 30


def test_what_was_not_found_is_looked_for_again() -> None:
    segmenter = Counting()
    for _ in range(2):
        with pytest.raises(SegmentationError):
            remembered.matte(segmenter, picture_of(9), ObjectSpec("ball"))
    assert segmenter.looked == 2


def test_the_oldest_is_forgotten() -> None:
    segmenter = Counting()
    for shade in range(remembered.MOST_KEPT + 1):
        remembered.matte(segmenter, picture_of(shade), BALL)
    remembered.matte(segmenter, picture_of(remembered.MOST_KEPT), BALL)
    assert segmenter.looked == remembered.MOST_KEPT + 1
    remembered.matte(segmenter, picture_of(0), BALL)
    assert segmenter.looked == remembered.MOST_KEPT + 2
