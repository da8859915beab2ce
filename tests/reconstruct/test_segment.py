"""A click finds the whole object and nothing else, or says what to do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from perpetua.errors import SegmentationError
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.matte import object_colours
from perpetua.reconstruct.picture import load_picture
from perpetua.reconstruct.segment import GrabCutSegmenter
from perpetua_protocol.take import Click, ObjectSpec

ELLIPSE, BLOB, BAR = "ellipse", "blob", "bar"


def overlap(matte: NDArray, truth: NDArray) -> float:
    a, b = matte > 0.5, truth > 0.5
    return float((a & b).sum() / (a | b).sum())


def drawn(kind: str, width: int = 400, height: int = 240) -> tuple[Picture, NDArray[np.float32]]:
    """A textured shape on a textured ground, antialiased, and its coverage."""
    rng = np.random.default_rng(4)
    large = np.zeros((4 * height, 4 * width), np.uint8)
    if kind == ELLIPSE:
        cv2.ellipse(large, (2 * width, 2 * height), (280, 200), 20, 0, 360, 255, -1)
    elif kind == BAR:
        cv2.line(large, (600, 700), (1000, 200), 255, 110)
    else:
        angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
        radius = 230 * (1 + 0.12 * np.sin(3 * angle) + 0.06 * np.sin(7 * angle))
        outline = np.stack([2 * width + 1.4 * radius * np.cos(angle), 2 * height + radius * np.sin(angle)], 1)
        cv2.fillPoly(large, [outline.astype(np.int32)], 255)
    matte = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    noise = cv2.GaussianBlur(rng.normal(size=(height, width, 3)), (0, 0), 3) * 0.2
    inside = np.array([0.7, 0.35, 0.3]) + noise
    outside = (
        np.array([0.45, 0.5, 0.4]) + cv2.GaussianBlur(rng.normal(size=(height, width, 3)), (0, 0), 6) * 0.6
    )
    rgb = matte[..., None] * inside + (1 - matte[..., None]) * outside
    return Picture(np.clip(rgb * 255, 0, 255).astype(np.uint8), 1.0, None, Path("drawn.png")), matte


@pytest.mark.parametrize("kind", [ELLIPSE, BLOB, BAR])
def test_one_click_finds_the_shape(kind: str) -> None:
    picture, truth = drawn(kind)
    click = Click(200, 115) if kind != BAR else Click(198, 114)
    matte = GrabCutSegmenter().segment(picture, ObjectSpec("it", (click,), resting=False))
    assert overlap(matte, truth) >= 0.95
    assert np.abs(matte - truth).mean() < 0.01


def test_the_edge_is_soft_and_narrow() -> None:
    picture, _ = drawn(ELLIPSE)
    matte = GrabCutSegmenter().segment(picture, ObjectSpec("it", (Click(200, 115),), resting=False))
    soft = (matte > 0.02) & (matte < 0.98)
    rim = (matte > 0.5) & (cv2.erode((matte > 0.5).astype(np.uint8), np.ones((3, 3))) == 0)
    assert 0.5 < soft.sum() / rim.sum() < 4


def test_ball_on_a_table_without_its_shadow(still_life) -> None:
    matte = GrabCutSegmenter().segment(still_life.picture, ObjectSpec("ball", (Click(*still_life.click),)))
    assert overlap(matte, still_life.matte) >= 0.95


def test_a_box_will_do() -> None:
    picture, truth = drawn(BLOB)
    y, x = np.nonzero(truth > 0.5)
    box = (float(x.min() - 5), float(y.min() - 5), float(x.max() + 6), float(y.max() + 6))
    matte = GrabCutSegmenter().segment(picture, ObjectSpec("it", box=box, resting=False))
    assert overlap(matte, truth) >= 0.95


def test_clicks_are_in_pixels_of_the_file() -> None:
    picture, truth = drawn(ELLIPSE)
    halved = Picture(picture.rgb, 0.5, None, picture.path)
    matte = GrabCutSegmenter().segment(halved, ObjectSpec("it", (Click(400, 230),), resting=False))
    assert overlap(matte, truth) >= 0.95


def test_a_click_outside_parts_two_alike() -> None:
    picture, _ = drawn(ELLIPSE)
    rgb = np.concatenate([picture.rgb[:, 80:320], picture.rgb[:, 80:320]], 1)
    both = Picture(np.ascontiguousarray(rgb), 1.0, None, picture.path)
    clicks = (Click(120, 115), Click(360, 115, inside=False))
    matte = GrabCutSegmenter().segment(both, ObjectSpec("it", clicks, resting=False))
    assert matte[:, :240].sum() > 20 * matte[:, 240:].sum() + 1
    assert matte[115, 120] == 1.0
    assert matte[115, 360] == 0.0


@pytest.mark.parametrize("x", [-1.0, 400.0, 1e6])
def test_a_click_outside_the_picture(x: float) -> None:
    picture, _ = drawn(ELLIPSE)
    with pytest.raises(SegmentationError, match=r"outside the picture of 400 x 240 .* click inside"):
        GrabCutSegmenter().segment(picture, ObjectSpec("it", (Click(x, 10),)))


@pytest.mark.parametrize(
    "box", [(10, 10, 10, 50), (50, 10, 20, 50), (500, 10, 600, 50), (-90, -90, -10, -10)]
)
def test_a_box_of_nothing(box: tuple[float, float, float, float]) -> None:
    picture, _ = drawn(ELLIPSE)
    with pytest.raises(SegmentationError, match="empty or outside"):
        GrabCutSegmenter().segment(picture, ObjectSpec("it", box=box))


def test_neither_click_nor_box() -> None:
    picture, _ = drawn(ELLIPSE)
    with pytest.raises(SegmentationError, match="neither a click"):
        GrabCutSegmenter().segment(picture, ObjectSpec("it"))


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_nothing_stands_out(noise: float) -> None:
    rgb = np.full((96, 144, 3), 128.0) + np.random.default_rng(0).normal(size=(96, 144, 3)) * noise
    picture = Picture(rgb.astype(np.uint8), 1.0, None, Path("flat.png"))
    with pytest.raises(SegmentationError, match=r"'it'.*(click|box)"):
        GrabCutSegmenter().segment(picture, ObjectSpec("it", (Click(72, 48),)))


def test_same_result_twice(still_life) -> None:
    thing = ObjectSpec("ball", (Click(*still_life.click),))
    first, second = (GrabCutSegmenter().segment(still_life.picture, thing) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_object_colours_have_no_halo(still_life) -> None:
    """At half covered pixels the ball is red, although the picture shows a mix with the wall."""
    colours = object_colours(still_life.picture.rgb, still_life.matte)
    edge = (still_life.matte > 0.4) & (still_life.matte < 0.7)
    mixed = still_life.picture.rgb[edge].astype(float).mean(0) / 255
    assert colours[edge][:, 0].mean() - colours[edge][:, 1].mean() > 0.25
    assert mixed[0] - mixed[1] < 0.22


@pytest.mark.parametrize(
    ("name", "click", "resting", "area"),
    [
        ("play_doh", (640, 480), True, (39_000, 42_500)),
        ("jam", (600, 420), True, (215_000, 235_000)),
        ("dumpling", (650, 570), True, (53_000, 60_000)),
        ("dumpling", (690, 230), False, (23_500, 26_500)),
    ],
)
def test_examples(
    examples: Path, name: str, click: tuple[int, int], resting: bool, area: tuple[int, int]
) -> None:
    """Areas in pixels, checked by eye once."""
    picture = load_picture(examples / f"{name}.png")
    matte = GrabCutSegmenter().segment(picture, ObjectSpec(name, (Click(*click),), resting=resting))
    assert area[0] < matte.sum() < area[1]
