"""The stages as torch functions with gradients: one projection for all cameras, one composite a camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.errors import RenderError
from perpetua.render.numba_backend.bin import RECORD, bin_tiles, sort_by_depth
from perpetua.render.numba_backend.composite import composite_forward
from perpetua.render.numba_backend.composite_backward import MOMENTS, composite_backward, sum_slots
from perpetua.render.numba_backend.harmonics import harmonics_backward, harmonics_forward
from perpetua.render.numba_backend.lanes import F
from perpetua.render.numba_backend.project import NOT_FINITE, project_backward, project_forward
from perpetua.render.numba_backend.threads import parallel_ranges, thread_count

GAUSSIANS_A_RANGE = 8192
_RANGES_A_THREAD = (
    8  # tiles differ in cost: enough ranges that threads end together, few enough to start cheaply
)


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's memory as a C-contiguous array, without its graph."""
    return tensor.detach().contiguous().numpy()


def _over_tiles(kernel: Any, tiles: int, *arguments: Any) -> None:
    threads = thread_count()
    size = tiles if threads == 1 else max(1, tiles // (threads * _RANGES_A_THREAD))
    parallel_ranges(kernel, tiles, max(1, size), *arguments)


@dataclass(frozen=True)
class Lens:
    """What the projection needs beside the camera matrices; lengths in metres, sizes in pixels."""

    width: int
    height: int
    near: float
    far: float
    radius_clip: float
    eps2d: float


class Projected(NamedTuple):
    """What the projection makes of N Gaussians, for C cameras [C, N, .] or for one [N, .]; pixels and m."""

    means2d: Tensor
    """[.., N, 2] pixels, in the graph."""
    depths: Tensor
    """[.., N] m, in the graph."""
    image_covars: Tensor
    """[.., N, 3] pixels^2, xx, xy, yy with eps2d, in the graph."""
    conics: Tensor
    """[.., N, 3] xx, xy, yy of the inverse of image_covars."""
    radii: Tensor
    """[.., N, 2] int32 pixels, 0 for what is not seen."""
    extents: Tensor
    """[.., N, 2] pixels, half the box in which alpha is at least 1/255."""


class Project(torch.autograd.Function):
    """Gaussians [N] seen by cameras [C] -> the fields of `Projected`.

    Give `quats` [N,4] and `scales` [N,3], or `covars` [N,6] (upper triangles), and the others empty ([0, .]).
    """

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        covars: Tensor,
        opacities: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        lens: Lens,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        cameras, count = viewmats.shape[0], means.shape[0]
        means2d = torch.empty(cameras, count, 2)
        depths = torch.empty(cameras, count)
        image_covars = torch.empty(cameras, count, 3)
        conics = torch.empty(cameras, count, 3)
        radii = torch.empty(cameras, count, 2, dtype=torch.int32)
        extents = torch.empty(cameras, count, 2)
        gaussians = [array(t) for t in (means, quats, scales, covars, opacities)]
        limits = (F(lens.eps2d), F(lens.near), F(lens.far), F(lens.radius_clip))
        for c in range(cameras):
            outputs = [t[c].numpy() for t in (radii, extents, means2d, depths, image_covars, conics)]
            camera = (array(viewmats[c]), array(Ks[c]), lens.width, lens.height)
            parallel_ranges(project_forward, count, GAUSSIANS_A_RANGE, *gaussians, *camera, *limits, *outputs)
            lost = np.flatnonzero(outputs[0][:, 0] == NOT_FINITE)
            if lost.size:
                raise RenderError(
                    f"{lost.size} Gaussians cannot be projected, the first is number {lost[0]}: its mean, opacity or "
                    "shape is NaN or infinite (or its quaternion is zero); remove them or find the step that made them"
                )
        ctx.save_for_backward(means, quats, scales, covars, viewmats, Ks, radii)
        ctx.lens = lens
        ctx.mark_non_differentiable(conics, radii, extents)
        return means2d, depths, image_covars, conics, radii, extents

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_means2d: Tensor, grad_depths: Tensor, grad_image_covars: Tensor, *_: Any
    ) -> Any:
        means, quats, scales, covars, viewmats, Ks, radii = ctx.saved_tensors
        gradients = [torch.zeros(t.shape) for t in (means, quats, scales, covars)]
        gaussians = [array(t) for t in (means, quats, scales, covars)]
        sums = [t.numpy() for t in gradients]
        incoming = [array(t) for t in (grad_means2d, grad_depths, grad_image_covars)]
        for c in range(viewmats.shape[0]):
            parallel_ranges(
                project_backward,
                means.shape[0],
                GAUSSIANS_A_RANGE,
                *gaussians,
                array(viewmats[c]),
                array(Ks[c]),
                ctx.lens.width,
                ctx.lens.height,
                radii[c].numpy(),
                *(g[c] for g in incoming),
                *sums,
            )
        return (*gradients, None, None, None, None)


