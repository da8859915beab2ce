"""The whole deformation of matter since the picture, from how neighbouring particles move from frame to frame.

The engine's own F forgets plastic flow, and the splats must not. So the map from one frame to the next is measured on the
particles themselves: with displacements u and offsets r of a particle's neighbours, the gradient G minimises
sum_k w_k |u_k - G r_k|^2 (moving least squares; Mueller et al. 2004, "Point based animation of elastic, plastic and melting
objects"), and F_t = (I + G) F_(t-1). Neighbours are found anew every frame, because matter that flows changes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NEIGHBOURS = 24
"""Two shells of a cubic lattice (6 + 12) and some: enough to average noise, few enough to stay local."""

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


def displacement_gradient(
    before: NDArray, after: NDArray, neighbours: int = NEIGHBOURS
) -> NDArray[np.float64]:
    """[P, 3, 3]: G with (I + G) mapping offsets around each particle of ``before`` [P, 3] m to ``after`` [P, 3] m."""
    count = min(neighbours, len(before) - 1)
    if count < 3:
        return np.zeros((len(before), 3, 3))
    start = np.asarray(before, np.float64)
    moved = np.asarray(after, np.float64) - start
    distance, index = cKDTree(start).query(start, k=count + 1)
    distance, index = distance[:, 1:], index[:, 1:]
    width = distance[:, -1:] * 1.05 + 1e-12
    weight = (1.0 - np.minimum(distance / width, 1.0) ** 2) ** 2
    r = start[index] - start[:, None]
    u = moved[index] - moved[:, None]
    weighted = r * weight[..., None]
    moment = np.matmul(weighted.transpose(0, 2, 1), r)
    spread = np.trace(moment, axis1=1, axis2=2) / 3.0
    moment += (REGULARISATION * spread + 1e-30)[:, None, None] * np.eye(3)
    cross = np.matmul(u.transpose(0, 2, 1), weighted)
    return np.matmul(cross, np.linalg.inv(moment))


def advance(
    total_F: NDArray, before: NDArray, after: NDArray, limit: StretchLimit, frame_s: float
) -> NDArray[np.float32]:
    """[P, 3, 3]: the whole deformation after a frame of ``frame_s`` s in which one body's particles moved from
    ``before`` to ``after`` [P, 3] m, with the stretches kept within ``limit``."""
    F = total_F + np.matmul(displacement_gradient(before, after), total_F)
    return limited(F, limit, frame_s)


def limited(F: NDArray, limit: StretchLimit, frame_s: float) -> NDArray[np.float32]:
    """F [P, 3, 3] with its principal stretches relaxed towards one over ``frame_s`` s and then clamped; never mirrored."""
    U, stretch, Vt = np.linalg.svd(np.asarray(F, np.float64))
    mirrored = np.linalg.det(U) * np.linalg.det(Vt) < 0
    stretch[mirrored, 2] *= -1.0
    U[mirrored, :, 2] *= -1.0
    if limit.relaxation_s is not None:
        stretch = 1.0 + (stretch - 1.0) * np.exp(-frame_s / limit.relaxation_s)
    stretch = np.clip(stretch, limit.least, limit.most)
    return np.matmul(U * stretch[:, None, :], Vt).astype(np.float32)
