"""Spherical harmonics as a torch function: one call an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.render.numba_backend.harmonics import harmonics_backward, harmonics_forward
from perpetua.render.numba_backend.tensors import empty, zeros
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE, array, equal_size, parallel_ranges


class HarmonicColors(torch.autograd.Function):
    """Spherical harmonics [N,K,3] of Gaussians seen from `camera` [3] -> colours [rows,3]; unseen ones are black.

    `radii` [rows,2] are an image's rows of `Projected`, and `ids` [rows] its packed rows' Gaussians; None when dense.
    """

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        coefficients: Tensor,
        camera: Tensor,
        radii: Tensor,
        ids: Tensor | None,
        degree: int,
    ) -> Tensor:
        colors = empty(radii.shape[0], 3)
        packed, rows_of = (
            ids is not None,
            torch.empty(0, dtype=torch.int64, device="cpu") if ids is None else ids,
        )
        given = (
            array(means),
            array(coefficients),
            array(camera),
            degree,
            packed,
            array(rows_of),
            array(radii),
        )
        parallel_ranges(harmonics_forward, len(radii), equal_size(len(radii)), *given, colors.numpy())
        ctx.save_for_backward(means, coefficients, camera, radii, rows_of, colors)
        ctx.degree, ctx.packed = degree, packed
        return colors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_colors: Tensor) -> Any:
        means, coefficients, camera, radii, rows_of, colors = ctx.saved_tensors
        grad_means, grad_coefficients = zeros(*means.shape), zeros(*coefficients.shape)
        rows = radii.shape[0]
        sums = np.zeros((-(-rows // GAUSSIANS_A_RANGE), 3), np.float64)
        given = (array(means), array(coefficients), array(camera), ctx.degree, ctx.packed)
        seen = (array(rows_of), array(radii), array(colors), array(grad_colors))
        results = (grad_means.numpy(), grad_coefficients.numpy(), sums)
        parallel_ranges(harmonics_backward, rows, GAUSSIANS_A_RANGE, *given, *seen, *results)
        # numpy adds the ranges in an order that depends on their number only.
        grad_camera = torch.from_numpy(sums.sum(0)).to(camera.dtype)
        return grad_means, grad_coefficients, grad_camera, None, None, None
