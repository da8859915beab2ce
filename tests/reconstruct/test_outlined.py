"""An object is where the artist draws its outline, whatever the picture looks like there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perpetua.errors import SegmentationError
from perpetua.progress import Progress
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.embedded import mattes_of
from perpetua.reconstruct.segment import GrabCutSegmenter
from perpetua_protocol.take import Click, ObjectSpec

CORNERS = ((40.0, 20.0), (160.0, 20.0), (140.0, 100.0), (60.0, 100.0))
AREA = 8000.0
"""Of the trapezium."""


def outlined(*corners: tuple[float, float]) -> ObjectSpec:
    return ObjectSpec("glass", tuple(Click(x, y) for x, y in corners), outline=True)


def plain(scale: float) -> Picture:
    """A picture in which nothing can be found, ``scale`` of its pixels for one of the file's."""
    rgb = np.full((round(120 * scale), round(200 * scale), 3), 128, np.uint8)
    return Picture(rgb, scale, None, Path("plain.png"))


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_an_object_that_nobody_would_find(scale: float) -> None:
    picture, thing = plain(scale), outlined(*CORNERS)
    (matte,) = mattes_of(picture, (thing,), GrabCutSegmenter(), Progress())
    assert matte.sum() / scale**2 == pytest.approx(AREA, rel=0.03)
    v, u = np.nonzero(matte > 0.5)
    assert u.mean() / scale == pytest.approx(100, abs=1.5)
    assert v.mean() / scale == pytest.approx(20 + 80 * (2 * 80 + 120) / (3 * 200), abs=1.5)
    with pytest.raises(SegmentationError, match="Nothing stands out"):
        GrabCutSegmenter().segment(picture, thing)


@pytest.mark.parametrize(
    ("corners", "said"),
    [
        (((40, 20), (40, 20), (41, 21)), "encloses next to nothing"),
        (((40, 20), (300, 20), (60, 90)), "outside the picture"),
    ],
)
def test_what_is_no_outline_is_refused(corners, said: str) -> None:
    with pytest.raises(SegmentationError, match=said):
        mattes_of(plain(1.0), (outlined(*corners),), GrabCutSegmenter(), Progress())
