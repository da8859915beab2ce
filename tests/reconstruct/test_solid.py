"""Solids: closed, round where the outline is round, exactly as wide as the outline, standing on the plane; filled evenly."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.camera import camera_at
from perpetua.reconstruct.particles import fill, spacing_for
from perpetua.reconstruct.silhouette import corners_of, outline_of
from perpetua.reconstruct.solid import Solid, inflate

FOCAL = 660.0
CAMERA = camera_at(math.radians(8), FOCAL, 480, 272)


def mesh_of(solid: Solid) -> trimesh.Trimesh:
    return trimesh.Trimesh(solid.vertices, solid.faces, process=False)


def shape(draw) -> NDArray[np.float32]:
    large = np.zeros((4 * 272, 4 * 480), np.uint8)
    draw(large)
    return cv2.resize(large, (480, 272), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def bar(large: NDArray) -> None:
    cv2.line(large, (800, 500), (1200, 300), 255, 120)


def heap(large: NDArray) -> None:
    cv2.ellipse(large, (960, 800), (420, 300), 0, 180, 360, 255, -1)


def ring(large: NDArray) -> None:
    cv2.circle(large, (960, 540), 250, 255, 100)


def star(large: NDArray) -> None:
    angle = np.linspace(0, 2 * np.pi, 10, endpoint=False) + 0.1
    radius = np.where(np.arange(10) % 2, 110, 330)
    points = np.stack([960 + radius * np.cos(angle), 560 + radius * np.sin(angle)], 1)
    cv2.fillPoly(large, [points.astype(np.int32)], 255)


@pytest.fixture(scope="module")
def ball(still_life) -> Solid:
    return inflate(still_life.matte, still_life.camera, resting=True, soft=True)


def test_a_balls_outline_gives_the_ball(ball: Solid, still_life) -> None:
    width, depth, height = np.ptp(ball.vertices, axis=0)
    assert width == pytest.approx(2 * still_life.radius, rel=0.05)
    assert depth == pytest.approx(2 * still_life.radius, rel=0.10)
    assert height == pytest.approx(2 * still_life.radius, rel=0.05)
    assert ball.volume == pytest.approx(4 / 3 * math.pi * still_life.radius**3, rel=0.12)


def test_the_ball_stands_where_it_stood(ball: Solid, still_life) -> None:
    middle = (ball.vertices.min(0) + ball.vertices.max(0)) / 2
    np.testing.assert_allclose(
        middle, [0.0, still_life.distance, still_life.radius], atol=0.1 * still_life.radius
    )
    assert ball.vertices[:, 2].min() == pytest.approx(0.0, abs=0.02 * still_life.radius)


@pytest.mark.parametrize("draw", [bar, heap, ring, star])
@pytest.mark.parametrize("resting", [True, False])
def test_closed_outward_and_above_the_plane(draw, resting: bool) -> None:
    solid = inflate(shape(draw), CAMERA, resting, soft=True, centre_y=4.0)
    mesh = mesh_of(solid)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert len(np.unique(solid.faces)) == len(solid.vertices)
    if resting:
        assert solid.vertices[:, 2].min() >= 0.0


def test_a_jagged_outline_is_closed_too() -> None:
    rng = np.random.default_rng(1)
    noise = cv2.GaussianBlur(rng.normal(size=(272, 480)), (0, 0), 3)
    disc = np.hypot(*(np.indices((272, 480)) - np.array([136, 240])[:, None, None])) < 80
    matte = (disc & (noise > -0.03)).astype(np.float32)
    assert mesh_of(inflate(matte, CAMERA, False, False, 4.0)).is_watertight


@pytest.mark.parametrize("draw", [bar, heap, star])
def test_covers_exactly_its_outline(draw) -> None:
    """The silhouette of the mesh, drawn by its projected faces, is the matte."""
    matte = shape(draw)
    solid = inflate(matte, CAMERA, draw is heap, soft=True, centre_y=4.0)
    pixels, _ = CAMERA.project(solid.vertices)
    drawn = np.zeros((4 * 272, 4 * 480), np.uint8)
    for face in (pixels * 4 * 16).round().astype(np.int32)[solid.faces]:
        cv2.fillConvexPoly(drawn, face, 255, shift=4)
    drawn = cv2.resize(drawn, (480, 272), interpolation=cv2.INTER_AREA) > 127
    truth = matte > 0.5
    assert (drawn & truth).sum() / (drawn | truth).sum() > 0.97


def test_a_bar_is_round() -> None:
    """Its depth is its thickness across, not its length."""
    solid = inflate(shape(bar), CAMERA, resting=False, soft=False, centre_y=4.0)
    thickness = 30 / FOCAL * 4.0
    depth = CAMERA.project(solid.vertices)[1]
    assert np.ptp(depth) == pytest.approx(thickness, rel=0.15)


def test_a_soft_heap_is_deeper_than_a_hard_one() -> None:
    soft = inflate(shape(heap), CAMERA, True, soft=True)
    hard = inflate(shape(heap), CAMERA, True, soft=False)
    assert np.ptp(soft.vertices[:, 1]) > 1.1 * np.ptp(hard.vertices[:, 1])


def test_what_reaches_the_table_beside_the_foot_is_no_flat_leaf() -> None:
    """A heap whose ends come down to the table as far in front as its middle does: left where it is, the ends' solid would be below the
    plane, and flat on it."""

    def ends(large: NDArray) -> None:
        cv2.ellipse(large, (960, 660), (420, 260), 0, 180, 360, 255, -1)
        cv2.rectangle(large, (460, 600), (1460, 660), 255, -1)

    solid = inflate(shape(ends), CAMERA, True, soft=True)
    corners = corners_of(solid.inside.shape, solid.origin, solid.cell)
    enter, leave = solid.depths(corners.reshape(-1, 2))
    inner = (solid.squared > 0) & ~outline_of(solid.inside)
    assert solid.nearer.max() > 0.1
    assert ((leave - enter).reshape(inner.shape)[inner] < 1e-6).mean() < 0.02
    assert mesh_of(solid).is_watertight


def test_refusals() -> None:
    with pytest.raises(ReconstructionError, match="fewer than 16 pixels"):
        inflate(np.zeros((272, 480), np.float32), CAMERA, True, True)
    with pytest.raises(ReconstructionError, match="hanging object"):
        inflate(shape(bar), CAMERA, False, False)
    with pytest.raises(ReconstructionError, match="above the horizon"):
        inflate(np.roll(shape(bar), -75, 0), camera_at(0.0, FOCAL, 480, 272), True, True)
    thin = np.zeros((272, 480), np.float32)
    thin[100, 100:200] = 1
    with pytest.raises(ReconstructionError, match="too thin"):
        inflate(thin, CAMERA, False, False, 4.0)


@pytest.mark.parametrize("target", [300, 5000, 20_000])
def test_particles_fill_the_ball_evenly(ball: Solid, target: int) -> None:
    spacing = spacing_for([ball], target)
    points = fill(ball, spacing, seed=3)
    assert len(points) == pytest.approx(target, rel=0.03)
    assert len(points) * spacing**3 == pytest.approx(ball.volume, rel=0.12)
    nearest = cKDTree(points).query(points, k=2)[0][:, 1] / spacing
    assert nearest.min() > 0.75
    assert nearest.max() < 1.15
    assert points[:, 2].min() == pytest.approx(spacing / 2, rel=1e-9)


def test_particles_lie_inside_the_mesh(ball: Solid) -> None:
    spacing = spacing_for([ball], 250)
    points = fill(ball, spacing, seed=0)
    mesh = mesh_of(ball)
    outside = np.array([not inside for inside in mesh.contains(points)])
    distance = (
        np.abs(trimesh.proximity.signed_distance(mesh, points[outside])) if outside.any() else np.zeros(1)
    )
    assert distance.max() < 0.1 * spacing


def test_filling_is_deterministic(ball: Solid) -> None:
    np.testing.assert_array_equal(fill(ball, 0.05, 1), fill(ball, 0.05, 1))
    assert (fill(ball, 0.05, 1) != fill(ball, 0.05, 2)).any()


@pytest.mark.parametrize(("spacing", "words"), [(1e-4, "raise it"), (1.0, "lower it")])
def test_impossible_spacings(ball: Solid, spacing: float, words: str) -> None:
    with pytest.raises(ReconstructionError, match=words):
        fill(ball, spacing, 0)
