"""The whole deformation of matter since the picture, from how neighbouring particles move from frame to frame.

The engine's own F forgets plastic flow, and the splats must not. So the map from one frame to the next is measured on the
particles themselves: with displacements u and offsets r of a particle's neighbours, the gradient G minimises
sum_k w_k |u_k - G r_k|^2 (moving least squares; Mueller et al. 2004, "Point based animation of elastic, plastic and melting
objects"), and F_t = (I + G) F_(t-1). What holds together keeps the neighbours it has in the picture; what flows finds new ones every
frame. Neither depends on where a round began, so a restart changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NEIGHBOURS = 24
"""Two shells of a cubic lattice (6 + 12) and some: enough to average noise, few enough to stay local."""

FLOWING_REACH, FLOWING_NEIGHBOURS = 1.6, 32
"""Spacings within which matter that flows looks for neighbours (18 in a lattice), and the most it takes when packed."""

REGULARISATION = 1e-3
"""Share of the neighbourhood's mean square radius added to its moment matrix: where neighbours lie in a plane or a line the
gradient across it is zero rather than undefined."""


@dataclass(frozen=True)
class StretchLimit:
    """Range of principal stretches that splats can show without tearing, and how fast stretch is forgotten.

    relaxation_s: None keeps the shape; for matter whose grains change neighbours, the time constant, s, in which a splat
    returns to its own shape (only the rotation stays).
    """

    least: float
    most: float
    relaxation_s: float | None = None


SOLID = StretchLimit(0.5, 2.0)
FLOWING = StretchLimit(0.7, 1.4, relaxation_s=0.25)
"""Sand, snow and liquids: neighbours part, and a splat that followed them for long would be a thread."""


class Deformation:
    """Measures one body, whose particles stand at ``rest`` [P, 3] m in the picture, ``spacing`` m apart."""

    def __init__(self, rest: NDArray, spacing: float, limit: StretchLimit) -> None:
        self.limit, self._reach = limit, FLOWING_REACH * spacing
        self._fixed = nearest(rest, NEIGHBOURS) if limit.relaxation_s is None else None

    def advance(
        self, total_F: NDArray, before: NDArray, after: NDArray, frame_s: float
    ) -> NDArray[np.float32]:
        """[P, 3, 3]: the whole deformation after a frame of ``frame_s`` s in which the particles moved from ``before`` to
        ``after`` [P, 3] m, with the stretches kept within the limit."""
        from perpetua.physics import deformation_kernels as kernels

        before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
        index = self._fixed
        if index is None:
            index = kernels.neighbours_within(before, self._reach, FLOWING_NEIGHBOURS)
        G = kernels.gradients(before, after, index, REGULARISATION)
        return limited(total_F + np.matmul(G, total_F), self.limit, frame_s)


def nearest(points: NDArray, count: int) -> NDArray[np.int64]:
    """[P, K]: the ``count`` nearest other particles of each of ``points`` [P, 3] m, or as many as there are."""
    count = min(count, len(points) - 1)
    if count < 1:
        return np.zeros((len(points), 0), np.int64)
    return np.asarray(cKDTree(points).query(points, k=count + 1)[1][:, 1:], np.int64)


def limited(F: NDArray, limit: StretchLimit, frame_s: float) -> NDArray[np.float32]:
    """F [P, 3, 3] with its principal stretches relaxed towards one over ``frame_s`` s and then clamped; never mirrored."""
    from perpetua.physics.deformation_kernels import beyond, relaxed

    F = np.ascontiguousarray(F, np.float64)
    if limit.relaxation_s is not None:
        F = relaxed(F, math.exp(-frame_s / limit.relaxation_s))
    out = F.astype(np.float32)
    wild = beyond(F, limit.least, limit.most)
    if wild.any():
        U, stretch, Vt = np.linalg.svd(F[wild])
        mirrored = np.linalg.det(U) * np.linalg.det(Vt) < 0
        stretch[mirrored, 2] *= -1.0
        U[mirrored, :, 2] *= -1.0
        stretch = np.clip(stretch, limit.least, limit.most)
        out[wild] = np.matmul(U * stretch[:, None, :], Vt)
    return out
