"""Spatial gradient of a vector field known only at particles, by moving least squares.

A correction moves particles; what it does to the matter between them (the deformation gradient, the affine velocity) is
the gradient of that movement. Particles have no mesh, so the gradient is fitted over each one's nearest neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

DEGENERATE = 1e-4
"""Share of a neighbourhood's largest spread (an eigenvalue, m^2) under which a direction counts as flat: there the field
cannot be differentiated, and its derivative along that direction is taken as zero."""


def displacement_gradient(
    points: NDArray, displacement: NDArray, body: NDArray, neighbours: int = 16
) -> NDArray[np.float64]:
    """[P, 3, 3], entry ij = d displacement_i / d x_j, at ``points`` [P, 3] m; exact for affine fields.

    ``displacement``: [P, 3] (m gives a dimensionless gradient, m/s gives 1/s). ``body``: [P]; only particles of the same
    body are neighbours. Weighted least squares about the neighbourhood's weighted mean, with weight (1 - (d/h)^2)^2 and h
    just beyond the farthest neighbour (Lancaster and Salkauskas 1981). A body of one particle has gradient zero.
    """
    gradient = np.zeros((len(points), 3, 3))
    for index in np.unique(body):
        mine = np.flatnonzero(body == index)
        if len(mine) > 1:
            gradient[mine] = _gradient_of_one_body(
                points[mine].astype(np.float64), displacement[mine].astype(np.float64), neighbours
            )
    return gradient


def _gradient_of_one_body(points: NDArray, field: NDArray, neighbours: int) -> NDArray:
    distances, nearest = cKDTree(points).query(points, k=min(neighbours + 1, len(points)))
    reach = np.maximum(distances[:, -1:] * 1.01, 1e-12)
    weights = (1 - (distances / reach) ** 2) ** 2
    weights /= weights.sum(1, keepdims=True)
    away = points[nearest] - (weights[..., None] * points[nearest]).sum(1, keepdims=True)
    change = field[nearest] - (weights[..., None] * field[nearest]).sum(1, keepdims=True)
    weighted = weights[..., None] * away
    return (change.mT @ weighted) @ _inverse_where_spread(away.mT @ weighted)


def _inverse_where_spread(moments: NDArray) -> NDArray:
    """Pseudo-inverse of [..., 3, 3] symmetric moments that leaves flat directions out."""
    values, vectors = np.linalg.eigh(moments)
    spread = values > DEGENERATE * values[..., -1:]
    inverse = np.where(spread, 1 / np.where(spread, values, 1.0), 0.0)
    return (vectors * inverse[..., None, :]) @ vectors.mT
