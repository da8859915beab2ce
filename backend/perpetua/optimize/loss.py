"""How a render is compared with a refined video."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from perpetua.render.similarity import structural_similarity

ROBUST_AT = 0.02
"""Differences of colour well above this count linearly (Charbonnier), so that what the views disagree on does not rule."""
SSIM_WEIGHT = 0.2
"""Share of structural dissimilarity, as in Gaussian splatting (Kerbl et al. 2023)."""
CHANGED = 0.1
"""Difference of colour from the backdrop that shows an object in a video."""
FRAME = 16
"""pixels around what is compared: the coarsest level of the pyramid and the window of SSIM reach so far."""


def photometric(image: Tensor, target: Tensor, area: float, levels: list[int], ssim: bool) -> Tensor:
    """Difference of two images [H, W, C] per pixel of the objects' ``area`` (pixels), over the ``levels`` of a pyramid.

    Level l compares both after l halvings: there an error of several pixels still overlaps, so it has a direction.
    """
    difference = (image - target).permute(2, 0, 1)[None]
    shares = []
    for level in range(max(levels) + 1):
        if level in levels:
            robust = (difference**2 + ROBUST_AT**2).sqrt() - ROBUST_AT
            shares.append(robust.sum() * 4**level / (area * image.shape[-1]))
        if level < max(levels):
            difference = halved(difference)
    total = torch.stack(shares).mean()
    if not ssim:
        return total
    unlike = 1 - structural_similarity(image[..., :3], target[..., :3])
    return (1 - SSIM_WEIGHT) * total + SSIM_WEIGHT * unlike.sum() / (3 * area)


def region(coverage: Tensor, wanted: Tensor, backdrop: Tensor) -> tuple[slice, slice]:
    """Rows and columns where objects are, in the render (``coverage`` [H, W]) or in the video (``wanted`` [H, W, 3], which
    differs there from the ``backdrop``). Elsewhere nothing that moves can be seen, and nothing is compared."""
    shown = (coverage > 0) | ((wanted - backdrop).abs().amax(-1) > CHANGED)
    spans = []
    for axis, size in ((1, shown.shape[0]), (0, shown.shape[1])):
        here = torch.nonzero(shown.any(axis))
        low, high = (int(here[0]), int(here[-1]) + 1) if len(here) else (0, size)
        spans.append(slice(max(0, low - FRAME), min(size, high + FRAME)))
    return spans[0], spans[1]


def halved(image: Tensor) -> Tensor:
    """[1, C, H, W] at half the size, smoothed by the binomial 1 3 3 1 (Burt and Adelson 1983)."""
    if min(image.shape[-2:]) < 4:
        return functional.avg_pool2d(image, 2, ceil_mode=True)
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    return functional.avg_pool2d(functional.avg_pool2d(functional.avg_pool2d(padded, 2, 1), 2, 1), 2)
