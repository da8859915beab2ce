"""Binning and compositing as a torch function: one call a camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.render.numba_backend.bin import RECORD, bin_tiles, sort_by_depth
from perpetua.render.numba_backend.composite import composite_forward
from perpetua.render.numba_backend.composite_backward import MOMENTS, composite_backward, sum_slots
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE, array, parallel_ranges, thread_count

_RANGES_A_THREAD = (
    8  # tiles differ in cost: enough ranges that threads end together, few enough to start cheaply
)


def _over_tiles(kernel: Any, tiles: int, *arguments: Any) -> None:
    threads = thread_count()
    size = tiles if threads == 1 else max(1, tiles // (threads * _RANGES_A_THREAD))
    parallel_ranges(kernel, tiles, max(1, size), *arguments)


class Composite(torch.autograd.Function):
    """Projected Gaussians of one camera -> image [H,W,D (+1 with depths)], alpha [H,W,1].

    Takes the fields of `Projected`, `opacities` [N], `colors` [N,D] (D may be 0) and `background` [D] or [0]. With
    `with_depth` the depth is a last channel, and with `expected_depth` it is divided by alpha.
    """

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        depths: Tensor,
        image_covars: Tensor,
        conics: Tensor,
        radii: Tensor,
        extents: Tensor,
        opacities: Tensor,
        colors: Tensor,
        background: Tensor,
        width: int,
        height: int,
        with_depth: bool,
        expected_depth: bool,
    ) -> tuple[Tensor, Tensor]:
        channels = colors.shape[1] + int(with_depth)
        order = sort_by_depth(array(radii), array(depths).view(np.int32))
        records = np.empty((len(order), RECORD), np.float32)
        features = np.empty((len(order), channels), np.float32)
        first_slot = np.empty(len(order) + 1, np.int64)
        tile_start, pairs = bin_tiles(
            order,
            *(array(t) for t in (means2d, image_covars, conics, extents, opacities, colors)),
            array(depths if with_depth else depths[:0]),
            width,
            height,
            records,
            features,
            first_slot,
        )
        behind = np.zeros(channels, np.float32)
        behind[: background.shape[0]] = array(background)
        image = torch.empty(height, width, channels)
        alpha = torch.empty(height, width, 1)
        transmittance = np.empty(height * width, np.float32)
        last = np.empty(height * width, np.float32)
        tiles = (records, features, tile_start, pairs, width, height, behind, expected_depth)
        pixels = (image.numpy().reshape(-1), alpha.numpy().reshape(-1), transmittance, last)
        _over_tiles(composite_forward, len(tile_start) - 1, *tiles, *pixels)
        ctx.save_for_backward(image_covars, conics, background, image)
        ctx.stages = (order, first_slot, tiles, transmittance, last)
        ctx.sizes = (means2d.shape[0], colors.shape[1], with_depth)
        return image, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_image: Tensor, grad_alpha: Tensor) -> Any:
        image_covars, conics, background, image = ctx.saved_tensors
        order, first_slot, tiles, transmittance, last = ctx.stages
        records, features, tile_start, pairs = tiles[:4]
        count, channels, with_depth = ctx.sizes
        slots = np.empty((len(pairs), MOMENTS + features.shape[1]), np.float32)
        pixels = (array(image).reshape(-1), transmittance, last)
        incoming = (array(grad_image).reshape(-1), array(grad_alpha).reshape(-1), slots)
        _over_tiles(composite_backward, len(tile_start) - 1, *tiles, *pixels, *incoming)
        shapes = ((count, 2), (count, 3), (count, channels), (count if with_depth else 0,), (count,))
        grad_means2d, grad_image_covars, grad_colors, grad_depths, grad_opacities = (
            torch.zeros(s) for s in shapes
        )
        outputs = (grad_means2d, grad_image_covars, grad_colors, grad_depths, grad_opacities)
        parallel_ranges(
            sum_slots,
            len(order),
            GAUSSIANS_A_RANGE,
            order,
            first_slot,
            slots,
            array(image_covars),
            array(conics),
            records,
            *(t.numpy() for t in outputs),
        )
        grad_background = None
        if ctx.needs_input_grad[8]:
            colour = grad_image[..., : background.shape[0]]
            grad_background = (
                colour * torch.from_numpy(transmittance).reshape(grad_image.shape[:2])[..., None]
            ).sum((0, 1))
        unused = (None, None, None)
        projected = (grad_means2d, grad_depths if with_depth else None, grad_image_covars, *unused)
        return (*projected, grad_opacities, grad_colors, grad_background, *unused, None)
