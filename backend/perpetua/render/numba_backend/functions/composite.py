"""Binning and compositing as a torch function: one call a camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.render.numba_backend.bin import FEATURES, bin_tiles, make_records, sort_by_depth
from perpetua.render.numba_backend.composite import composite_forward
from perpetua.render.numba_backend.composite_backward import MOMENTS, composite_backward, sum_slots
from perpetua.render.numba_backend.lanes import LANES
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE, array, parallel_ranges, thread_count

_RANGES_A_THREAD = (
    8  # tiles differ in cost: enough ranges that threads end together, few enough to start cheaply
)


def _over_tiles(kernel: Any, tiles: int, *arguments: Any) -> None:
    threads = thread_count()
    size = tiles if threads == 1 else max(1, tiles // (threads * _RANGES_A_THREAD))
    parallel_ranges(kernel, tiles, max(1, size), *arguments)


def aligned_rows(count: int, columns: int) -> np.ndarray:
    """[count, columns rounded up to 16] float32 whose rows begin where cache lines do."""
    size = LANES * -(-columns // LANES)
    memory = np.empty(count * size + LANES, np.float32)
    skip = -(memory.ctypes.data // 4) % LANES
    return memory[skip : skip + count * size].reshape(count, size)


class Composite(torch.autograd.Function):
    """Projected Gaussians of one camera -> image [H,W,D (+1 with depths)], alpha [H,W,1].

    Takes the fields of `Projected`, `opacities` [N], `colors` [N,D] (D may be 0) and `background` [D] or [0]. With
    `with_depth` the depth is a last channel, and with `expected_depth` it is divided by alpha. `absgrad` is [N, 2] for
    backward to write the sums over pixels of |gradient of means2d| to, or [N, 0] to do without; it is no part of the graph.
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
        absgrad: Tensor,
    ) -> tuple[Tensor, Tensor]:
        count, channels = means2d.shape[0], colors.shape[1] + int(with_depth)
        records, boxes = aligned_rows(count, FEATURES + channels), np.empty((count, 4), np.int16)
        shapes = [array(t) for t in (means2d, image_covars, conics, radii, extents, opacities, colors)]
        shapes.append(array(depths if with_depth else depths[:0]))
        parallel_ranges(make_records, count, GAUSSIANS_A_RANGE, *shapes, width, height, records, boxes)
        order = sort_by_depth(array(radii), array(depths).view(np.int32))
        first_slot = np.empty(count + 1, np.int64)
        tile_start, pairs = bin_tiles(order, boxes, width, height, first_slot)
        behind = np.zeros(channels, np.float32)
        behind[: background.shape[0]] = array(background)
        image = torch.empty(height, width, channels)
        alpha = torch.empty(height, width, 1)
        transmittance = np.empty(height * width, np.float32)
        closed = np.empty(height * width, np.float32)
        reached = np.empty(len(pairs), np.uint16)
        tiles = (records, tile_start, pairs, width, height, behind, expected_depth, reached)
        pixels = (image.numpy().reshape(-1), alpha.numpy().reshape(-1), transmittance, closed)
        _over_tiles(composite_forward, len(tile_start) - 1, *tiles, *pixels)
        ctx.save_for_backward(image_covars, conics, opacities, background, image)
        ctx.stages = (first_slot, tiles, transmittance, closed)
        ctx.sizes = (colors.shape[1], with_depth)
        ctx.absgrad = absgrad
        return image, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_image: Tensor, grad_alpha: Tensor) -> Any:
        image_covars, conics, opacities, background, image = ctx.saved_tensors
        first_slot, tiles, transmittance, closed = ctx.stages
        records, tile_start, pairs = tiles[:3]
        count, (channels, with_depth) = len(records), ctx.sizes
        absolute = ctx.absgrad.shape[1]
        slots = aligned_rows(len(pairs), MOMENTS + channels + int(with_depth) + absolute)
        pixels = (array(image).reshape(-1), transmittance, closed)
        incoming = (array(grad_image).reshape(-1), array(grad_alpha).reshape(-1), absolute > 0, slots)
        _over_tiles(composite_backward, len(tile_start) - 1, *tiles, *pixels, *incoming)
        shapes = ((count, 2), (count, 3), (count, channels), (count if with_depth else 0,), (count,))
        grad_means2d, grad_image_covars, grad_colors, grad_depths, grad_opacities = (
            torch.empty(s) for s in shapes
        )
        outputs = (grad_means2d, grad_image_covars, grad_colors, grad_depths, grad_opacities, ctx.absgrad)
        given = (first_slot, slots, array(image_covars), array(conics), array(opacities))
        parallel_ranges(sum_slots, count, GAUSSIANS_A_RANGE, *given, *(t.numpy() for t in outputs))
        grad_background = None
        if ctx.needs_input_grad[8]:
            colour = grad_image[..., : background.shape[0]]
            grad_background = (
                colour * torch.from_numpy(transmittance).reshape(grad_image.shape[:2])[..., None]
            ).sum((0, 1))
        projected = (grad_means2d, grad_depths if with_depth else None, grad_image_covars, None, None, None)
        return (*projected, grad_opacities, grad_colors, grad_background, None, None, None, None, None)
