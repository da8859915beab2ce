"""Gathering values of the Gaussians that an image sees, as a torch function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from perpetua.render.numba_backend.gather import gather_rows, scatter_rows
from perpetua.render.numba_backend.tensors import empty, zeros
from perpetua.render.numba_backend.threads import (
    WAKING_PAYS_FOR_COPIES,
    array,
    equal_size,
    parallel_ranges,
)


class Gather(torch.autograd.Function):
    """values [N, D], ids [rows] int64 that do not repeat -> values[ids], [rows, D]."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ids: Tensor) -> Tensor:
        out = empty(ids.shape[0], values.shape[1])
        given = (array(values), array(ids), out.numpy())
        parallel_ranges(gather_rows, ids.shape[0], equal_size(ids.shape[0], WAKING_PAYS_FOR_COPIES), *given)
        ctx.save_for_backward(ids)
        ctx.shape = values.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        grad_values = zeros(*ctx.shape)
        given = (array(grad_out), array(ids), grad_values.numpy())
        parallel_ranges(scatter_rows, ids.shape[0], equal_size(ids.shape[0], WAKING_PAYS_FOR_COPIES), *given)
        return grad_values, None
