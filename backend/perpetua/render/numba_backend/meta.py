"""The dictionary that `rasterization` returns beside the image, with gsplat's tile lists when they are asked for.

The CPU renderer bins Gaussians in its own way and has no use for gsplat's lists, so they cost nothing until a caller
reads one of them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

TILE_LISTS = ("tiles_per_gauss", "isect_ids", "flatten_ids", "isect_offsets")


class Meta(dict[str, Any]):
    """gsplat's meta of images [..., C]; reading one of `TILE_LISTS` makes all four, as `tile_lists` says.

    They are there by name (`in`, `get`, `[]`); `keys` has them once one was read.
    """

    def __init__(self, image_dims: tuple[int, ...], entries: dict[str, Any]) -> None:
        super().__init__(entries)
        self.image_dims = image_dims

    def __missing__(self, key: str) -> Any:
        if key not in TILE_LISTS:
            raise KeyError(key)
        self.update(tile_lists(self, self.image_dims))
        return self[key]

    def __contains__(self, key: object) -> bool:
        return key in TILE_LISTS or super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 - this is what get is


@torch.no_grad()
def tile_lists(meta: dict[str, Any], image_dims: tuple[int, ...]) -> dict[str, Tensor]:
    """Which boxes of `radii` around `means2d` touch which tiles, nearest first: gsplat's `isect_tiles`.

    Returns:
        tiles_per_gauss: int32, one for each row of `radii`.
        isect_ids: [n] int64, sorted: image | tile | bits of the depth, 32 bits for the last.
        flatten_ids: [n] int32, the row of each, counted through all images.
        isect_offsets: [..., C, tile_height, tile_width] int32, where each tile begins in the two lists.
    """
    size, columns, rows = meta["tile_size"], meta["tile_width"], meta["tile_height"]
    images = math.prod(image_dims)
    radii, means2d = meta["radii"].reshape(-1, 2), meta["means2d"].reshape(-1, 2)
    depths = meta["depths"].reshape(-1)
    if meta["gaussian_ids"] is None:
        image_of = torch.arange(images, device="cpu").repeat_interleave(len(depths) // images)
    else:
        image_of = meta["batch_ids"] * meta["n_cameras"] + meta["camera_ids"]

    last = torch.tensor([columns, rows], device="cpu")
    low = torch.floor((means2d - radii) / size).clamp_min(0).minimum(last).long()
    high = torch.ceil((means2d + radii) / size).clamp_min(0).minimum(last).long()
    width, height = (high - low).unbind(-1)
    touched = width * height * (radii > 0).all(-1)

    row = torch.arange(len(depths), device="cpu").repeat_interleave(touched)
    place = torch.arange(len(row), device="cpu") - (torch.cumsum(touched, 0) - touched)[row]
    tile = (low[row, 1] + place // width[row]) * columns + low[row, 0] + place % width[row]
    tile_bits = (columns * rows).bit_length()
    cell = (image_of[row] << tile_bits) | tile
    isect_ids, order = torch.sort((cell << 32) | depths.view(torch.int32)[row].long(), stable=True)
    cells = (torch.arange(images, device="cpu")[:, None] << tile_bits) | torch.arange(
        columns * rows, device="cpu"
    )
    offsets = torch.searchsorted(isect_ids >> 32, cells)
    return {
        "tiles_per_gauss": touched.int().reshape(meta["depths"].shape),
        "isect_ids": isect_ids,
        "flatten_ids": row[order].int(),
        "isect_offsets": offsets.int().reshape(*image_dims, rows, columns),
    }
