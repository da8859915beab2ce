"""A disc of cloth in a picture becomes an even sheet that faces the camera and fills the outline."""

import numpy as np
import pytest

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.camera import camera_at
from perpetua.reconstruct.particles import SHEET_COST, spacing_for
from perpetua.reconstruct.sheet import CLOTH_DEPTH, area_of, drape
from perpetua.reconstruct.solid import inflate

CAMERA = camera_at(0.1, 300.0, 320, 240)


@pytest.fixture(scope="module")
def solid():
    v, u = np.mgrid[:240, :320]
    matte = ((u - 150) ** 2 + (v - 120) ** 2 < 60**2).astype(np.float32)
    return inflate(matte, CAMERA, resting=False, soft=False, centre_y=4.0, depth=CLOTH_DEPTH)


def test_a_sheet_is_even_and_fills_the_outline(solid):
    spacing = 0.08
    points, faces = drape(solid, spacing)
    assert len(points) == len(np.unique(faces))
    sides = np.linalg.norm(points[faces] - points[np.roll(faces, 1, axis=1)], axis=-1)
    assert np.median(sides.min(1)) == pytest.approx(spacing, rel=0.1)
    pixels, _ = CAMERA.project(points)
    radius = np.linalg.norm(pixels - [150, 120], axis=1)
    assert radius.max() <= 61
    assert radius.max() > 50
    normals = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    towards = (normals * (CAMERA.position - points[faces[:, 0]])).sum(1)
    assert (towards > 0).all()


def test_the_particles_asked_for_are_shared_by_solids_and_sheets(solid):
    alone = spacing_for([], 3000, [solid])
    assert SHEET_COST * len(drape(solid, alone)[0]) == pytest.approx(3000, rel=0.15)
    both = spacing_for([solid], 3000, [solid])
    expected = solid.volume / both**3 + SHEET_COST * area_of(solid) / both**2
    assert expected == pytest.approx(3000, rel=1e-3)


def test_a_spacing_too_coarse_for_a_sheet_is_refused(solid):
    with pytest.raises(ReconstructionError, match="points in a cloth"):
        drape(solid, 2.0)
