"""Spherical harmonics as a torch function: one call a camera."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.render.numba_backend.harmonics import harmonics_backward, harmonics_forward
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE, array, parallel_ranges


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
