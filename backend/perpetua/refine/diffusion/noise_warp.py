"""Noise that moves with the picture: Gaussian in every frame, the same grains from frame to frame along the optical flow.

The idea is that of Go-with-the-Flow (Burgert et al., CVPR 2025), told as particles: every cell of a frame holds a grain of noise
v ~ N(0, 1) with a weight w, the area it stands for. The flow carries grains to the cells of the next frame.

- A cell that no grain reaches takes a copy of the grain that the flow leads closest to it where things flow apart, and a fresh one
  where something was uncovered or comes in from outside.
- A grain with c copies is split: each gets w / c and v / sqrt(c) + (u_i - mean(u)), u ~ N(0, 1). The copies are again
  independent (covariance 1/c - 1/c = 0) with variance 1, and together they still hold v.
- Grains that meet merge to sum(w v) / sqrt(sum(w^2)), which has variance 1, with weight sum(w).

The same rule takes a block of cells to one cell of a model's latents.

A published patent application covers parts of this algorithm (noise warping for video diffusion). It is optional here:
nothing uses it unless the guide ``warped_noise`` is chosen; ``time_to_move`` does not need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

WEIGHT_PULL = 1e-3
"""Part of the way that weights go back to 1 each frame, so that no cell starves or hoards over a long round."""

SEARCH_STEPS = 8
"""Of the search for where a cell's matter comes from; each about halves the error."""
CLOSE = 1.0
"""Cells by which the flow may miss a cell, not quite, and still lead there."""


@dataclass(frozen=True)
class Grains:
    """values: [C, H, W], unit variance, independent.  weights: [H, W], areas, 1 on average."""

    values: Tensor
    weights: Tensor


def fresh_grains(channels: int, height: int, width: int, generator: torch.Generator) -> Grains:
    """Noise that has not moved yet."""
    return Grains(torch.randn(channels, height, width, generator=generator), torch.ones(height, width))


def carry(grains: Grains, flow: Tensor, generator: torch.Generator) -> Grains:
    """The grains one frame later. flow: [H, W, 2], cells right and down that what is seen in a cell moves."""
    channels, height, width = grains.values.shape
    count = height * width
    values, weights = grains.values.reshape(channels, count), grains.weights.reshape(count)
    source, target = _journeys(flow, height, width)

    copies = torch.bincount(source, minlength=count)
    value, weight = _split(values, weights, source, copies, generator)

    summed = values.new_zeros(channels, count).index_add_(1, target, value * weight)
    squares = weights.new_zeros(count).index_add_(0, target, weight * weight)
    reached = squares > 0
    merged = torch.randn(channels, count, generator=generator)
    merged[:, reached] = summed[:, reached] / squares[reached].sqrt()

    area = weights.new_zeros(count).index_add_(0, target, weight)
    area = torch.where(reached, area, torch.ones_like(area))
    area = area / area.mean()
    area = area + WEIGHT_PULL * (1 - area)
    return Grains(merged.view(channels, height, width), area.view(height, width))


def to_latents(grains: Grains, cells: int) -> Tensor:
    """[C, H / cells, W / cells]: blocks of ``cells`` x ``cells`` merged by weight; unit variance."""
    weighted = grains.values * grains.weights
    total = torch.nn.functional.avg_pool2d(weighted[None], cells)[0]
    squares = torch.nn.functional.avg_pool2d((grains.weights**2)[None, None], cells)[0, 0]
    return total * cells / squares.sqrt()


def degraded(noise: Tensor, degradation: float, generator: torch.Generator) -> Tensor:
    """``noise`` with fresh noise mixed in, still of unit variance; 0 keeps it, 1 forgets it."""
    fresh = torch.randn(noise.shape, generator=generator)
    share = (degradation**2 + (1 - degradation) ** 2) ** 0.5
    return ((1 - degradation) * noise + degradation * fresh) / share


def follow(flows: Tensor, channels: int, generator: torch.Generator, cells: int) -> Iterator[Tensor]:
    """For every frame of a round the latents' noise [C, H / cells, W / cells]. flows: [T, H, W, 2], in cells of H x W."""
    _, height, width, _ = flows.shape
    grains = fresh_grains(channels, height, width, generator)
    yield to_latents(grains, cells)
    for flow in flows:
        grains = carry(grains, flow, generator)
        yield to_latents(grains, cells)


def _journeys(flow: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(source, target) [J] flat cells: each grain to where flow takes it, and to each cell left empty the grain that belongs there."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    row, column = row.reshape(-1), column.reshape(-1)
    right, down = flow[..., 0].reshape(-1), flow[..., 1].reshape(-1)

    ahead, inside = _cell(column + right, row + down, height, width)
    source, target = torch.arange(height * width)[inside], ahead[inside]

    empty = torch.ones(height * width, dtype=torch.bool)
    empty[target] = False
    empty = empty.nonzero()[:, 0]
    behind, found = _origin(
        column[empty].float(), row[empty].float(), right.view(height, width), down.view(height, width)
    )
    return torch.cat([source, behind[found]]), torch.cat([target, empty[found]])


def _origin(x: Tensor, y: Tensor, right: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """([M] flat cells, [M] bool): of the cells met in a search, the one that flow leads closest to (x, y), and whether that is close.

    The search solves s = (x, y) - flow(s) by steps half as long, which also finds it where flow makes things up to three times as large.
    """
    height, width = right.shape
    column, row = torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")
    ahead_x, ahead_y = (column + right).reshape(-1), (row + down).reshape(-1)
    right, down = right.reshape(-1), down.reshape(-1)
    best = torch.zeros_like(x, dtype=torch.int64)
    least = torch.full_like(x, torch.inf)
    from_x, from_y = x, y
    for _ in range(SEARCH_STEPS):
        cell, inside = _cell(from_x, from_y, height, width)
        missed = torch.maximum((ahead_x[cell] - x).abs(), (ahead_y[cell] - y).abs())
        better = inside & (missed < least)
        best, least = torch.where(better, cell, best), torch.where(better, missed, least)
        from_x, from_y = (from_x + x - right[cell]) / 2, (from_y + y - down[cell]) / 2
    return best, least < CLOSE


def _cell(x: Tensor, y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The flat cell that each point lies in, and whether it lies in the frame."""
    column, row = x.round().long(), y.round().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return row.clamp(0, height - 1) * width + column.clamp(0, width - 1), inside


def _split(
    values: Tensor, weights: Tensor, source: Tensor, copies: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(values [C, J], weights [J]) of the copies that each journey carries."""
    several = copies[source]
    fresh = torch.randn(values.shape[0], len(source), generator=generator)
    total = values.new_zeros(values.shape).index_add_(1, source, fresh)
    apart = fresh - total[:, source] / several
    return values[:, source] / several.sqrt() + apart, weights[source] / several
