"""Filming a scene: the background is rendered once a camera, and the moving splats are laid over it frame by frame.

That is exact wherever no background splat stands in front of an object, and it makes a frame cost what moves in it. Where the
background is nearer than the object, by depth, it stays in front. A splat has one depth, that of its middle: where it lies on a table that
is seen at a grazing angle, the table before its middle is nearer, and yet does not hide its near side. So the background must be nearer
by as much as it comes nearer over a splat's size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perpetua.render.layers import Layers, unit

OCCLUSION_MARGIN = 0.02
"""Fraction of the depth by which the background must be nearer to hide an object: expected depths of touching surfaces mix."""
SPLAT_REACH = 1 / 48
"""How far a splat that touches the background is seen from its middle, in the picture's width."""
MOST_MARGIN = 0.1
"""Fraction of the depth; at the outline of something before the object the background's depth jumps."""


def compose(front: Layers, back: Layers) -> Layers:
    """``front`` over ``back``, both over black, except where ``back`` is nearer. Differentiable in both.

    The alpha is what ``front`` covers. Normals, flow, masks and extra channels are composed where both have them.
    """
    seen = (front.depth.detach() <= _farthest_seen(back.depth.detach())).to(front.alpha.dtype)
    alpha = front.alpha * seen
    seen, through = seen[..., None], (1 - alpha)[..., None]

    def over(a: Tensor | None, b: Tensor | None, weight: Tensor) -> Tensor | None:
        return None if a is None or b is None else a * weight + through * b

    normals = over(front.normals, back.normals, alpha[..., None])
    return Layers(
        rgb=front.rgb * seen + through * back.rgb,
        alpha=alpha,
        depth=torch.where(alpha > 0.5, front.depth, back.depth),
        normals=None if normals is None else unit(normals),
        flow=over(front.flow, back.flow, alpha[..., None]),
        masks=over(front.masks, back.masks, seen),
        extra=over(front.extra, back.extra, seen),
    )


def _farthest_seen(depth: Tensor) -> Tensor:
    """[H, W] m: depth to which something is seen before a background at ``depth`` [H, W] m."""
    slope = torch.stack(torch.gradient(depth)).norm(dim=0)  # m a pixel
    sloping = (SPLAT_REACH * depth.shape[1] * slope).minimum(MOST_MARGIN * depth)
    return depth * (1 + OCCLUSION_MARGIN) + sloping
