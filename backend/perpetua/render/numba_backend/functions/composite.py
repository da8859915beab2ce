"""Binning and compositing as a torch function: one call a camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.render.numba_backend.bin import (
    FEATURES,
    count_tiles,
    fill_tiles,
    make_records,
    sort_by_depth,
    start_tiles,
)
from perpetua.render.numba_backend.composite import composite_forward
from perpetua.render.numba_backend.composite_backward import MOMENTS, composite_backward, sum_slots
from perpetua.render.numba_backend.lanes import TILE
from perpetua.render.numba_backend.scratch import aligned_rows, borrowed_rows
from perpetua.render.numba_backend.tensors import empty, zeros
from perpetua.render.numba_backend.threads import (
    array,
    beside,
    equal_size,
    parallel_pieces,
    parallel_ranges,
    thread_count,
)

_RANGES_A_THREAD = 12  # enough that threads end together, few enough to start cheaply


def _over_tiles(kernel: Any, tile_start: np.ndarray, *arguments: Any) -> None:
    """Run `kernel` over ranges of tiles: large ones first and small ones last, so that threads end together although tiles
    differ in cost (Polychronopoulos and Kuck 1987). The pairs in the last k of n ranges are (k/n)^2 of all."""
    tiles, threads = len(tile_start) - 1, thread_count()
    if threads == 1:
        kernel(0, tiles, *arguments)
        return
    left = np.linspace(1, 0, threads * _RANGES_A_THREAD + 1)[1:-1] ** 2
    shares = (1 - left) * tile_start[-1]
    bounds = [0, *np.searchsorted(tile_start, shares).tolist(), tiles]
    parallel_pieces(kernel, bounds, *arguments)


def _tile_lists(
    order: np.ndarray, boxes: np.ndarray, first_slot: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where each tile's list starts, [tiles + 1] int64, and the lists, [P, 2] int32 of (Gaussian, slot)."""
    across, down = -(-width // TILE), -(-height // TILE)
    size = equal_size(len(order))
    ranges = max(1, -(-len(order) // size))
    cover = np.zeros((ranges, down + 1, across + 1), np.int32)
    tile_start = np.empty(across * down + 1, np.int64)
    fill = np.empty((ranges, across * down), np.int64)
    pairs = np.empty((first_slot[-1], 2), np.int32)
    parallel_ranges(count_tiles, len(order), size, size, order, boxes, cover)
    start_tiles(cover, tile_start, fill)
    parallel_ranges(fill_tiles, len(order), size, size, order, boxes, first_slot, across, fill, pairs)
    return tile_start, pairs


class Composite(torch.autograd.Function):
    """Projected Gaussians of one camera -> image [H,W,D (+1 with depths)], alpha [H,W,1].

    Takes the fields of `Projected`, `opacities` [N], `colors` [N,D] (D may be 0) and `background` [D] or [0]. With
    `with_depth` the depth is a last channel, and with `expected_depth` it is divided by the sum of weights. `absgrad` is [N, 2] for
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
        first_slot = np.zeros(count + 1, np.int64)
        shapes = [array(t) for t in (means2d, image_covars, conics, radii, extents, opacities, colors)]
        shapes.append(array(depths if with_depth else depths[:0]))
        sorting = beside(sort_by_depth, array(radii), array(depths).view(np.int32))
        outputs = (records, boxes, first_slot[1:])
        size = equal_size(count, threads=thread_count() - 1)  # one thread sorts
        parallel_ranges(make_records, count, size, *shapes, width, height, *outputs)
        np.cumsum(first_slot, out=first_slot)
        tile_start, pairs = _tile_lists(sorting(), boxes, first_slot, width, height)
        behind = np.zeros(channels, np.float32)
        behind[: background.shape[0]] = array(background)
        image = empty(height, width, channels)
        alpha = empty(height, width, 1)
        transmittance = np.empty(height * width, np.float32)
        closed = np.empty(height * width, np.float32)
        reached = np.empty(len(pairs), np.uint16)
        expected = np.empty(2 * height * width if expected_depth else 0, np.float32)
        tiles = (records, tile_start, pairs, width, height, behind, expected_depth, reached, expected)
        pixels = (image.numpy().reshape(-1), alpha.numpy().reshape(-1), transmittance, closed)
        _over_tiles(composite_forward, tile_start, *tiles, *pixels)
        # Nothing of what is returned is needed again, so it may be changed in place.
        ctx.save_for_backward(image_covars, conics, opacities, background)
        ctx.stages = (first_slot, tiles, transmittance, closed)
        ctx.image_shape = image.shape
        ctx.sizes = (colors.shape[1], with_depth)
        ctx.absgrad = absgrad
        ctx.set_materialize_grads(False)  # most losses look at one of both
        return image, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_image: Tensor | None, grad_alpha: Tensor | None) -> Any:
        image_covars, conics, opacities, background = ctx.saved_tensors
        first_slot, tiles, transmittance, closed = ctx.stages
        records, tile_start, pairs = tiles[:3]
        count, (channels, with_depth) = len(records), ctx.sizes
        absolute = ctx.absgrad.shape[1]
        shapes = ((count, 2), (count, 3), (count, channels), (count if with_depth else 0,), (count,))
        grad_means2d, grad_image_covars, grad_colors, grad_depths, grad_opacities = (
            empty(*s) for s in shapes
        )
        outputs = (grad_means2d, grad_image_covars, grad_colors, grad_depths, grad_opacities, ctx.absgrad)
        if grad_image is None:
            grad_image = zeros(*ctx.image_shape)
        if grad_alpha is None:
            grad_alpha = empty(0)
        pixels = (transmittance, closed)
        incoming = (array(grad_image).reshape(-1), array(grad_alpha).reshape(-1), absolute > 0)
        with borrowed_rows(len(pairs), MOMENTS + channels + int(with_depth) + absolute) as slots:
            _over_tiles(composite_backward, tile_start, *tiles, *pixels, *incoming, slots)
            given = (first_slot, slots, array(image_covars), array(conics), array(opacities))
            parallel_ranges(sum_slots, count, equal_size(count), *given, *(t.numpy() for t in outputs))
        grad_background = None
        if ctx.needs_input_grad[8]:
            colour = array(grad_image).reshape(len(transmittance), -1)[:, : background.shape[0]]
            # summed by numpy, for torch's sum depends on its threads
            sums = (colour * transmittance[:, None]).sum(0, dtype=np.float64)
            grad_background = torch.from_numpy(sums.astype(np.float32))
        projected = (grad_means2d, grad_depths if with_depth else None, grad_image_covars, None, None, None)
        return (*projected, grad_opacities, grad_colors, grad_background, None, None, None, None, None)
