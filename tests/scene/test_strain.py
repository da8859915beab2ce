"""How far matter has flowed from where the picture shows it: no turn counts, a stretch counts as much as it is long."""

from __future__ import annotations

import numpy as np
import pytest
from lit_scenes import ball_scene, painted
from scipy.spatial.transform import Rotation

from perpetua.scene.strain import CLOSING, FADING, Strain, closed, picture_left


@pytest.fixture(scope="module")
def ball():
    return ball_scene(*painted(np.array([0.0, 0.0, 1.0]), 0.4, 0.6))


def test_a_turn_and_a_shift_are_no_strain_and_a_stretch_is_its_own(ball):
    strain = Strain(ball, np.ones(len(ball.particles), bool))
    rest = ball.particles.positions.astype(np.float64)
    turned = rest @ Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix().T + [0.2, 0.0, 0.5]
    assert strain.at(turned.astype(np.float32)).max() < 1e-4
    np.testing.assert_allclose(strain.at((1.3 * rest).astype(np.float32)), 0.3, atol=1e-4)


def test_other_matter_has_nothing_of_the_picture(ball):
    which = np.ones(len(ball.particles), bool)
    which[:5] = False
    strains = Strain(ball, which).at(ball.particles.positions)
    assert np.isinf(strains[:5]).all()
    assert picture_left(strains)[:5].max() == 0.0
    assert closed(strains)[:5].min() == 1.0
    assert picture_left(strains)[5:].min() == 1.0
    assert closed(strains)[5:].max() == 0.0


def test_the_skin_is_whole_before_the_picture_fades():
    between = np.array([CLOSING[1], FADING[0]])
    np.testing.assert_allclose(closed(between), 1.0)
    np.testing.assert_allclose(picture_left(between), 1.0)
