"""Splats on the ground go where their body goes and spread as it spreads, but do not turn with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from perpetua.scene import Binding, Gaussians, deform
from perpetua.scene.ground import DRAWN_IN, footing, spread

PARTICLES, CARRIED, BELOW = 400, 30, 50


@pytest.fixture
def bound() -> tuple[Gaussians, Binding, torch.Tensor]:
    """A cloud 1 m wide and 0.5 m high, splats on it, and splats on the ground below."""
    generator = torch.Generator().manual_seed(2)
    positions = torch.rand(PARTICLES, 3, generator=generator) * torch.tensor([1.0, 1.0, 0.5])
    particle = torch.randint(0, PARTICLES, (CARRIED,), generator=generator)
    means = torch.cat(
        [positions[particle] + 0.01, torch.rand(BELOW, 3, generator=generator) * torch.tensor([2.0, 2.0, 0])]
    )
    count = CARRIED + BELOW
    rest = Gaussians.from_colors(
        means,
        torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        torch.full((count, 3), 0.05),
        torch.full((count,), 0.5),
        torch.zeros(count, 3),
    )
    binding = Binding.to_nearest(means[:CARRIED], positions, particle).with_ground(
        torch.zeros(BELOW, dtype=torch.int64),
        torch.linspace(0.05, 1.0, BELOW),
        positions,
        torch.zeros(PARTICLES, dtype=torch.int64),
    )
    return rest, binding, positions


def moved(bound: tuple[Gaussians, Binding, torch.Tensor], positions: torch.Tensor, F=None) -> Gaussians:
    rest, binding, _ = bound
    F = torch.eye(3) if F is None else F
    return deform(rest, binding, positions, F.expand(PARTICLES, 3, 3))


def test_at_rest_nothing_moves(bound) -> None:
    rest, _, positions = bound
    still = moved(bound, positions)
    torch.testing.assert_close(still.means, rest.means, atol=1e-5, rtol=0)
    torch.testing.assert_close(still.scales, rest.scales, atol=1e-6, rtol=1e-3)


def test_they_follow_a_shift_on_the_plane(bound) -> None:
    rest, _, positions = bound
    shift = torch.tensor([0.7, -0.3, 0.0])
    after = moved(bound, positions + shift)
    torch.testing.assert_close(after.means, rest.means + shift, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.scales, rest.scales, atol=1e-6, rtol=1e-3)


def test_a_rolling_body_does_not_turn_them(bound) -> None:
    rest, _, _ = bound
    ball = torch.nn.functional.normalize(
        torch.randn(PARTICLES, 3, generator=torch.Generator().manual_seed(0)), dim=1
    )
    ball = torch.cat([ball[: PARTICLES // 2], -ball[: PARTICLES // 2]])  # its centre is its middle
    binding = Binding.to_nearest(rest.means[:CARRIED], ball, torch.arange(CARRIED)).with_ground(
        torch.zeros(BELOW, dtype=torch.int64), torch.ones(BELOW), ball, torch.zeros(PARTICLES)
    )
    a = math.radians(90)
    R = torch.tensor([[1.0, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    after = deform(rest, binding, ball @ R.T, R.expand(PARTICLES, 3, 3))
    below = slice(CARRIED, None)
    assert float((after.means - rest.means)[below].norm(dim=1).max()) < 0.25
    assert float((after.means - rest.means)[below, 2].abs().max()) == 0.0
    assert float((after.scales / rest.scales)[below].log().abs().max()) < 0.2
    assert float(after.quats[below, 1:3].abs().max()) < 1e-3  # flat: turned about the vertical only


def test_they_spread_as_the_body_spreads(bound) -> None:
    rest, _, positions = bound
    centre = positions.mean(0)
    F = torch.diag(torch.tensor([2.0, 1.0, 0.5]))
    after = moved(bound, (positions - centre) @ F + centre * torch.tensor([1.0, 1.0, 0.5]), F)
    below = slice(CARRIED, None)
    away = (after.means - centre)[below, :2]
    torch.testing.assert_close(
        away, (rest.means - centre)[below, :2] * torch.tensor([2.0, 1.0]), atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(
        after.scales[below, :2], torch.tensor([[0.1, 0.05]]).expand(BELOW, 2), atol=1e-3, rtol=1e-2
    )
    assert float(after.means[below, 2].abs().max()) == 0.0


def test_spread_is_bounded() -> None:
    cloud = torch.rand(200, 3, generator=torch.Generator().manual_seed(1))
    for factor in (0.0, 100.0):
        values = torch.linalg.eigvalsh(spread(footing(cloud), footing(cloud * factor)))
        assert float(values.min()) >= 0.49
        assert float(values.max()) <= 2.51


def test_a_rising_body_loses_them(bound) -> None:
    rest, _, positions = bound
    centre = positions.mean(0)
    counts = []
    for rise in (0.1, 0.3, 0.6):
        up = positions + torch.tensor([0.0, 0, 0.5 * rise])
        after = moved(bound, up)
        below = after.means[CARRIED:, 2] == 0
        counts.append(int(below.sum()))
        ratio = (after.means[CARRIED:] - centre)[below, 0] / (rest.means[CARRIED:] - centre)[below, 0]
        np.testing.assert_allclose(ratio, 1 - DRAWN_IN * (rise - 0.02) / 0.98, atol=0.01)
        gone = after.means[CARRIED:][~below]
        torch.testing.assert_close(gone, up.mean(0).expand_as(gone))
    assert BELOW > counts[0] > counts[1] > counts[2] > 0
    high = moved(bound, positions + torch.tensor([0.0, 0, 2.0]))
    assert not (high.means[CARRIED:, 2] == 0).any()


def test_no_gradient_reaches_particles_through_them(bound) -> None:
    _, _, positions = bound
    leaf = positions.clone().requires_grad_()
    after = moved(bound, leaf)
    (gradient,) = torch.autograd.grad(after.means[CARRIED:].sum() + 0 * after.means.sum(), leaf)
    assert float(gradient.abs().max()) == 0.0


def test_they_are_bound_once(bound) -> None:
    _, binding, positions = bound
    with pytest.raises(ValueError, match="already"):
        binding.with_ground(binding.ground, binding.fade, positions, torch.zeros(PARTICLES))
