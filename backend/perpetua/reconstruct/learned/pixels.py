"""Pictures as networks take them, and what networks draw at a picture's own size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def prepared(
    rgb: NDArray[np.uint8],
    size: tuple[int, int],
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    deviation: tuple[float, float, float] = IMAGENET_DEVIATION,
) -> Tensor:
    """[1, 3, *size] float32: a picture [H, W, 3] of sRGB at ``size`` (rows, columns), less ``mean`` and over ``deviation``."""
    image = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255
    if image.shape[-2:] != size:
        image = interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
    return (image - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]


def at_size(values: Tensor, height: int, width: int) -> NDArray[np.float32]:
    """[..., height, width] of ``values`` [..., h, w], by linear interpolation."""
    flat = values.detach().float().cpu().reshape(1, -1, *values.shape[-2:])
    made = interpolate(flat, (height, width), mode="bilinear", align_corners=False)
    return made.reshape(*values.shape[:-2], height, width).numpy()


def size_in_patches(height: int, width: int, longest: int, patch: int) -> tuple[int, int]:
    """Rows and columns, multiples of ``patch``, of about the shape of (height, width), the longer of about ``longest`` pixels."""
    scale = longest / max(height, width)
    rows, columns = (max(patch, round(side * scale / patch) * patch) for side in (height, width))
    return rows, columns
