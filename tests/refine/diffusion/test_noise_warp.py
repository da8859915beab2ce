"""Noise that moves: still white Gaussian noise in every frame and channel, the same grains along the flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from perpetua.refine.diffusion.guide_warped_noise import flow_noise
from perpetua.refine.diffusion.noise_warp import Grains, carry, degraded, follow, fresh_grains, to_latents

SIZE = 64, 96


def swirl(frames: int, turn: float = 1.6, growth: float = 1.2) -> Tensor:
    """[frames, H, W, 2]: everything turns and flows apart from the middle, up to 2 cells a frame."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE[0]), torch.linspace(-1, 1, SIZE[1]), indexing="ij")
    flow = torch.stack([-turn * y + growth * x, turn * x + growth * y], -1)
    return flow.expand(frames, *flow.shape)


def moved(flows: Tensor, channels: int = 4, seed: int = 0) -> list[Grains]:
    generator = torch.Generator().manual_seed(seed)
    grains = [fresh_grains(channels, *SIZE, generator)]
    for flow in flows:
        grains.append(carry(grains[-1], flow, generator))
    return grains


def correlation(a: Tensor, b: Tensor) -> float:
    return float((a * b).mean() / (a.std() * b.std()))


@pytest.mark.parametrize(("turn", "growth"), [(1.6, 1.2), (1.6, -1.2), (0.0, 0.0), (0.3, 0.05)])
def test_it_stays_white_and_gaussian(turn: float, growth: float) -> None:
    """Apart, together, not at all, and by fractions of a cell: 24576 values, so means are known to 0.006."""
    v = moved(swirl(8, turn, growth))[-1].values
    assert v.std() == pytest.approx(1, abs=0.02)
    assert v.mean() == pytest.approx(0, abs=0.02)
    assert (v**4).mean() == pytest.approx(3, abs=0.15), "kurtosis of a normal distribution"
    for other in (v[:, :, 1:] * v[:, :, :-1], v[:, 1:] * v[:, :-1], v[:, 2:] * v[:, :-2], v[:-1] * v[1:]):
        assert abs(other.mean()) < 0.03, "neighbours and channels know nothing of each other"


def test_latents_are_white_too() -> None:
    latents = to_latents(moved(swirl(8), channels=16)[-1], 4)
    assert latents.shape == (16, 16, 24)
    assert latents.std() == pytest.approx(1, abs=0.04)
    assert (latents**4).mean() == pytest.approx(3, abs=0.4)
    assert abs((latents[:, :, 1:] * latents[:, :, :-1]).mean()) < 0.05


def test_whole_cells_of_flow_move_grains_and_change_none() -> None:
    flow = torch.zeros(1, *SIZE, 2)
    flow[..., 0], flow[..., 1] = 3, -2
    before, after = moved(flow)
    torch.testing.assert_close(after.values[:, :-2, 3:], before.values[:, 2:, :-3], rtol=0, atol=1e-6)
    new = after.values[:, -2:]
    assert abs(correlation(new, before.values[:, -2:])) < 0.1, "what comes in from outside is fresh"


def test_noise_follows_the_flow_and_not_the_pixels() -> None:
    """Read at where the flow leads, noise is the same from frame to frame; at the same pixel it is not."""
    flow = torch.zeros(1, *SIZE, 2)
    flow[..., 0] = 2 * torch.linspace(1, 2, SIZE[1])  # faster and faster to the right: stretched
    before, after = (g.values for g in moved(flow))
    x = torch.arange(SIZE[1])
    target = (x + flow[0, 0, :, 0]).round().long()
    kept = target < SIZE[1]
    along = correlation(before[:, :, x[kept]], after[:, :, target[kept]])
    assert along > 0.9
    assert abs(correlation(before[:, :, 8:], after[:, :, 8:])) < 0.1


def test_grains_that_flow_apart_are_split_and_not_copied() -> None:
    """Twice as large: the four children of a parent together hold it, and each pair of them is independent."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    flow = torch.stack([x + 0.5, y + 0.5], -1).float()[None]  # x -> 2 x + 0.5, the middle of two
    before, after = moved(flow, channels=32)
    children = after.values[:, :40, :40].unfold(1, 2, 2).unfold(2, 2, 2)
    parent = before.values[:, :20, :20]
    torch.testing.assert_close(children.sum((-1, -2)) / 2, parent, rtol=0, atol=1e-5)
    for a, b in (((0, 0), (0, 1)), ((1, 1), (0, 1)), ((0, 0), (1, 1))):
        assert abs(correlation(children[..., *a], children[..., *b])) < 0.03


def test_what_a_surface_covers_comes_back_as_other_noise() -> None:
    """A block moves away: what it uncovers is noise, but not a copy of what lies beside it."""
    flow = torch.zeros(1, *SIZE, 2)
    flow[0, 30:60, 30:60, 0] = 10
    before, after = moved(flow, channels=16)
    torch.testing.assert_close(after.values[:, :, :28], before.values[:, :, :28])
    uncovered = after.values[:, 30:60, 30:40]
    assert uncovered.std() == pytest.approx(1, abs=0.05)
    assert abs(correlation(uncovered, after.values[:, 30:60, 20:30])) < 0.05
    torch.testing.assert_close(
        after.values[:, 30:60, 60:70].std(), torch.tensor(1.0), atol=0.05, rtol=0
    )  # two grains in a cell: merged, not summed


def test_the_same_seed_gives_the_same_noise() -> None:
    first, again, other = (moved(swirl(3), seed=seed)[-1].values for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_degradation_goes_from_the_warped_noise_to_fresh() -> None:
    noise = torch.randn(8, 64, 64, generator=torch.Generator().manual_seed(0))
    kept = []
    for share in (0.0, 0.4, 1.0):
        mixed = degraded(noise, share, torch.Generator().manual_seed(1))
        assert mixed.std() == pytest.approx(1, abs=0.02)
        kept.append(correlation(noise, mixed))
    assert kept[0] == pytest.approx(1, abs=1e-3)
    assert kept[1] == pytest.approx(0.6 / (0.6**2 + 0.4**2) ** 0.5, abs=0.02)
    assert kept[2] == pytest.approx(0, abs=0.02)


def test_every_frame_has_its_latents() -> None:
    frames = list(follow(swirl(3), 2, torch.Generator().manual_seed(0), 4))
    assert [tuple(frame.shape) for frame in frames] == [(2, 16, 24)] * 4


def test_latents_take_the_noise_of_their_last_frame_at_their_own_scale() -> None:
    """A flow of one latent (16 pixels) a stride moves the noise by one latent."""
    flow = np.zeros((8, 64, 160, 2), np.float32)
    flow[..., 0] = 4
    noise = flow_noise(flow, 4, (16, 3, 4, 10), 0.0, 3)
    assert noise.shape == (1, 16, 3, 4, 10)
    torch.testing.assert_close(noise[0, :, 1, :, 1:], noise[0, :, 0, :, :-1])
    torch.testing.assert_close(noise[0, :, 2, :, 2:], noise[0, :, 0, :, :-2])
