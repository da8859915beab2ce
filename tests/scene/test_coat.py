"""The picture on matter that flows: one sheet, whatever each particle's own deformation has come to."""

from __future__ import annotations

import numpy as np
import pytest
from lit_scenes import block
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from perpetua.scene.coat import Coat

S = 0.005
STRETCH = np.array([[1.6, 0.3, 0.0], [0.0, 1.1, 0.2], [0.0, 0.0, 0.6]])


@pytest.fixture(scope="module")
def rest() -> np.ndarray:
    return block((0.06, 0.06, 0.04), (-0.03, -0.03, 0.0), S)


@pytest.fixture(scope="module")
def top() -> np.ndarray:
    """Splats in a plane half a spacing above the highest particles, a tenth of a spacing apart, away from the block's edges."""
    x, y = np.meshgrid(*2 * [np.arange(-0.015, 0.015, S / 10)], indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.04)], 1)


def astray(F: np.ndarray, count: int, degrees: float) -> np.ndarray:
    """``F`` as each of so many particles may have come to know it: turned its own way."""
    turns = np.random.default_rng(3).normal(scale=np.radians(degrees), size=(count, 3))
    return Rotation.from_rotvec(turns).as_matrix() @ F


def test_where_all_particles_agree_the_sheet_goes_where_they_do(rest, top):
    F = np.broadcast_to(STRETCH, (len(rest), 3, 3))
    places, A = Coat(top, rest, S).at(rest @ STRETCH.T + 0.1, F)
    np.testing.assert_allclose(places, top @ STRETCH.T + 0.1, atol=1e-9)
    np.testing.assert_allclose(A, np.broadcast_to(STRETCH, A.shape), atol=1e-9)


def test_a_stretched_surface_stays_flat_where_single_particles_would_break_it(rest, top):
    coat, moved = Coat(top, rest, S), rest @ STRETCH.T
    F = astray(STRETCH, len(rest), 20.0)
    nearest = cKDTree(rest).query(top)[1]
    alone = moved[nearest] + np.einsum("nij,nj->ni", F[nearest], top - rest[nearest])
    truth = top @ STRETCH.T
    assert np.linalg.norm(alone - truth, axis=1).max() > 0.2 * S
    assert np.linalg.norm(coat.at(moved, F)[0] - truth, axis=1).max() < 0.02 * S


def test_a_surface_that_is_bent_has_no_gaps(rest, top):
    """Layers slide the farther the higher they lie, by a parabola, as in a viscous film that flows."""
    moved = rest + 20.0 * rest[:, 2:] ** 2 * [1.0, 0.0, 0.0]
    F = astray(np.eye(3), len(rest), 10.0)
    places, _ = Coat(top, rest, S).at(moved, F)
    side = round(len(top) ** 0.5)
    grid = places.reshape(side, side, 3)
    steps = np.concatenate([np.diff(grid, axis=axis).reshape(-1, 3) for axis in (0, 1)])
    assert np.linalg.norm(steps, axis=1).max() < 1.15 * S / 10
    truth = top + 20.0 * top[:, 2:] ** 2 * [1.0, 0.0, 0.0]
    bend = 20.0 * S**2  # what a map that is straight over a spacing leaves of the parabola
    assert np.linalg.norm(places - truth, axis=1).max() < 1.5 * bend


def test_a_drop_of_one_particle_moves_as_that_does(rest):
    splats = np.random.default_rng(0).normal(scale=0.3 * S, size=(50, 3))
    places, A = Coat(splats, np.zeros((1, 3)), S).at(np.array([[0.1, 0.2, 0.3]]), STRETCH[None])
    np.testing.assert_allclose(places, splats @ STRETCH.T + [0.1, 0.2, 0.3], atol=1e-12)
    np.testing.assert_allclose(A, np.broadcast_to(STRETCH, A.shape), atol=1e-12)
