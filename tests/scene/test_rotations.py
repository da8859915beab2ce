"""Quaternions, matrices and the rotation inside a deformation, against SciPy and known cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

from perpetua.scene.rotations import (
    matrix_from_quaternion,
    polar_rotation,
    quaternion_from_matrix,
    quaternion_multiply,
)


@pytest.fixture
def turns() -> Rotation:
    return Rotation.random(200, random_state=0)


def wxyz(rotation: Rotation) -> torch.Tensor:
    return torch.from_numpy(rotation.as_quat(scalar_first=True))


def test_matrix_from_quaternion_of_any_length(turns: Rotation) -> None:
    scale = torch.rand(200, 1, dtype=torch.float64) + 0.1
    np.testing.assert_allclose(matrix_from_quaternion(wxyz(turns) * scale), turns.as_matrix(), atol=1e-12)


def test_quaternion_from_matrix_round_trip(turns: Rotation) -> None:
    quats = quaternion_from_matrix(torch.from_numpy(turns.as_matrix()))
    assert (quats[:, 0] >= 0).all()
    np.testing.assert_allclose(matrix_from_quaternion(quats), turns.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0.0], [0.0, -0.6, 0.8]])
def test_half_turns_have_their_axis(axis: list[float]) -> None:
    half = Rotation.from_rotvec(np.pi * np.array(axis)).as_matrix()
    quat = quaternion_from_matrix(torch.from_numpy(half))
    np.testing.assert_allclose(matrix_from_quaternion(quat), half, atol=1e-7)


def test_product_turns_by_the_second_first(turns: Rotation) -> None:
    a, b = turns[:100], turns[100:]
    product = quaternion_multiply(wxyz(a), wxyz(b))
    np.testing.assert_allclose(matrix_from_quaternion(product), (a * b).as_matrix(), atol=1e-12)


def test_polar_rotation_is_scipy_s(turns: Rotation) -> None:
    random = np.random.default_rng(0)
    stretch = np.eye(3) + 0.3 * random.normal(size=(200, 3, 3))
    F = turns.as_matrix() @ (stretch @ stretch.swapaxes(1, 2) + 0.05 * np.eye(3))
    ours = polar_rotation(torch.from_numpy(F).float())
    np.testing.assert_allclose(ours, np.stack([polar(f)[0] for f in F]), atol=2e-4)


@pytest.mark.parametrize("stretch", [0.1, 10.0])
def test_polar_rotation_of_strong_stretches(stretch: float) -> None:
    turn = Rotation.from_rotvec([0.3, 1.2, -0.4]).as_matrix()
    F = torch.from_numpy(turn @ np.diag([stretch, 1.0, 1.0])).float()
    np.testing.assert_allclose(polar_rotation(F[None])[0], turn, atol=1e-5)


def test_polar_rotation_of_what_has_none_is_still_a_rotation() -> None:
    F = torch.stack(
        [torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 1.0, -1.0])), torch.full((3, 3), torch.nan)]
    )
    R = polar_rotation(F)
    np.testing.assert_allclose(R @ R.mT, np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-5)
    np.testing.assert_allclose(torch.linalg.det(R), 1.0, atol=1e-5)
