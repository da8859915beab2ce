"""How images are compared."""

from __future__ import annotations

import torch
from skimage.metrics import structural_similarity as reference_ssim

from perpetua.optimize.loss import halved, photometric
from perpetua.render.similarity import structural_similarity


def picture(seed: int) -> torch.Tensor:
    coarse = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (48, 64), mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)


def test_ssim_is_scikit_image_s() -> None:
    a, b = picture(0), (picture(0) * 0.7 + 0.3 * picture(1))
    ours = structural_similarity(a, b).mean()
    theirs = reference_ssim(
        a.numpy(), b.numpy(), win_size=7, channel_axis=-1, data_range=1.0, use_sample_covariance=False
    )
    assert abs(float(ours) - theirs) < 1e-4


def test_equal_images_cost_nothing() -> None:
    a = picture(0)
    assert abs(float(photometric(a, a.clone(), 100.0, [0, 1, 2, 3], ssim=True))) < 1e-5


def test_halving_keeps_the_mean_of_a_constant_and_odd_sizes() -> None:
    image = torch.full((1, 3, 45, 33), 0.4)
    small = halved(image)
    assert small.shape[-2:] == (22, 16)
    torch.testing.assert_close(small, torch.full_like(small, 0.4))
    assert halved(torch.ones(1, 3, 3, 3)).shape[-2:] == (2, 2)


def test_coarse_levels_feel_a_blob_several_pixels_away() -> None:
    grid = torch.arange(64.0)
    target = torch.exp(-0.5 * ((grid - 40) / 1.5) ** 2)[None, :, None].expand(64, 64, 3)

    def pull(levels: list[int]) -> float:
        x = torch.tensor(30.0, requires_grad=True)
        blob = torch.exp(-0.5 * ((grid - x) / 1.5) ** 2)[None, :, None].expand(64, 64, 3)
        photometric(blob, target, 64.0, levels, ssim=False).backward()
        return -float(x.grad)  # above zero: towards the target

    assert abs(pull([0])) < 0.02  # ten pixels apart, nothing overlaps
    assert pull([2, 3]) > 0.05
