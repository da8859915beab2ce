"""Splats on particles: bound where they are, carried as matter carries them, and how close their shape is to F S F^T."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.transform import Rotation

from perpetua.scene import Binding, Gaussians, deform
from perpetua.scene.rotations import matrix_from_quaternion

PARTICLES, SPLATS = 40, 160


@pytest.fixture
def bound() -> tuple[Gaussians, Binding, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    positions = torch.rand(PARTICLES, 3, generator=random) * 0.1
    particle = torch.arange(SPLATS) % PARTICLES
    means = positions[particle] + 0.01 * torch.randn(SPLATS, 3, generator=random)
    splats = Gaussians.from_colors(
        means,
        torch.randn(SPLATS, 4, generator=random),
        0.002 + 0.006 * torch.rand(SPLATS, 3, generator=random),
        torch.full((SPLATS,), 0.7),
        torch.rand(SPLATS, 3, generator=random),
    )
    return splats, Binding.to_nearest(means, positions, particle), positions


def covariances(splats: Gaussians) -> torch.Tensor:
    R = matrix_from_quaternion(splats.quats)
    return R @ torch.diag_embed(splats.scales**2) @ R.mT


def identity(count: int = PARTICLES) -> torch.Tensor:
    return torch.eye(3).expand(count, 3, 3).contiguous()


def test_at_rest_nothing_moves(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    splats, binding, positions = bound
    still = deform(splats, binding, positions, identity())
    torch.testing.assert_close(still.means, splats.means, atol=1e-7, rtol=0)
    torch.testing.assert_close(covariances(still), covariances(splats), atol=1e-10, rtol=1e-4)
    assert still.sh is splats.sh
    assert still.opacity_logits is splats.opacity_logits


def test_offsets_stay_within_delta(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    _, binding, _ = bound
    assert torch.isfinite(binding.offsets).all()
    assert (binding.displacements().abs() < binding.delta).all()


def test_binding_no_splats() -> None:
    empty = Binding.to_nearest(torch.zeros(0, 3), torch.zeros(5, 3), torch.zeros(0, dtype=torch.int64))
    assert empty.displacements().shape == (0, 3)


def test_a_rigid_motion_carries_splats_exactly(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    splats, binding, positions = bound
    R = torch.from_numpy(Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()).float()
    shift = torch.tensor([0.1, 0.2, 0.3])
    moved = deform(splats, binding, positions @ R.T + shift, R.expand(PARTICLES, 3, 3))
    torch.testing.assert_close(moved.means, splats.means @ R.T + shift, atol=1e-6, rtol=0)
    torch.testing.assert_close(covariances(moved), R @ covariances(splats) @ R.T, atol=1e-9, rtol=1e-3)


def test_an_affine_motion_carries_centres_exactly(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    splats, binding, positions = bound
    F = torch.tensor([[1.2, 0.3, 0.0], [0.0, 0.8, -0.1], [0.1, 0.0, 1.1]])
    moved = deform(splats, binding, positions @ F.T, F.expand(PARTICLES, 3, 3))
    torch.testing.assert_close(moved.means, splats.means @ F.T, atol=1e-6, rtol=0)


def test_stretch_along_a_splat_s_axes_is_exact(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    splats, binding, positions = bound
    upright = Gaussians(
        splats.means,
        torch.tensor([1.0, 0, 0, 0]).expand(SPLATS, 4),
        splats.log_scales,
        splats.opacity_logits,
        splats.sh,
    )
    F = torch.diag(torch.tensor([1.5, 0.6, 1.1])).expand(PARTICLES, 3, 3)
    moved = deform(upright, binding, positions, F)
    torch.testing.assert_close(
        covariances(moved), F[0] @ covariances(upright) @ F[0].T, atol=1e-10, rtol=1e-4
    )


@pytest.mark.parametrize(("strain", "bound_mean", "bound_95"), [(0.05, 0.002, 0.02), (0.2, 0.005, 0.05)])
def test_how_close_the_covariance_is_to_the_exact_one(
    bound: tuple[Gaussians, Binding, torch.Tensor], strain: float, bound_mean: float, bound_95: float
) -> None:
    """Relative Frobenius error of deform's covariance against F S F^T for strains of the given size in random directions."""
    splats, binding, positions = bound
    random = torch.Generator().manual_seed(1)
    noise = torch.randn(PARTICLES, 3, 3, generator=random)
    turn = torch.from_numpy(Rotation.random(PARTICLES, random_state=2).as_matrix()).float()
    F = turn @ (torch.eye(3) + strain * (noise + noise.mT) / 2)
    exact = F[binding.particle] @ covariances(splats) @ F[binding.particle].mT
    error = torch.linalg.matrix_norm(covariances(deform(splats, binding, positions, F)) - exact)
    relative = error / torch.linalg.matrix_norm(exact)
    assert float(relative.mean()) < bound_mean
    assert float(relative.quantile(0.95)) < bound_95


def test_axes_keep_their_order(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    """From frame to frame a splat's axes move a little, they do not change places."""
    splats, binding, positions = bound
    slight = identity() + 0.01 * torch.randn(PARTICLES, 3, 3, generator=torch.Generator().manual_seed(3))
    moved = deform(splats, binding, positions, slight)
    ratio = moved.scales / splats.scales
    assert float((ratio - 1).abs().max()) < 0.1
    still = deform(splats, binding, positions, identity())
    before, after = (torch.nn.functional.normalize(g.quats, dim=-1) for g in (splats, still))
    torch.testing.assert_close((before * after).sum(-1).abs(), torch.ones(SPLATS), atol=1e-5, rtol=0)


def test_a_mirrored_or_flat_deformation_is_finite(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    splats, binding, positions = bound
    for F in (
        torch.diag(torch.tensor([1.0, 1.0, -1.0])),
        torch.diag(torch.tensor([1.0, 1.0, 0.0])),
        torch.zeros(3, 3),
    ):
        moved = deform(splats, binding, positions, F.expand(PARTICLES, 3, 3))
        assert torch.isfinite(moved.quats).all()
        assert torch.isfinite(moved.log_scales).all()
        R = matrix_from_quaternion(moved.quats)
        torch.testing.assert_close(torch.linalg.det(R), torch.ones(SPLATS), atol=1e-4, rtol=0)


def test_gradients_reach_positions_and_colours(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    splats, binding, positions = bound
    positions = positions.clone().requires_grad_()
    sh = splats.sh.clone().requires_grad_()
    rest = Gaussians(splats.means, splats.quats, splats.log_scales, splats.opacity_logits, sh)
    moved = deform(rest, binding, positions, identity())
    (moved.means.sum() + moved.colors.sum()).backward()
    counts = torch.bincount(binding.particle, minlength=PARTICLES).float()
    torch.testing.assert_close(positions.grad, counts[:, None].expand(-1, 3))
    assert (sh.grad > 0).all()


def test_an_extreme_stretch_is_bounded(bound: tuple[Gaussians, Binding, torch.Tensor]) -> None:
    splats, binding, positions = bound
    moved = deform(splats, binding, positions, 100 * identity())
    assert float((moved.scales / splats.scales).max()) <= 5.0 + 1e-4
