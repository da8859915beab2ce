"""The first frame carried along the coarse flow: what each later pixel showed then, where that can be said.

Flow leads forward; a frame's way back is found from where its pixels land (the nearest wins), then made exact by fixed-point iteration
(Chen et al. 2008), and believed where going back and forth ends in the same place, on the same thing, as far away. Flow is read at whole
pixels, for between those of two things it is neither's; a way keeps what it is off them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

ITERATIONS = 3
SAME_PLACE = 0.5
"""Pixels that going back and forth may miss by."""
SAME_COVER = 0.3
SAME_DEPTH = 0.1
"""Share of the nearness."""
FILLS = 2
"""Rounds of filling what no pixel landed on from its neighbours."""


@torch.no_grad()
def carried(first: Tensor, flow: Tensor, nearness: Tensor, cover: Tensor) -> tuple[Tensor, Tensor]:
    """``first`` [B, C, H, W] as seen in each frame [B, C, T, H, W], and where it was in sight [B, 1, T, H, W], 1 or 0; elsewhere the picture
    means nothing.

    flow: [B, T - 1, 2, H, W] pixels to the next frame.  nearness: [B, T, H, W], in proportion to 1 / depth, 0 for none.  cover:
    [B, T, H, W] by things, in [0, 1].
    """
    here = _places(first)
    origin, known = here.expand(len(first), -1, -1, -1), first.new_ones(len(first), 1, *first.shape[2:])
    pictures, valid = [first], [known]
    for t in range(flow.shape[1]):
        back = _inverse(flow[:, t], nearness[:, t], cover[:, t : t + 2])
        from_there = here + back
        went = _of_pixel(flow[:, t], from_there)
        seen = torch.cat([nearness[:, t : t + 1], cover[:, t : t + 1], known, origin - here], 1)
        near, covered, known_there, away = _of_pixel(seen, from_there).split([1, 1, 1, 2], 1)
        origin_there = from_there + away
        now, cover_now = nearness[:, t + 1 : t + 2], cover[:, t + 1 : t + 2]
        same = (back + went).norm(dim=1, keepdim=True) <= SAME_PLACE
        same &= (covered - cover_now).abs() <= SAME_COVER
        same &= (near - now).abs() <= SAME_DEPTH * now.clamp_min(1e-6)
        same &= (known_there > 0) & _inside(from_there)
        origin, known = torch.where(same, origin_there, here), same.to(first)
        pictures.append(_at(first, origin))
        valid.append(known)
    return torch.stack(pictures, 2), torch.stack(valid, 2)


def _inverse(flow: Tensor, nearness: Tensor, cover: Tensor) -> Tensor:
    """[B, 2, H, W] pixels: the way back from each pixel of the next frame along ``flow`` [B, 2, H, W]. cover: [B, 2, H, W], of both frames."""
    before, after = cover[:, :1], cover[:, 1:]
    landed, known = _landed(flow, nearness, cover)
    thing = (after > 0.5).to(flow)
    guess = -torch.where(thing > 0, _filled(landed, known * thing), _filled(landed, known * (1 - thing)))
    here = _places(flow)
    for _ in range(ITERATIONS):
        there = _of_pixel(torch.cat([flow, before], 1), here + guess)
        same = (there[:, 2:] - after).abs() <= SAME_COVER
        guess = torch.where(same, -there[:, :2], guess)
    return guess


def _landed(flow: Tensor, nearness: Tensor, cover: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 2, H, W]: the mean flow of the nearest pixels that land on each and cover as much of it, and [B, 1, H, W], whether any does."""
    B, _, H, W = flow.shape
    landed = (_places(flow) + flow).round().long()
    x, y = landed[:, 0], landed[:, 1]
    inside = (x >= 0) & (y >= 0) & (x < W) & (y < H)
    index = (y.clamp(0, H - 1) * W + x.clamp(0, W - 1)).flatten(1)
    before, after = cover.flatten(2).unbind(1)
    fits = inside.flatten(1) & ((after.gather(1, index) - before).abs() <= SAME_COVER)
    near = torch.where(fits, nearness.flatten(1), -1.0)
    nearest = near.new_full((B, H * W), -1.0).scatter_reduce(1, index, near, "amax")
    wins = (fits & (near >= (1 - SAME_DEPTH) * nearest.gather(1, index))).to(flow)
    count = torch.zeros_like(near).scatter_add(1, index, wins)
    total = torch.zeros_like(flow.flatten(2)).scatter_add(
        2, index[:, None].expand(-1, 2, -1), flow.flatten(2) * wins[:, None]
    )
    mean = (total / count.clamp_min(1)[:, None]).reshape(B, 2, H, W)
    return mean, (count > 0).to(flow).reshape(B, 1, H, W)


def _filled(values: Tensor, known: Tensor) -> Tensor:
    """``values`` [B, 2, H, W] where they are ``known`` [B, 1, H, W], elsewhere the mean of those nearby, 0 where none is."""
    for _ in range(FILLS):
        around = functional.avg_pool2d(known, 3, 1, 1)
        nearby = functional.avg_pool2d(values * known, 3, 1, 1) / around.clamp_min(1e-6)
        values = torch.where(known > 0, values, nearby)
        known = (around > 0).to(values)
    return values


def _places(like: Tensor) -> Tensor:
    """[1, 2, H, W]: column and row of each pixel."""
    height, width = like.shape[-2:]
    row, column = torch.meshgrid(
        torch.arange(height, device=like.device), torch.arange(width, device=like.device), indexing="ij"
    )
    return torch.stack([column, row])[None].to(like)


def _inside(places: Tensor) -> Tensor:
    """[B, 1, H, W]"""
    height, width = places.shape[-2:]
    x, y = places[:, :1], places[:, 1:]
    return (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)


def _at(values: Tensor, places: Tensor) -> Tensor:
    """[B, C, H, W]: ``values`` [B, C, H, W] between pixels, at ``places`` [B, 2, H, W]."""
    return _sampled(values, places, "bilinear")


def _of_pixel(values: Tensor, places: Tensor) -> Tensor:
    """The same, of the nearest pixel."""
    return _sampled(values, places, "nearest")


def _sampled(values: Tensor, places: Tensor, mode: str) -> Tensor:
    height, width = values.shape[-2:]
    size = places.new_tensor([width, height])[None, :, None, None]
    grid = ((2 * places + 1) / size - 1).permute(0, 2, 3, 1).expand(len(values), -1, -1, -1)
    return functional.grid_sample(values, grid, mode=mode, padding_mode="border", align_corners=False)
