"""What the heads read from the backbone's features."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Readings(NamedTuple):
    """Of B videos of T frames of H x W pixels. Flow, rise and occlusion are those from each frame to the next."""

    depth: Tensor
    """[B, T, H, W] m, along the optical axis"""
    flow: Tensor
    """[B, T-1, 2, H, W] px, x and y"""
    rise: Tensor
    """[B, T-1, H, W] m, how much the depth of what a pixel sees grows"""
    occluded: Tensor
    """[B, T-1, H, W] logit of what a pixel sees being hidden in the next frame"""
