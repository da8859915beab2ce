"""The measured deformation against maps that are known exactly."""

import numpy as np
import pytest
from physics_scenes import ball_points
from scipy.spatial.transform import Rotation

from perpetua.physics import deformation_kernels as kernels
from perpetua.physics.deformation import (
    FLOWING,
    REGULARISATION,
    SOLID,
    Deformation,
    StretchLimit,
    limited,
    nearest,
)

WIDE = StretchLimit(0.01, 100.0)
RNG = np.random.default_rng(0)
POINTS = ball_points(0.03, 0.006, (0.1, 0.2, 0.3)) + RNG.uniform(-0.0015, 0.0015, (515, 3))
EYE = np.tile(np.eye(3), (len(POINTS), 1, 1))


def advance(total_F, before, after, limit):
    return Deformation(POINTS, 0.006, limit).advance(total_F, before, after, 1 / 24)


def displacement_gradient(before, after):
    return kernels.gradients(before, after, nearest(before, 24), REGULARISATION)


MAPS = {
    "turn": Rotation.from_rotvec([0.2, -0.1, 0.3]).as_matrix(),
    "stretch": np.diag([1.3, 0.8, 1.0]),
    "shear": np.array([[1.0, 0.25, 0.0], [0.0, 1.0, 0.0], [0.0, -0.1, 1.0]]),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_linear_map_is_measured_exactly_at_the_skin_as_inside(name):
    A = MAPS[name]
    F = advance(EYE, POINTS, POINTS @ A.T + [0.5, 0, -0.2], WIDE)
    np.testing.assert_allclose(F, np.broadcast_to(A, F.shape), atol=2e-3)


def test_a_full_turn_in_steps_ends_at_no_rotation():
    step = Rotation.from_rotvec([0, 0, 2 * np.pi / 24]).as_matrix()
    F, x = EYE, POINTS
    for _ in range(24):
        y = x @ step.T
        F, x = advance(F, x, y, SOLID), y
    assert np.abs(F - np.eye(3)).max() < 0.03


def test_plastic_flow_is_remembered_over_frames():
    F, x = EYE, POINTS
    for _ in range(5):
        y = x * [1.05, 1.0, 1 / 1.05]
        F, x = advance(F, x, y, SOLID), y
    np.testing.assert_allclose(np.median(F, 0), np.diag([1.05**5, 1.0, 1.05**-5]), atol=5e-3)


def test_a_bending_field_gives_its_local_gradient():
    def bend(p):
        return p + np.stack([np.zeros(len(p)), np.zeros(len(p)), 4.0 * p[:, 0] ** 2], 1)

    G = displacement_gradient(POINTS, bend(POINTS))
    inside = np.linalg.norm(POINTS - [0.1, 0.2, 0.3], axis=1) < 0.02
    np.testing.assert_allclose(G[inside, 2, 0], 8.0 * POINTS[inside, 0], atol=0.03)


def test_stretches_are_clamped_and_never_mirrored():
    F = np.stack([np.diag([10.0, 1, 1]), np.diag([0.01, 1, 1]), np.diag([-1.0, 1, 1])])
    out = limited(F, SOLID, 1 / 24)
    stretch = np.linalg.svd(out, compute_uv=False)
    assert stretch.max() <= 2.0 + 1e-5
    assert stretch.min() >= 0.5 - 1e-5
    assert (np.linalg.det(out) > 0).all()


def test_flowing_matter_forgets_stretch_but_keeps_its_turn():
    R = Rotation.from_rotvec([0.4, 0, 0]).as_matrix()
    F = (R @ np.diag([1.3, 1.0, 0.8]))[None]
    for _ in range(60):
        F = limited(F, FLOWING, 1 / 24)
    np.testing.assert_allclose(F[0], R, atol=1e-3)


def test_particles_in_a_plane_or_too_few_give_a_finite_gradient():
    flat = POINTS * [1, 1, 0]
    assert np.isfinite(displacement_gradient(flat, flat * 1.1)).all()
    np.testing.assert_array_equal(displacement_gradient(POINTS[:3], POINTS[:3] * 2), 0)


@pytest.mark.parametrize("reach", [0.003, 0.0096, 0.5])
def test_neighbours_within_reach_are_all_and_only_those(reach):
    found = kernels.neighbours_within(POINTS, reach, len(POINTS))
    apart = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=-1)
    for p, row in enumerate(found):
        near = set(np.flatnonzero(apart[p] < reach)) - {p}
        assert set(row[row >= 0]) == near


def test_matter_that_flows_is_measured_by_the_neighbours_it_has_now():
    body = Deformation(POINTS, 0.006, StretchLimit(0.01, 100.0, relaxation_s=1e9))
    mixed = np.random.default_rng(1).permutation(POINTS)
    A = MAPS["stretch"]
    F = body.advance(EYE, mixed, mixed @ A.T, 1 / 24)
    np.testing.assert_allclose(np.median(F, 0), A, atol=2e-3)


def test_stretches_beyond_are_told_from_those_within():
    F = RNG.normal(size=(2000, 3, 3)) * 0.4 + np.eye(3)
    stretch = np.linalg.svd(F, compute_uv=False)
    out = (np.linalg.det(F) <= 0) | (stretch.min(1) < 0.5) | (stretch.max(1) > 2.0)
    assert 100 < out.sum() < 1900
    np.testing.assert_array_equal(kernels.beyond(F, 0.5, 2.0), out)
    assert not kernels.beyond(np.eye(3)[None], 0.5, 2.0).any()


def test_relaxed_stretches_come_nearer_to_one():
    F = RNG.normal(size=(500, 3, 3)) * 0.2 + np.eye(3)
    F = F[np.linalg.det(F) > 0.05]
    U, stretch, Vt = np.linalg.svd(F)
    wanted = np.matmul(U * (1 + 0.7 * (stretch - 1))[:, None, :], Vt)
    np.testing.assert_allclose(kernels.relaxed(F, 0.7), wanted, atol=1e-9)
