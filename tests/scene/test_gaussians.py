"""Gaussians: raw parameters and what they mean."""

from __future__ import annotations

import torch

from perpetua.scene import Gaussians


def some(count: int, seed: int = 0) -> Gaussians:
    random = torch.Generator().manual_seed(seed)
    return Gaussians.from_colors(
        torch.randn(count, 3, generator=random),
        torch.randn(count, 4, generator=random),
        0.01 + torch.rand(count, 3, generator=random),
        torch.rand(count, generator=random),
        torch.rand(count, 3, generator=random),
    )


def test_from_colors_keeps_what_it_was_given() -> None:
    scales, opacities = torch.tensor([[0.01, 0.02, 0.03]]), torch.tensor([0.25])
    colors = torch.tensor([[0.0, 0.5, 1.0]])
    g = Gaussians.from_colors(torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]), scales, opacities, colors)
    torch.testing.assert_close(g.scales, scales)
    torch.testing.assert_close(g.opacities, opacities)
    torch.testing.assert_close(g.colors, colors)
    assert g.sh.shape == (1, 1, 3)


def test_full_and_no_opacity_stay_finite() -> None:
    g = Gaussians.from_colors(
        torch.zeros(2, 3), torch.zeros(2, 4), torch.ones(2, 3), torch.tensor([0.0, 1.0]), torch.zeros(2, 3)
    )
    assert torch.isfinite(g.opacity_logits).all()


def test_cat_and_index_agree() -> None:
    a, b = some(3), some(5, 1)
    both = Gaussians.cat([a, b])
    assert len(both) == 8
    torch.testing.assert_close(both[3:].means, b.means)
    torch.testing.assert_close(both[torch.tensor([2, 0])].sh, a.sh[[2, 0]])
