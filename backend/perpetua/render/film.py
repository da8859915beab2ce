"""Filming a scene: the background is rendered once a camera, and the moving splats are laid over it frame by frame.

That is exact wherever no background splat stands in front of an object, and it makes a frame cost what moves in it. Where the
background is nearer than the object, by depth, it stays in front.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perpetua.render.frame import camera_tensors
from perpetua.render.rasterize import rasterization
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians

NOTHING_DEPTH = 1e6
"""m; the depth of pixels where nothing is."""
OCCLUSION_MARGIN = 0.02
"""Fraction of the depth by which the background must be nearer to hide an object: expected depths of touching surfaces mix."""


@dataclass(frozen=True)
class Layer:
    """rgb: [H, W, 3] (premultiplied by alpha), alpha: [H, W], depth: [H, W] m, expected depth of what is there."""

    rgb: Tensor
    alpha: Tensor
    depth: Tensor


def render_layer(gaussians: Gaussians, camera: Camera) -> Layer:
    """Splats alone, over nothing. Differentiable in the gaussians."""
    viewmats, Ks = camera_tensors(camera, gaussians.means.device)
    image, alpha, _ = rasterization(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.colors,
        viewmats,
        Ks,
        camera.width,
        camera.height,
        render_mode="RGB+ED",
    )
    coverage = alpha[0, ..., 0]
    depth = torch.where(coverage > 1e-3, image[0, ..., 3], torch.full_like(coverage, NOTHING_DEPTH))
    return Layer(image[0, ..., :3], coverage, depth)


def compose(front: Layer, back: Layer) -> Layer:
    """``front`` over ``back``, except where ``back`` is nearer. Differentiable in both."""
    seen = (front.depth.detach() <= back.depth.detach() * (1 + OCCLUSION_MARGIN)).to(front.alpha.dtype)
    alpha = front.alpha * seen
    rgb = front.rgb * seen[..., None] + (1 - alpha)[..., None] * back.rgb
    depth = torch.where(alpha > 0.5, front.depth, back.depth)
    return Layer(rgb, alpha, depth)
