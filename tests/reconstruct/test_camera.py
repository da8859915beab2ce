"""The camera against closed forms: horizon and pitch, rows and distances, the table's edge."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from perpetua.errors import CameraError
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.camera import (
    camera_at,
    distance_of_row,
    find_view,
    focal_pixels,
    horizon_of_pitch,
    pitch_of_horizon,
    table_edge,
)
from perpetua.reconstruct.picture import load_picture
from perpetua_protocol.take import SceneSettings

FOCAL = 700.0


def blank(width: int = 640, height: int = 360, focal: float | None = None, scale: float = 1.0) -> Picture:
    return Picture(np.full((height, width, 3), 120, np.uint8), scale, focal, Path("blank.png"))


def nothing(height: int = 360, width: int = 640) -> np.ndarray:
    return np.zeros((height, width), np.float32)


@pytest.mark.parametrize("degrees", [-5.0, 0.0, 3.0, 20.0, 60.0])
def test_points_far_away_are_seen_at_the_horizon(degrees: float) -> None:
    pitch = math.radians(degrees)
    camera = camera_at(pitch, FOCAL, 640, 360)
    far, _ = camera.project(np.array([[0.0, 1e9, 0.0]]))
    row = horizon_of_pitch(pitch, FOCAL, 180)
    assert far[0, 1] == pytest.approx(row, abs=1e-4)
    assert pitch_of_horizon(row, FOCAL, 180) == pytest.approx(pitch)


@pytest.mark.parametrize("row", [200.0, 300.0, 359.0])
def test_the_point_of_the_plane_below_a_row(row: float) -> None:
    pitch = math.radians(10)
    camera = camera_at(pitch, FOCAL, 640, 360)
    distance = distance_of_row(row, pitch, FOCAL, 180)
    pixel, _ = camera.project(np.array([[0.0, distance, 0.0]]))
    np.testing.assert_allclose(pixel[0], [320.0, row], atol=1e-6)


def test_a_row_above_the_horizon_has_no_point() -> None:
    with pytest.raises(CameraError, match="above the horizon"):
        distance_of_row(100.0, math.radians(2), FOCAL, 180)


def test_the_camera_stands_south_one_metre_up_and_looks_north() -> None:
    camera = camera_at(math.radians(12), FOCAL, 640, 360)
    np.testing.assert_allclose(camera.position, [0, 0, 1], atol=1e-12)
    forward = camera.rays(np.array([[320.0, 180.0]]))[0]
    np.testing.assert_allclose(
        forward, [0, math.cos(math.radians(12)), -math.sin(math.radians(12))], atol=1e-12
    )
    assert camera.rays(np.array([[640.0, 180.0]]))[0][0] > 0
    assert np.linalg.det(camera.world_to_camera[:3, :3]) == pytest.approx(1.0)


def test_focal_length_from_setting_then_exif_then_forty_degrees() -> None:
    def degrees(picture: Picture, settings: SceneSettings) -> float:
        return math.degrees(2 * math.atan(320 / focal_pixels(picture, settings)))

    assert degrees(blank(focal=50.0), SceneSettings(horizontal_fov_degrees=60.0)) == pytest.approx(60.0)
    assert degrees(blank(focal=50.0), SceneSettings()) == pytest.approx(39.5978, abs=1e-3)
    assert degrees(blank(), SceneSettings()) == pytest.approx(40.0)
    with pytest.raises(CameraError, match="between 1 and 170"):
        focal_pixels(blank(), SceneSettings(horizontal_fov_degrees=180.0))


def pitch_of(view) -> float:
    forward = view.camera.world_to_camera[2, :3]
    return math.degrees(math.atan2(-forward[2], forward[1]))


def test_horizon_and_pitch_settings_agree() -> None:
    focal = focal_pixels(blank(), SceneSettings())
    row = horizon_of_pitch(math.radians(9), focal, 180)
    by_row = find_view(blank(), SceneSettings(horizon_y=row), 300, nothing())
    by_pitch = find_view(blank(), SceneSettings(camera_pitch_degrees=9.0), 300, nothing())
    assert pitch_of(by_row) == pytest.approx(9.0)
    np.testing.assert_allclose(by_row.camera.world_to_camera, by_pitch.camera.world_to_camera, atol=1e-12)


def test_rows_are_of_the_file() -> None:
    """A picture reduced to half: row 200 of the file is row 100 here."""
    view = find_view(blank(scale=0.5), SceneSettings(horizon_y=200.0), 300, nothing())
    far, _ = view.camera.project(np.array([[0.0, 1e9, 0.0]]))
    assert far[0, 1] == pytest.approx(100.0, abs=1e-3)


def test_the_table_ends_at_its_row() -> None:
    view = find_view(blank(), SceneSettings(table_edge_y=220.0, camera_pitch_degrees=10.0), 300, nothing())
    pixel, _ = view.camera.project(np.array([[0.0, view.edge_distance, 0.0]]))
    assert pixel[0, 1] == pytest.approx(220.0, abs=1e-6)


def test_an_edge_alone_gives_a_pitch_with_the_base_nearer() -> None:
    view = find_view(blank(), SceneSettings(table_edge_y=240.0), 300, nothing())
    base, _ = view.camera.project(np.array([[0.0, view.edge_distance / 1.5, 0.0]]))
    assert base[0, 1] == pytest.approx(300.0, abs=1.0)


@pytest.mark.parametrize(
    "settings", [SceneSettings(horizon_y=330.0), SceneSettings(camera_pitch_degrees=-20.0)]
)
def test_a_base_above_the_given_horizon_is_refused(settings: SceneSettings) -> None:
    with pytest.raises(CameraError, match="above the horizon"):
        find_view(blank(), settings, 300, nothing())


def test_a_base_near_the_top_still_gets_a_camera() -> None:
    view = find_view(blank(), SceneSettings(), 40.0, nothing())
    assert view.edge_distance > 0


def test_finds_a_level_edge_and_no_edge(still_life) -> None:
    true_row = still_life.camera.project(np.array([[0.0, still_life.wall, 0.0]]))[0][0, 1]
    base = np.flatnonzero((still_life.matte > 0.5).any(1))[-1]
    found = table_edge(still_life.picture.rgb, base, still_life.matte)
    assert found == pytest.approx(true_row, abs=3)
    assert table_edge(blank().rgb, 300, nothing()) is None


@pytest.mark.parametrize(
    ("name", "base", "row"), [("play_doh", 585, 468), ("jam", 612, 440), ("dumpling", 662, 527)]
)
def test_finds_the_examples_edges(examples: Path, name: str, base: int, row: int) -> None:
    picture = load_picture(examples / f"{name}.png")
    found = table_edge(picture.rgb, base, nothing(*picture.rgb.shape[:2]))
    assert found == pytest.approx(row, abs=14)