class HarmonicColors(torch.autograd.Function):
    """Spherical harmonics [N,K,3] of Gaussians seen from `camera` [3] -> colours [N,3]; unseen ones are black."""

    @staticmethod
    def forward(
        ctx: Any, means: Tensor, coefficients: Tensor, camera: Tensor, radii: Tensor, degree: int
    ) -> Tensor:
        colors = torch.empty(means.shape[0], 3)
        given = (array(means), array(coefficients), array(camera), degree, array(radii), colors.numpy())
        parallel_ranges(harmonics_forward, means.shape[0], GAUSSIANS_A_RANGE, *given)
        ctx.save_for_backward(means, coefficients, camera, radii, colors)
        ctx.degree = degree
        return colors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_colors: Tensor) -> Any:
        means, coefficients, camera, radii, colors = ctx.saved_tensors
        grad_means, grad_coefficients = torch.zeros(means.shape), torch.zeros(coefficients.shape)
        given = (array(means), array(coefficients), array(camera), ctx.degree, array(radii), array(colors))
        results = (grad_means.numpy(), grad_coefficients.numpy())
        parallel_ranges(
            harmonics_backward, means.shape[0], GAUSSIANS_A_RANGE, *given, array(grad_colors), *results
        )
        return grad_means, grad_coefficients, None, None, None


class Composite(torch.autograd.Function):
    """Projected Gaussians of one camera -> image [H,W,D (+1 with depths)], alpha [H,W,1].

    Takes the fields of `Projected`, `opacities` [N], `colors` [N,D] (D may be 0) and `background` [D] or [0]. With
    `with_depth` the depth is a last channel, and with `expected_depth` it is divided by alpha.
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
    ) -> tuple[Tensor, Tensor]:
        channels = colors.shape[1] + int(with_depth)
        order = sort_by_depth(array(radii), array(depths).view(np.int32))
        records = np.empty((len(order), RECORD), np.float32)
        features = np.empty((len(order), channels), np.float32)
        first_slot = np.empty(len(order) + 1, np.int64)
        tile_start, pairs = bin_tiles(
            order,
            *(array(t) for t in (means2d, image_covars, conics, extents, opacities, colors)),
            array(depths if with_depth else depths[:0]),
            width,
            height,
            records,
            features,
            first_slot,
        )
        behind = np.zeros(channels, np.float32)
        behind[: background.shape[0]] = array(background)
        image = torch.empty(height, width, channels)
        alpha = torch.empty(height, width, 1)
        transmittance = np.empty(height * width, np.float32)
        last = np.empty(height * width, np.float32)
        tiles = (records, features, tile_start, pairs, width, height, behind, expected_depth)
        pixels = (image.numpy().reshape(-1), alpha.numpy().reshape(-1), transmittance, last)
        _over_tiles(composite_forward, len(tile_start) - 1, *tiles, *pixels)
        ctx.save_for_backward(image_covars, conics, background, image)
        ctx.stages = (order, first_slot, tiles, transmittance, last)
        ctx.sizes = (means2d.shape[0], colors.shape[1], with_depth)
        return image, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_image: Tensor, grad_alpha: Tensor) -> Any:
        image_covars, conics, background, image = ctx.saved_tensors
        order, first_slot, tiles, transmittance, last = ctx.stages
        records, features, tile_start, pairs = tiles[:4]
        count, channels, with_depth = ctx.sizes
        slots = np.empty((len(pairs), MOMENTS + features.shape[1]), np.float32)
        pixels = (array(image).reshape(-1), transmittance, last)
        incoming = (array(grad_image).reshape(-1), array(grad_alpha).reshape(-1), slots)
        _over_tiles(composite_backward, len(tile_start) - 1, *tiles, *pixels, *incoming)
        shapes = ((count, 2), (count, 3), (count, channels), (count if with_depth else 0,), (count,))
        grad_means2d, grad_image_covars, grad_colors, grad_depths, grad_opacities = (
            torch.zeros(s) for s in shapes
        )
        outputs = (grad_means2d, grad_image_covars, grad_colors, grad_depths, grad_opacities)
        parallel_ranges(
            sum_slots,
            len(order),
            GAUSSIANS_A_RANGE,
            order,
            first_slot,
            slots,
            array(image_covars),
            array(conics),
            records,
            *(t.numpy() for t in outputs),
        )
        grad_background = None
        if ctx.needs_input_grad[8]:
            colour = grad_image[..., : background.shape[0]]
            grad_background = (
                colour * torch.from_numpy(transmittance).reshape(grad_image.shape[:2])[..., None]
            ).sum((0, 1))
        unused = (None, None, None)
        projected = (grad_means2d, grad_depths if with_depth else None, grad_image_covars, *unused)
        return (*projected, grad_opacities, grad_colors, grad_background, *unused, None)
