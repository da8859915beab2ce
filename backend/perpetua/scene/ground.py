"""Splats that lie on the ground below a body, as its shadow does: they follow where it is and how far it spreads, not how it turns.

A rolling ball would carry its shadow round with it; so these splats hang on the body's distribution over the plane: they
shift with its centre, stretch by the smallest linear map that takes its rest spread to its spread now, and, as it rises, draw
together and become fewer. Those that are gone are out of sight inside the body.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SPREAD, MOST_SPREAD = 0.5, 2.5
"""Bounds of what a shadow stretches by; beyond them the body has scattered."""
FOOT_QUANTILE = 0.05
"""Share of a body's particles below its foot: a few drops left behind do not hold its shadow."""
STANDING = 0.02
"""Rise, in the body's height, that is none yet: matter settles and is pressed."""
DRAWN_IN = 0.7
"""How far a shadow has drawn together, as a share of its size, when its body has risen by its own height."""
SOFTENED, SOFTENED_FROM = 1.35, 0.15
"""How much wider its splats are from that rise on: they close up where some are gone already."""


def footing(positions: Tensor) -> Tensor:
    """[7] of a body's particles [p, 3] m: centre x, y (m); covariance xx, xy, yy (m^2); height of the foot and of the body (m)."""
    centre = positions.mean(0)
    away = positions[:, :2] - centre[:2]
    covariance = away.T @ away / len(positions)
    z = positions[:, 2]
    foot = torch.quantile(z, FOOT_QUANTILE)
    return torch.stack(
        [centre[0], centre[1], covariance[0, 0], covariance[0, 1], covariance[1, 1], foot, z.max() - z.min()]
    )


def spread(before: Tensor, now: Tensor) -> Tensor:
    """[2, 2] the symmetric map that takes the covariance of ``before`` to that of ``now`` (each [7], of ``footing``): the optimal
    transport of one normal distribution to another (Olkin and Pukelsheim 1982), within bounds."""
    first, second = (torch.stack([f[2:4], f[3:5]]).double() for f in (before, now))
    tiny = 1e-12 + 1e-6 * (first.trace() + second.trace()) * torch.eye(
        2, dtype=torch.float64, device=first.device
    )
    root, back = _power(first + tiny, 0.5), _power(first + tiny, -0.5)
    whole = back @ _power(root @ (second + tiny) @ root, 0.5) @ back
    values, axes = torch.linalg.eigh(0.5 * (whole + whole.T))
    return (axes @ torch.diag(values.clamp(LEAST_SPREAD, MOST_SPREAD)) @ axes.T).to(before.dtype)


def rise(before: Tensor, now: Tensor) -> float:
    """How far the foot has risen, in the body's height at rest, from 0 to 1."""
    risen = float((now[5] - before[5]) / before[6].clamp_min(1e-9))
    return min(max((risen - STANDING) / (1 - STANDING), 0.0), 1.0)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, axes = torch.linalg.eigh(matrix)
    return axes @ torch.diag(values.clamp_min(1e-18) ** exponent) @ axes.T
