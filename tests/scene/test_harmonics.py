"""Colours that depend on the view turn with what they are on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from perpetua.scene import Binding, Gaussians, deform
from perpetua.scene.harmonics import bases, turn_of, turned
from perpetua.scene.rotations import matrix_from_quaternion

torch.manual_seed(0)
DIRECTIONS = torch.nn.functional.normalize(torch.randn(40, 3), dim=-1)
ROTATIONS = matrix_from_quaternion(torch.randn(40, 4))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_is_turned_looks_along_the_turned_direction_as_it_did_before(degree: int) -> None:
    coefficients = torch.randn(40, (degree + 1) ** 2, 3)
    before = torch.einsum("nk,nkc->nc", bases(DIRECTIONS, degree), coefficients)
    along = torch.einsum("nij,nj->ni", ROTATIONS, DIRECTIONS)
    after = torch.einsum("nk,nkc->nc", bases(along, degree), turned(coefficients, ROTATIONS))
    torch.testing.assert_close(after, before, atol=2e-5, rtol=0)


def test_the_basis_is_orthonormal_over_the_sphere() -> None:
    place = torch.arange(20_000, dtype=torch.float64) + 0.5
    z, angle = 1 - place / 10_000, place * 2.399963229728653
    flat = (1 - z * z).sqrt()
    Y = bases(torch.stack([flat * angle.cos(), flat * angle.sin(), z], -1), 3)
    torch.testing.assert_close(4 * torch.pi * Y.T @ Y / len(Y), torch.eye(16).double(), atol=2e-3, rtol=0)


def test_the_turn_of_a_deformation_is_that_of_its_polar_decomposition() -> None:
    U, S, Vh = torch.linalg.svd(torch.randn(200, 3, 3))
    U[:, :, 2] *= torch.linalg.det(U @ Vh)[:, None]
    F = U @ torch.diag_embed(S.clamp(0.2, 5.0)) @ Vh
    torch.testing.assert_close(turn_of(F), U @ Vh, atol=1e-5, rtol=0)
    torch.testing.assert_close(turn_of(torch.zeros(1, 3, 3)), torch.eye(3)[None])


def test_a_body_that_turns_before_the_eye_shows_what_an_eye_that_goes_round_it_sees() -> None:
    splats = Gaussians.from_colors(
        0.1 * torch.randn(30, 3), torch.randn(30, 4), torch.full((30, 3), 0.01), torch.full((30,), 0.9), torch.rand(30, 3)
    )  # fmt: skip
    splats = replace(splats, sh=torch.cat([splats.sh, 0.1 * torch.randn(30, 15, 3)], 1))
    particles = splats.means[:6]
    binding = Binding.to_nearest(splats.means, particles, torch.arange(30) % 6)
    turn, eye = ROTATIONS[0], torch.tensor([0.0, -1.0, 0.4])
    moved = deform(splats, binding, particles @ turn.T, turn.expand(6, 3, 3))
    torch.testing.assert_close(moved.colors_from(eye), splats.colors_from(turn.T @ eye), atol=2e-5, rtol=0)


def test_sets_of_different_degrees_look_together_as_apart() -> None:
    plain = Gaussians.from_colors(
        torch.randn(4, 3), torch.randn(4, 4), torch.ones(4, 3), torch.full((4,), 0.5), torch.rand(4, 3)
    )
    glossy = replace(plain, sh=torch.randn(4, 9, 3))
    eye = torch.zeros(3)
    both = Gaussians.cat([plain, glossy]).colors_from(eye)
    torch.testing.assert_close(both, torch.cat([plain.colors_from(eye), glossy.colors_from(eye)]))
