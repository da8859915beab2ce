"""What lies behind: painted over without a trace, standing on two planes, continued past the picture's borders."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from perpetua.reconstruct.background import CONTINUATION_BUDGET, build_background, continued
from perpetua.reconstruct.camera import View, camera_at
from perpetua.reconstruct.cells import cover
from perpetua.reconstruct.inpaint import paint_over
from perpetua.reconstruct.stage import Stage
from perpetua.render import render_layers


def test_a_pattern_is_continued_through_the_hole() -> None:
    y, x = np.mgrid[:120, :200]
    stripes = 0.5 + 0.3 * np.sign(np.sin(x * 2 * np.pi / 12))
    image = np.stack([stripes, 0.5 * stripes, 0 * stripes + 0.3], -1).astype(np.float32)
    hole = (np.hypot(y - 60, x - 100) < 25).astype(bool)
    spoiled = image.copy()
    spoiled[hole] = [0, 1, 0]
    filled = paint_over(spoiled, hole, edge_row=200)
    error = np.abs(filled - image)[hole].mean()
    smeared = cv2.inpaint((spoiled * 255).astype(np.uint8), hole.astype(np.uint8), 5, cv2.INPAINT_TELEA) / 255
    assert error < 0.05
    assert error < 0.4 * np.abs(smeared - image)[hole].mean()
    np.testing.assert_array_equal(filled[~hole], spoiled[~hole])


def test_table_and_backdrop_do_not_mix() -> None:
    image = np.zeros((120, 200, 3), np.float32)
    image[:70], image[70:] = [0.2, 0.4, 0.6], [0.8, 0.6, 0.2]
    hole = np.zeros((120, 200), bool)
    hole[40:100, 80:120] = True
    filled = paint_over(np.where(hole[..., None], np.float32(0), image), hole, edge_row=70)
    assert np.abs(filled - image).max() < 0.05


def test_a_backdrop_of_two_colours_does_not_colour_the_table() -> None:
    rng = np.random.default_rng(0)
    image = np.full((120, 200, 3), 0.5, np.float32)
    image[:70, :100], image[:70, 100:] = 0.1, 0.9
    image += 0.01 * rng.normal(size=image.shape).astype(np.float32)
    hole = np.zeros((120, 200), bool)
    hole[50:95, 60:140] = True
    filled = paint_over(image, hole, edge_row=70)
    assert np.abs(cv2.blur(filled, (5, 5))[73:93, 62:138] - 0.5).max() < 0.03


def test_shading_is_continued_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0.2, 0.8, 200)[None, :, None] * np.ones((120, 1, 3))
    image = (x + 0.02 * rng.normal(size=(120, 200, 3))).astype(np.float32)
    hole = np.zeros((120, 200), bool)
    hole[40:80, 70:130] = True
    filled = paint_over(image, hole, edge_row=0)
    assert np.abs(cv2.blur(filled, (9, 9)) - x)[hole].max() < 0.06


@pytest.mark.parametrize("share", [0.0, 0.97])
def test_no_hole_and_almost_only_hole(share: float) -> None:
    image = np.full((64, 64, 3), 0.4, np.float32)
    hole = np.zeros((64, 64), bool)
    hole[: int(64 * share)] = True
    assert np.abs(paint_over(image, hole, 30) - 0.4).max() < 0.02


def test_same_fill_twice(still_life) -> None:
    image = still_life.picture.rgb.astype(np.float32) / 255
    hole = still_life.matte > 0
    np.testing.assert_array_equal(paint_over(image, hole, 100), paint_over(image, hole, 100))


def stage(pitch: float = 8.0, wall: float = 7.0) -> Stage:
    return Stage(camera_at(math.radians(pitch), 660.0, 480, 272), wall)


def test_the_planes_meet_at_the_edge_row() -> None:
    one = stage()
    row = one.edge_row
    pixels = np.array([[100.0, row - 0.5], [100.0, row + 0.5]])
    np.testing.assert_array_equal(one.on_table(pixels), [False, True])
    points = one.points(pixels, one.on_table(pixels))
    assert points[0, 1] == pytest.approx(7.0)
    assert points[1, 2] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(one.camera.project(points)[0], pixels, atol=1e-9)


def test_a_camera_looking_steeply_down_sees_only_table() -> None:
    one = stage(pitch=70.0)
    pixels = np.stack([np.linspace(0, 480, 9), np.linspace(0, 272, 9)], 1)
    assert one.on_table(pixels).all()
    assert np.isfinite(one.points(pixels, one.on_table(pixels))).all()


def test_borders_hold_the_picture_and_what_side_views_see() -> None:
    x0, y0, x1, y1 = stage().borders(np.array([0.0, 4.5, 0.0]))
    assert x0 < -50
    assert x1 > 530
    assert y0 <= 0
    assert y1 >= 272
    assert x0 == pytest.approx(480 - x1, abs=1e-6)  # the scene is symmetric


def test_continuation_keeps_the_picture_and_goes_on_as_it_does() -> None:
    """A striped backdrop on a table: the stripes go on at their pitch, where a mirror image would turn back."""
    x = np.tile(np.arange(180), (120, 1))
    picture = np.stack([0.5 + 0.3 * np.sin(2 * np.pi * x / 24)] * 3, -1).astype(np.float32)
    picture[72:] = [0.7, 0.5, 0.3]
    canvas = continued(picture, 180, 12, 420, 24, 72.0)
    assert canvas.shape == (156, 780, 3)
    np.testing.assert_array_equal(canvas[12:132, 180:360], picture)
    beside = canvas[12:80, 364:388].mean((0, 2))  # a pitch of the stripes
    assert np.ptp(beside) > 0.3
    np.testing.assert_allclose(
        beside, 0.5 + 0.3 * np.sin(2 * np.pi * (np.arange(364, 388) - 180) / 24), atol=0.15
    )
    table = canvas[86:100]
    assert np.abs(table - [0.7, 0.5, 0.3]).mean() < 0.05
    assert np.abs(canvas[60, -30:] - 0.5).max() < 0.4, "nothing goes dark far out"


def test_cells_cover_every_pixel_once_and_keep_detail() -> None:
    image = np.zeros((64, 96, 3), np.float32)
    image[:, 48:] = np.random.default_rng(0).uniform(size=(64, 48, 3))
    where = np.ones((64, 96), bool)
    where[10:30, 20:33] = False
    cells = cover(image, where, 10_000)
    count = np.zeros((64, 96), int)
    for (x, y), side in zip(cells.centres, cells.sides, strict=True):
        rows = slice(int(y - side / 2), int(y + side / 2))
        count[rows, int(x - side / 2) : int(x + side / 2)] += 1
    np.testing.assert_array_equal(count, where.astype(int))
    assert cells.sides[cells.centres[:, 0] > 50].max() == 1
    assert cells.sides[cells.centres[:, 0] < 40].max() == 4
    assert len(cover(image, where, 2000)) <= 2000


def test_no_hole_opens_in_side_views(still_life) -> None:
    centre = np.array([0.0, still_life.distance, still_life.radius])
    view = View(still_life.camera, still_life.wall)
    one = Stage.of(view)
    painted = build_background(still_life.picture.rgb, still_life.matte, one, centre * [1, 1, 0], 240)
    assert len(painted) < 240 * 136 + CONTINUATION_BUDGET
    for degrees in (-30.0, 0.0, 30.0):
        camera = still_life.camera.orbited(degrees, centre, "side", "side").resized(160)
        frame = render_layers(painted.splats, camera, background=[0.0, 1.0, 0.0])
        assert float(frame.alpha.min()) > 0.97


@pytest.mark.parametrize("degrees", [90.0, 180.0])
def test_the_dome_closes_what_no_picture_shows(still_life, degrees: float) -> None:
    centre = np.array([0.0, still_life.distance, 0.0])
    one = Stage.of(View(still_life.camera, still_life.wall))
    painted = build_background(still_life.picture.rgb, still_life.matte, one, centre, 120)
    frame = render_layers(
        painted.splats, still_life.camera.orbited(degrees, centre, "side", "side").resized(96)
    )
    assert float(frame.alpha.min()) > 0.9
