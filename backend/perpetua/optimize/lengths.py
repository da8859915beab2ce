"""What a correction may do to a sheet: bend and swing it as it will, but hardly stretch it.

Strain of first order, the gradient of a displacement, takes a turn for a strain: a cloth that hangs and should be blown out would
rather stay, and a camera that sees it shortened would find it shrunk. So a sheet's price is that of its neighbours' true distances,
Green's strain along each pair,  (|d|^2 / |d_0|^2 - 1) / 2,  which no turn changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from perpetua.optimize.motion import SoftMotion
from perpetua.optimize.rigid import positions_at
from perpetua.scene.materials import Model
from perpetua.scene.trajectory import Trajectory

LENGTH = {"cloth": 5.0}
"""Price of a mean squared strain of one of the distances between neighbours, by model; of others it counts in ``plausibility.STIFFNESS``."""
NEIGHBOURS = 8
"""Along the threads and across them."""
SAMPLED = 3000
"""Pairs that count, at most about; they are spread evenly over the body."""


@dataclass(frozen=True)
class LengthPrice:
    """Of a soft body with E pairs that count. apart: [Q - 1, E, 3] m, from one to the other at each knot, as simulated;  start: the same of
    the correction it goes on from;  basis: [E, M], differences of the basis;  weight: of ``LENGTH``."""

    apart: Tensor
    start: Tensor
    basis: Tensor
    weight: float

    @staticmethod
    def of(
        soft: SoftMotion, trajectory: Trajectory, knots: NDArray, mine: NDArray, model: Model
    ) -> LengthPrice:
        """For a body of particles ``mine`` [p] that start the round as neighbours; knots: [Q - 1], after the first."""
        none = torch.zeros(0, device=soft.basis.device)
        if model not in LENGTH or len(mine) < 2:
            return LengthPrice(none, none, none, 0.0)
        first, second = _pairs(trajectory.positions[0, mine].astype(np.float64))
        simulated = [positions_at(trajectory, float(knot))[mine] for knot in knots]
        apart = np.stack([points[second] - points[first] for points in simulated])
        return LengthPrice(
            torch.from_numpy(apart).float().to(none.device),
            soft.start[:, second] - soft.start[:, first],
            soft.basis[second] - soft.basis[first],
            LENGTH[model],
        )

    def __call__(self, c: Tensor) -> Tensor:
        """The price of coefficients c [Q - 1, M, 3], mean over knots and pairs."""
        if self.weight == 0:
            return c.new_zeros(())
        now = self.apart + self.start + self.basis @ c
        strain = 0.5 * (now.square().sum(-1) / self.apart.square().sum(-1).clamp_min(1e-12) - 1)
        return self.weight * strain.square().mean()


def _pairs(points: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[E], [E]: neighbours among ``points`` [p, 3] m, each pair once."""
    count = min(NEIGHBOURS + 1, len(points))
    nearest = cKDTree(points).query(points, k=np.arange(2, count + 1))[1]
    first = np.repeat(np.arange(len(points)), nearest.shape[1])
    pairs = np.unique(np.sort(np.stack([first, nearest.ravel()], 1), 1), axis=0)
    pairs = pairs[:: max(1, len(pairs) // SAMPLED)]
    return pairs[:, 0], pairs[:, 1]
