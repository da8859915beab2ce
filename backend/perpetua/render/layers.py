"""Every image of a frame in one pass over the Gaussians: colour, coverage, depth, normals, optical flow, masks, any channel.

The Gaussians are projected, sorted and composited once, with the channels side by side: each is the sum over what a pixel sees of
values weighted by how much it sees of them (w_i, which add up to the coverage alpha). What is then a mean (depth, flow) is divided
by alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render.api import GaussiansLike
from perpetua.render.motion import Motion, flow_features, flow_image
from perpetua.render.rasterize import rasterization
from perpetua.scene.cameras import Camera
from perpetua.scene.rotations import matrix_from_quaternion

NOTHING_DEPTH = 1e6
"""m; the depth of pixels where nothing is."""
BLUR = 0.3
"""pixels^2; the variance that keeps splats no thinner than a pixel (gsplat's default)."""
CHANNELS_AT_ONCE = 512
"""Channels that gsplat's kernels composite in one pass at most; beyond them the Gaussians are composited again."""


@dataclass(frozen=True)
class Layers:
    """What one camera sees, every image in the graph of the Gaussians. What was not asked for is None."""

    rgb: Tensor
    """[H, W, 3], in the colours' own encoding, over the background (premultiplied by alpha where that is black)."""
    alpha: Tensor
    """[H, W] in [0, 1], coverage."""
    depth: Tensor
    """[H, W] m along the optical axis, mean over what is seen; NOTHING_DEPTH where nothing is."""
    normals: Tensor | None = None
    """[H, W, 3] world axes, towards the camera, unit length; 0 where nothing is."""
    flow: Tensor | None = None
    """[H, W, 2] pixels right and down that what is seen moves until the other frame, mean over what is seen; 0 where nothing is."""
    masks: Tensor | None = None
    """[H, W, objects] in [0, 1], coverage by each object; with all that belongs to none they add up to alpha."""
    extra: Tensor | None = None
    """[H, W, c] sums of the extra channels weighted by coverage (divide by alpha for their mean)."""


def camera_tensors(camera: Camera, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """(viewmats [1, 4, 4], Ks [1, 3, 3]) of a camera as float32 tensors, as `rasterization` takes them."""
    viewmat = torch.as_tensor(camera.world_to_camera, dtype=torch.float32, device=device)
    K = torch.as_tensor(camera.K, dtype=torch.float32, device=device)
    return viewmat[None], K[None]


def render_layers(
    gaussians: GaussiansLike,
    camera: Camera,
    *,
    background: Tensor | Sequence[float] | None = None,
    normals: bool = False,
    motion: Motion | None = None,
    camera_after: Camera | None = None,
    objects: Tensor | None = None,
    object_count: int | None = None,
    channels: Tensor | None = None,
    near: float = 0.01,
    far: float = 1e10,
) -> Layers:
    """Draw `gaussians` through `camera`: colour, coverage and depth always, the rest where it is asked for.

    Args:
        gaussians: means, quats, scales, opacities, colours (N Gaussians, float32, one device).
        camera: the engine's camera (OpenCV axes, pixels).
        background: [3], behind the colours; black when None. Everything else has zero behind it.
        normals: whether to draw normals: each Gaussian's shortest axis, turned towards the camera.
        motion: draws the optical flow to the frame that `motion` leads to; `Motion.still` for a camera that moves alone.
        camera_after: the camera of that frame; `camera` when None.
        objects: [N] integers, the object each Gaussian belongs to, from 0; -1 for none. Draws a mask for each.
        object_count: number of masks; one more than the largest of `objects` when None.
        channels: [N, c] further values to draw.
        near, far: m, what is drawn.

    Raises:
        RenderError: what `rasterization` refuses, or an argument that does not fit the Gaussians.
    """
    position = torch.as_tensor(camera.position, dtype=torch.float32, device=gaussians.means.device)
    colors = gaussians.colors_from(position)
    drawn = [colors]
    if normals:
        drawn.append(_facing_normals(gaussians, camera))
    if motion is not None:
        with torch.autocast(colors.device.type, enabled=False):  # bfloat16 would round places by whole pixels
            drawn.append(flow_features(gaussians.means, motion, camera, camera_after or camera, BLUR, near))
    elif camera_after is not None:
        raise RenderError(
            "camera_after needs a motion; give Motion.still(gaussians) if only the camera moves"
        )
    if objects is not None:
        drawn.append(_memberships(objects, object_count, colors))
    elif object_count is not None:
        raise RenderError("object_count needs objects; give the object of each Gaussian, or leave it out")
    if channels is not None:
        if channels.dim() != 2 or len(channels) != len(colors):
            raise RenderError(
                f"channels must have shape [{len(colors)}, c], a row for each Gaussian, not {list(channels.shape)}"
            )
        drawn.append(channels)
    values = colors if len(drawn) == 1 else torch.cat(drawn, -1)
    viewmats, Ks = camera_tensors(camera, colors.device)
    image, alpha, _ = rasterization(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        values,
        viewmats,
        Ks,
        camera.width,
        camera.height,
        near_plane=near,
        far_plane=far,
        eps2d=BLUR,
        backgrounds=None if background is None else _behind(background, colors, values.shape[-1]),
        render_mode="RGB+ED",
        channel_chunk=min(values.shape[-1] + 1, CHANNELS_AT_ONCE),
    )
    coverage, depth = alpha[0, ..., 0], image[0, ..., -1]
    layers = iter(torch.split(image[0, ..., :-1], [d.shape[-1] for d in drawn], -1))
    return Layers(
        rgb=next(layers),
        alpha=coverage,
        depth=torch.where(coverage > 0, depth, NOTHING_DEPTH),
        normals=unit(next(layers)) if normals else None,
        flow=None if motion is None else flow_image(next(layers), coverage),
        masks=None if objects is None else next(layers),
        extra=None if channels is None else next(layers),
    )


def unit(vectors: Tensor) -> Tensor:
    """[..., 3] at unit length; zero stays zero, and gets no gradient."""
    squares = (vectors * vectors).sum(-1, keepdim=True)
    is_something = squares > 0
    return torch.where(is_something, vectors * torch.where(is_something, squares, 1.0).rsqrt(), 0.0)


def _facing_normals(gaussians: GaussiansLike, camera: Camera) -> Tensor:
    """[N, 3] world axes: each Gaussian's shortest axis, of its two directions the one towards the camera."""
    axes = matrix_from_quaternion(gaussians.quats)
    shortest = gaussians.scales.argmin(-1)
    normal = axes.gather(2, shortest[:, None, None].expand(-1, 3, 1))[..., 0]
    position = torch.as_tensor(camera.position, dtype=normal.dtype, device=normal.device)
    away = (normal * (gaussians.means.detach() - position)).sum(-1, keepdim=True)
    return torch.where(away > 0, -normal, normal)


def _memberships(objects: Tensor, count: int | None, colors: Tensor) -> Tensor:
    """[N, count] 1 where a Gaussian belongs to an object."""
    if objects.shape != colors.shape[:1] or objects.is_floating_point():
        raise RenderError(
            f"objects must be {colors.shape[0]} integers, one a Gaussian, not {list(objects.shape)} of {objects.dtype}"
        )
    least, most = (int(objects.min()), int(objects.max())) if len(objects) else (-1, -1)
    count = most + 1 if count is None else count
    if least < -1 or most >= count:
        raise RenderError(f"objects must be -1 (none) to {count - 1}, not {least} to {most}")
    return (objects.to(colors.device)[:, None] == torch.arange(count, device=colors.device)).to(colors.dtype)


def _behind(background: Tensor | Sequence[float], colors: Tensor, channels: int) -> Tensor:
    """[1, channels]: the background behind the colours, and nothing behind the rest."""
    behind = torch.as_tensor(background, dtype=colors.dtype, device=colors.device).reshape(-1)
    if behind.shape != (colors.shape[-1],):
        raise RenderError(f"background must be {colors.shape[-1]} numbers, not {behind.shape[0]}")
    return torch.cat([behind, behind.new_zeros(channels - len(behind))])[None]
