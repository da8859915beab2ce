"""Spatial gradient of a vector field known only at particles, by moving least squares.

A correction moves particles; what it does to the matter between them (the deformation gradient, the affine velocity) is
the gradient of that movement. Particles have no mesh, so the gradient is fitted over each one's nearest neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NEIGHBOURS = 26
"""Three shells of a cubic lattice (6 + 12 + 8). With 16 a ball that was written back at its greatest squash strayed twice as far from
the unbroken run, and the gradient of an optimised correction was noisier."""

DEGENERATE = 1e-4
"""Share of a neighbourhood's largest spread (an eigenvalue, m^2) under which a direction counts as flat: there the field
cannot be differentiated, and its derivative along that direction is taken as zero."""


@dataclass(frozen=True)
class GradientOperator:
    """The gradient at P particles as a weighted sum over their neighbours, for fields that change while the particles stay.

    nearest: [P, k] int64, neighbours of the same body (the particle itself first).  weights: [P, k, 3], 1/m.
    """

    nearest: NDArray[np.int64]
    weights: NDArray[np.float64]

    @staticmethod
    def at(points: NDArray, body: NDArray, neighbours: int = NEIGHBOURS) -> GradientOperator:
        """Fit over ``neighbours`` nearest at ``points`` [P, 3] m; ``body`` [P]: only particles of one body are neighbours.

        Weighted least squares about the neighbourhood's weighted mean, with weight (1 - (d/h)^2)^2 and h just beyond the
        farthest neighbour (Lancaster and Salkauskas 1981).
        """
        nearest = np.repeat(np.arange(len(points))[:, None], neighbours + 1, 1)
        weights = np.zeros((len(points), neighbours + 1, 3))
        for index in np.unique(body):
            mine = np.flatnonzero(body == index)
            if len(mine) > 1:
                count = min(neighbours + 1, len(mine))
                local, fitted = _fit(points[mine].astype(np.float64), count)
                nearest[mine, :count] = mine[local]
                weights[mine, :count] = fitted
        return GradientOperator(nearest, weights)

    def __call__(self, field: NDArray) -> NDArray[np.float64]:
        """[P, 3] -> [P, 3, 3], entry ij = d field_i / d x_j."""
        return field[self.nearest].astype(np.float64).mT @ self.weights


def displacement_gradient(
    points: NDArray, displacement: NDArray, body: NDArray, neighbours: int = NEIGHBOURS
) -> NDArray[np.float64]:
    """[P, 3, 3], entry ij = d displacement_i / d x_j, at ``points`` [P, 3] m; exact for affine fields.

    ``displacement``: [P, 3] (m gives a dimensionless gradient, m/s gives 1/s). ``body``: [P]; only particles of the same
    body are neighbours; a body of one particle has gradient zero.
    """
    return GradientOperator.at(points, body, neighbours)(displacement)


def _fit(points: NDArray, count: int) -> tuple[NDArray, NDArray]:
    """Neighbours [P, count] and their gradient weights [P, count, 3] within one body."""
    distances, nearest = cKDTree(points).query(points, k=count)
    reach = np.maximum(distances[:, -1:] * 1.01, 1e-12)
    weights = (1 - (distances / reach) ** 2) ** 2
    weights /= weights.sum(1, keepdims=True)
    away = points[nearest] - (weights[..., None] * points[nearest]).sum(1, keepdims=True)
    weighted = weights[..., None] * away
    slopes = weighted @ _inverse_where_spread(away.mT @ weighted)
    # The field's weighted mean drops out: the weighted offsets of a neighbourhood sum to zero.
    return nearest, slopes


def _inverse_where_spread(moments: NDArray) -> NDArray:
    """Pseudo-inverse of [..., 3, 3] symmetric moments that leaves flat directions out."""
    values, vectors = np.linalg.eigh(moments)
    spread = values > DEGENERATE * values[..., -1:]
    inverse = np.where(spread, 1 / np.where(spread, values, 1.0), 0.0)
    return (vectors * inverse[..., None, :]) @ vectors.mT
