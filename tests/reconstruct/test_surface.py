"""Solids from depth: volumes, centres and planes against closed forms, thin parts, and objects that touch."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from drawn_captures import Ball, Box, capture_of
from scipy.spatial import cKDTree

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.capture.capture import Capture
from perpetua.reconstruct.surface.filling import fill_field, sheet_of_field, spacing_of, volume_of
from perpetua.reconstruct.surface.fusion import Field, fuse
from perpetua.reconstruct.surface.plane import find_plane
from perpetua.reconstruct.surface.shape import cleaned, cut_at_plane, surface

SIZE = (160, 120)
BALL_AND_BOX: dict = {
    "ball": [Ball((-0.07, 0.02, 0.05), 0.05)],
    "box": [Box((0.02, -0.04, 0), (0.12, 0.05, 0.06))],
}
STACK: dict = {"slab": [Box((-0.1, -0.08, 0), (0.1, 0.08, 0.04))], "ball": [Ball((0.0, 0.0, 0.08), 0.04)]}
PLATE: dict = {"plate": [Box((-0.12, -0.006, 0.02), (0.12, 0.006, 0.16))]}


@pytest.fixture(scope="module")
def beside() -> Capture:
    return capture_of(BALL_AND_BOX, 16, SIZE)


def solid(capture: Capture, thing: int, across: int = 64, resting: bool = True) -> Field:
    field = fuse(list(capture.views), thing, capture.objects[thing], across, 0.0 if resting else None)
    return cleaned(cut_at_plane(field) if resting else field, capture.objects[thing])


def off(found: np.ndarray, truth: tuple[float, float, float]) -> float:
    return float(np.linalg.norm(found - np.array(truth)))


@pytest.mark.parametrize(
    ("thing", "volume", "centre", "size"),
    [
        (0, 4 / 3 * np.pi * 0.05**3, (-0.07, 0.02, 0.05), 0.1),
        (1, 0.1 * 0.09 * 0.06, (0.07, 0.005, 0.03), 0.1),
    ],
)
def test_volume_and_centre(beside: Capture, thing: int, volume: float, centre, size: float) -> None:
    field = solid(beside, thing)
    mesh = trimesh.Trimesh(*surface(field), process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(volume, rel=0.03)
    assert volume_of(field) == pytest.approx(mesh.volume, rel=0.01)
    points = fill_field(field, 0.006, "thing", 0, 0.0)
    assert len(points) * 0.006**3 == pytest.approx(volume, rel=0.04)
    assert off(points.mean(0), centre) < 0.02 * size
    assert off(mesh.center_mass, centre) < 0.015 * size


def test_particles_are_even(beside: Capture) -> None:
    points = fill_field(solid(beside, 0), 0.006, "ball", 0, 0.0)
    nearest = cKDTree(points).query(points, 2)[0][:, 1] / 0.006
    assert nearest.min() > 0.75
    assert nearest.max() < 1.25
    assert points[:, 2].min() == pytest.approx(0.003, abs=1e-9)


def test_a_count_can_be_asked_for(beside: Capture) -> None:
    fields = [solid(beside, 0), solid(beside, 1)]
    spacing = spacing_of(fields, [0.0, 0.0], 3000)
    assert sum(len(fill_field(f, spacing, "x", 0, 0.0)) for f in fields) == pytest.approx(3000, rel=0.03)


def test_objects_that_touch_stay_apart() -> None:
    capture = capture_of(STACK, 16, SIZE)
    slab, ball = solid(capture, 0), solid(capture, 1, resting=False)
    assert volume_of(ball) == pytest.approx(4 / 3 * np.pi * 0.04**3, rel=0.06)
    assert volume_of(slab) == pytest.approx(0.2 * 0.16 * 0.04, rel=0.05)


def test_thin_parts_are_kept() -> None:
    field = solid(capture_of(PLATE, 18, SIZE, at=(0, 0, 0.09)), 0, 96, resting=False)
    thick = 0.012
    assert volume_of(field) == pytest.approx(0.24 * 0.14 * thick, rel=0.12)
    spacing = 0.02  # coarser than the plate is thick
    points = fill_field(field, spacing, "plate", 0)
    matter = field.centres()[field.values.ravel() < 0]
    assert cKDTree(points).query(matter)[0].max() < 1.1 * spacing
    assert np.abs(points[:, 1]).max() < thick


def test_cloth_becomes_a_sheet_in_its_middle() -> None:
    field = solid(capture_of(PLATE, 18, SIZE, at=(0, 0, 0.09)), 0, 96, resting=False)
    corners, faces = sheet_of_field(field, 0.012, "plate")
    assert np.abs(corners[:, 1]).max() < 0.004
    area = np.linalg.norm(np.cross(*(np.diff(corners[faces], axis=1).transpose(1, 0, 2))), axis=1).sum() / 2
    assert area == pytest.approx(0.24 * 0.14, rel=0.15)
    assert faces.max() == len(corners) - 1


@pytest.mark.parametrize("tilt", [0.0, 25.0])
def test_the_plane_is_found(beside: Capture, tilt: float) -> None:
    a = np.radians(tilt)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    moved = beside.moved(turn, np.array([0.3, -0.2, 0.5]), 1.7)
    plane = find_plane(list(moved.views), 0)
    normal = turn @ [0, 0, 1]
    assert np.degrees(np.arccos(min(1.0, plane.normal @ normal))) < 0.05
    assert plane.offset == pytest.approx(normal @ [0.3, -0.2, 0.5], abs=1e-3)
    np.testing.assert_allclose(plane.to_level() @ plane.normal, [0, 0, 1], atol=1e-9)


def test_no_plane_is_an_error() -> None:
    views = [
        type(v)(v.name, v.camera, v.rgb, np.where(v.objects >= 0, v.depth, np.float32(np.inf)), v.objects)
        for v in capture_of({"ball": [Ball((0, 0, 0.1), 0.05)]}).views
    ]
    with pytest.raises(ReconstructionError, match="No table or floor"):
        find_plane(views, 0)


def test_an_object_that_is_hardly_seen_is_refused(beside: Capture) -> None:
    with pytest.raises(ReconstructionError, match="0 pixels of the capture show object 'ghost'"):
        fuse(list(beside.views), 7, "ghost", 64)


def test_a_spacing_that_leaves_nothing_is_refused(beside: Capture) -> None:
    field = solid(beside, 0)
    with pytest.raises(ReconstructionError, match="leaves only"):
        fill_field(field, 0.5, "ball", 0)
    with pytest.raises(ReconstructionError, match="asks for"):
        fill_field(field, 1e-4, "ball", 0)
