"""Tensors that kernels can take: float32 on the CPU, whatever torch's default type and device are."""

from __future__ import annotations

import torch
from torch import Tensor


def empty(*shape: int) -> Tensor:
    """Float32 of ``shape`` on the CPU, uninitialised."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def zeros(*shape: int) -> Tensor:
    """Float32 zeros of ``shape`` on the CPU."""
    return torch.zeros(shape, dtype=torch.float32, device="cpu")
