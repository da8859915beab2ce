"""Quaternions and matrices, against SciPy and known cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from perpetua.scene.rotations import (
    matrix_from_quaternion,
    quaternion_from_matrix,
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
