"""The moving-least-squares gradient: exact for affine fields, blind across bodies, calm where matter is flat."""

import numpy as np
import pytest

from perpetua.scene.gradient import displacement_gradient


@pytest.fixture
def cloud() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.05, 0.05, (400, 3))


def test_exact_for_an_affine_field(cloud: np.ndarray) -> None:
    A = np.array([[0.1, -0.3, 0.2], [0.05, 0.4, 0.0], [-0.2, 0.1, -0.25]])
    G = displacement_gradient(cloud, cloud @ A.T + [1.0, 2.0, 3.0], np.zeros(len(cloud), np.int32))
    np.testing.assert_allclose(G, np.broadcast_to(A, G.shape), atol=1e-9)


def test_close_for_a_smooth_field(cloud: np.ndarray) -> None:
    u = 0.01 * np.sin(20 * cloud[:, [1, 2, 0]])
    truth = np.zeros((len(cloud), 3, 3))
    for i, j in ((0, 1), (1, 2), (2, 0)):
        truth[:, i, j] = 0.2 * np.cos(20 * cloud[:, j])
    inside = np.abs(cloud).max(1) < 0.04
    G = displacement_gradient(cloud, u, np.zeros(len(cloud), np.int32))
    assert np.abs(G - truth)[inside].mean() < 0.005


def test_bodies_do_not_see_each_other(cloud: np.ndarray) -> None:
    body = (np.arange(len(cloud)) % 2).astype(np.int32)
    u = np.where(body[:, None] == 0, cloud * 0.1, cloud * -0.3 + 5.0)
    G = displacement_gradient(cloud, u, body)
    eye = np.broadcast_to(np.eye(3), (200, 3, 3))
    np.testing.assert_allclose(G[body == 0], 0.1 * eye, atol=1e-9)
    np.testing.assert_allclose(G[body == 1], -0.3 * eye, atol=1e-9)


def test_a_flat_sheet_has_no_gradient_across_it(cloud: np.ndarray) -> None:
    sheet = cloud * [1.0, 1.0, 0.0]
    G = displacement_gradient(sheet, sheet * 0.2, np.zeros(len(sheet), np.int32))
    np.testing.assert_allclose(G, np.broadcast_to(np.diag([0.2, 0.2, 0.0]), G.shape), atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_particles_give_finite_gradients(count: int) -> None:
    points = np.eye(3)[:count]
    G = displacement_gradient(points, points * 0.5, np.zeros(count, np.int32))
    assert np.isfinite(G).all()
    assert np.abs(G).max() <= 0.5 + 1e-9
