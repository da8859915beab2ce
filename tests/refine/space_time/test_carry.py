"""The first frame carried along a flow that is known in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from perpetua.refine.space_time.carry import carried

T, H, W, SIDE = 6, 40, 64, 12
STEP = (2.25, -0.5)
"""Pixels a frame."""
LEFT, TOP = 10, 20


def texture(column: Tensor, row: Tensor) -> Tensor:
    """[3, ...]: smooth, so that interpolation is nearly exact."""
    return torch.stack([torch.sin(0.3 * column), torch.cos(0.2 * row), torch.sin(0.2 * (column + row))])


@pytest.fixture
def square() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """video [3, T, H, W], flow [1, T - 1, 2, H, W], nearness and cover [1, T, H, W]: a near square that moves over a far floor."""
    row, column = torch.meshgrid(torch.arange(H).float(), torch.arange(W).float(), indexing="ij")
    video, near, cover = torch.zeros(3, T, H, W), torch.ones(1, T, H, W), torch.zeros(1, T, H, W)
    flow = torch.zeros(1, T - 1, 2, H, W)
    for t in range(T):
        x, y = column - t * STEP[0], row - t * STEP[1]
        inside = (x >= LEFT) & (x < LEFT + SIDE) & (y >= TOP) & (y < TOP + SIDE)
        video[:, t] = torch.where(inside, texture(x, y), -0.5 + 0.01 * column)
        near[0, t][inside], cover[0, t][inside] = 2.0, 1.0
        if t < T - 1:
            flow[0, t, :, inside] = torch.tensor(STEP)[:, None]
    return video, flow, near, cover


def test_things_take_their_texture_along_and_what_was_hidden_is_not_known(
    square: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    video, flow, near, cover = square
    found, known = carried(video[None, :, 0], flow, near, cover)
    assert found.shape == (1, 3, T, H, W)
    assert known.shape == (1, 1, T, H, W)
    assert torch.equal(found[0, :, 0], video[:, 0])
    for t in range(1, T):
        seen = known[0, 0, t] > 0
        thing = cover[0, t] > 0
        inner = -torch.nn.functional.max_pool2d(-cover[:, t], 5, 1, 2)[0] > 0
        assert seen[inner].all()
        assert (found[0, :, t] - video[:, t]).abs()[:, inner].max() < 0.02
        assert (found[0, :, t] - video[:, t]).abs().mean(0)[seen & ~thing].mean() < 0.01
        uncovered = (cover[0, 0] > 0) & ~thing
        assert not seen[uncovered].any()


def test_what_stays_is_known_exactly(square: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    video, flow, near, cover = square
    still = near[:, :1].expand(-1, T, -1, -1), cover[:, :1].expand(-1, T, -1, -1)
    found, known = carried(video[None, :, 0], torch.zeros_like(flow), *still)
    assert (known == 1).all()
    assert (found - video[None, :, :1]).abs().max() < 1e-5


def test_a_camera_that_pans_loses_what_leaves_the_picture() -> None:
    first = torch.rand(1, 3, H, W, generator=torch.Generator().manual_seed(0))
    flow = torch.zeros(1, 2, 2, H, W)
    flow[:, :, 0] = -3.0
    flat = torch.ones(1, 3, H, W)
    found, known = carried(first, flow, flat, torch.zeros(1, 3, H, W))
    for t in (1, 2):
        assert torch.allclose(found[..., t, :, : W - 3 * t], first[..., 3 * t :], atol=1e-4)
        assert (known[..., t, :, : W - 3 * t] == 1).all()
        assert (known[..., t, :, W - 3 * t :] == 0).all()
