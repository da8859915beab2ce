"""A video's own gain and bias are found where only backdrop is seen, whatever moves before it, and drift smoothly."""

from __future__ import annotations

import numpy as np
import torch

from perpetua.optimize.colours import neutral, own_colours
from perpetua.optimize.own_look import OwnLook

FRAMES = 13


def backdrop() -> torch.Tensor:
    coarse = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, (48, 64), mode="bicubic")
    return fine.clamp(0, 1)[0].permute(1, 2, 0)


def test_a_drifting_gain_and_bias_are_taken_out_despite_outliers() -> None:
    known, share = backdrop(), torch.linspace(0, 1, FRAMES)[:, None, None, None]
    video = known * (1 + share * torch.tensor([0.1, -0.06, -0.08])) + torch.tensor([0.03, -0.02, -0.02])
    video[:, :10, :20] = 1.0  # something else
    bare = np.ones(video.shape[:3], bool)
    bare[4] = False  # objects hide the whole backdrop in one frame
    back = neutral(video, known, bare)
    inside = (slice(None), slice(10, None))
    assert float((video - known)[inside].abs().mean()) > 0.03
    assert float((back - known)[inside].abs().mean()) < 0.004
    assert float((back[4] - known)[10:].abs().mean()) < 0.006


def test_equal_colours_stay() -> None:
    known = backdrop()
    gain, bias = own_colours(known.expand(3, -1, -1, -1), known, np.ones((3, 48, 64), bool))
    assert np.abs(gain).max() < 1e-12
    assert np.abs(bias).max() < 1e-12


def test_what_all_views_share_is_no_view_s_own() -> None:
    look = OwnLook(3, FRAMES, 64, torch.device("cpu"))
    image = backdrop()
    with torch.no_grad():
        look.colours += 0.1
        look.warps += 2.0
    coverage = torch.zeros(48, 64)
    coverage[10:30, 20:40] = 1.0
    assert torch.allclose(look.coloured(image, 1, 4), image, atol=1e-6)
    assert torch.allclose(look.straightened(image, coverage, 1, 4), image, atol=1e-4)
    with torch.no_grad():
        look.warps[1, :, 0, 0] += (
            1.5 * 160 / 64
        )  # a pixel to the right of the mean, half a pixel less elsewhere
    moved = look.straightened(image, coverage, 1, 4)
    assert torch.allclose(moved[:, :-1], image[:, 1:], atol=1e-3)
