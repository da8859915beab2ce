"""What a correction may do to the volume of matter: what is wet hardly changes it, however much it is squashed.

The change is exact, det(I + grad u) - 1, and not its first order, tr(grad u): of a ball that is squashed to two thirds of its height that
would take 9 % of the volume away, all of it at the back, where no camera sees that something is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.optimize.apply import FLOWING
from perpetua.optimize.motion import SoftMotion, basis_gradient
from perpetua.optimize.rigid import positions_at
from perpetua.scene.gradient import GradientOperator
from perpetua.scene.materials import Model
from perpetua.scene.trajectory import Trajectory

VOLUME = {
    "elastic": 0.3,
    "plastic": 0.3,
    "snow": 0.0,
    "sand": 0.1,
    "liquid": 0.3,
    "cloth": 0.0,
    "gas": 0.0,
}
"""Price of a mean squared relative change of volume of one, by model: what is wet hardly changes its volume, nor do grains that flow; snow
is pressed together."""
SAMPLED = 1500
"""Particles of a body whose volume counts, about; they are spread evenly over it."""


@dataclass(frozen=True)
class VolumePrice:
    """Of a soft body with n particles that count. slopes: [Q - 1, n, 3, M] 1/m, gradients of its basis by where particles are at each
    knot; start: [Q - 1, n, 3, 3], that of the correction it goes on from (entry ij = d start_i / d x_j); weight: of ``VOLUME``."""

    slopes: Tensor
    start: Tensor
    weight: float

    @staticmethod
    def of(
        soft: SoftMotion, trajectory: Trajectory, knots: NDArray, mine: NDArray, model: Model
    ) -> VolumePrice:
        """For a body of particles ``mine`` [p]; knots: [Q - 1], after the first.

        Where matter keeps its neighbours, a gradient G by places of the round's start is G F_0 F^-1 by those of a later frame.
        """
        device = soft.basis.device
        some = slice(None, None, max(1, len(mine) // SAMPLED))
        if VOLUME[model] == 0:
            return VolumePrice(torch.zeros(0, device=device), torch.zeros(0, device=device), 0.0)
        basis_slopes, start_slopes = (t.double().cpu().numpy() for t in (soft.slopes, soft.start_slopes))
        B, starts = (t.double().cpu().numpy() for t in (soft.basis, soft.start))
        first = trajectory.F[0, mine[some]].astype(np.float64)
        columns, already = [], []
        for knot, u, gradient_then in zip(knots, starts, start_slopes, strict=True):
            if model in FLOWING:
                points = positions_at(trajectory, float(knot))[mine]
                gradient = GradientOperator.at(points, np.zeros(len(points), np.int32))
                columns.append(basis_gradient(gradient, B)[some])
                already.append(gradient(u)[some])
            else:
                frame = min(round(float(knot)), trajectory.frames - 1)
                back = first @ np.linalg.inv(trajectory.F[frame, mine[some]].astype(np.float64))
                columns.append(back.mT @ basis_slopes[some])
                already.append(gradient_then[some] @ back)
        slopes, start = (torch.from_numpy(np.stack(a)).float().to(device) for a in (columns, already))
        return VolumePrice(slopes, start, VOLUME[model])

    def __call__(self, c: Tensor) -> Tensor:
        """The price of coefficients c [Q - 1, M, 3], mean over knots and particles."""
        if self.weight == 0:
            return c.new_zeros(())
        gradient = (self.slopes @ c[:, None]).mT + self.start
        return self.weight * (determinant(gradient + torch.eye(3, device=c.device)) - 1).square().mean()


def determinant(matrices: Tensor) -> Tensor:
    """[...] of [..., 3, 3]; many times as fast as a factorisation of each."""
    a, b, c = matrices.unbind(-1)
    return (a * torch.linalg.cross(b, c)).sum(-1)
