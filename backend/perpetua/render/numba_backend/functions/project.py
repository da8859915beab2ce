"""The projection as a torch function: one call for all cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.errors import RenderError
from perpetua.render.numba_backend.lanes import F
from perpetua.render.numba_backend.project import NOT_FINITE, project_backward, project_forward
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE, array, parallel_ranges


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
