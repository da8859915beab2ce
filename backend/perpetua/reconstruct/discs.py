"""Flat splats that tile a surface: each covers one cell of the picture, however the surface lies to the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.scene.gaussians import Gaussians
from perpetua.scene.rotations import quaternion_from_matrix

Array = NDArray[np.float64]

SIGMA = 0.48
"""Standard deviation of a splat in cells. At 0.58 four neighbours leave 7% open at the corner between them, which a
layer behind closes; wider blurs the picture more than the colour fit can undo."""
THICKNESS = 0.05
"""Thickness of a disc, in its own smaller radius."""
OPACITY = 0.99


@dataclass(frozen=True)
class Painted:
    """Splats that know their place in the picture. own: [N] bool, those whose colour the picture shows alone (not hidden, not
    on a soft edge).  pixels: [N, 2], full size, where the picture's camera sees each.  sides: [N] pixels, their cells."""

    splats: Gaussians
    own: NDArray[np.bool_]
    pixels: Array
    sides: Array

    def __len__(self) -> int:
        return len(self.splats)

    @staticmethod
    def cat(parts: list[Painted]) -> Painted:
        """Concatenate."""
        return Painted(
            Gaussians.cat([p.splats for p in parts]),
            np.concatenate([p.own for p in parts]),
            np.concatenate([p.pixels for p in parts]),
            np.concatenate([p.sides for p in parts]),
        )

    @staticmethod
    def hidden(splats: Gaussians, pixels: Array, sides: Array) -> Painted:
        """Splats whose colour the picture does not show."""
        return Painted(splats, np.zeros(len(splats), bool), pixels, sides)


def tangent_discs(
    means: Array, along_u: Array, along_v: Array, colors: Array, sigma: float = SIGMA
) -> Gaussians:
    """Splats at means [N, 3] whose footprint is a Gaussian of ``sigma`` cells, a cell being spanned by the steps
    along_u and along_v [N, 3] (m) on the surface. colors: [N, 3] in [0, 1].

    The in-plane covariance sigma^2 (u u^T + v v^T) is diagonalised in the plane's own basis.
    """
    normal = np.cross(along_u, along_v)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    first = along_u / np.maximum(np.linalg.norm(along_u, axis=1, keepdims=True), 1e-12)
    normal = np.where(length > 1e-18, normal / np.maximum(length, 1e-18), _any_normal(first))
    second = np.cross(normal, first)
    a = np.stack([(along_u * first).sum(1), (along_u * second).sum(1)], 1)
    b = np.stack([(along_v * first).sum(1), (along_v * second).sum(1)], 1)
    xx = a[:, 0] ** 2 + b[:, 0] ** 2
    yy = a[:, 1] ** 2 + b[:, 1] ** 2
    xy = a[:, 0] * a[:, 1] + b[:, 0] * b[:, 1]
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    centre, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    long = np.sqrt(np.maximum(centre + spread, 1e-18))
    short = np.sqrt(np.maximum(centre - spread, 1e-18))
    short = np.maximum(short, 0.02 * long)
    axes = np.stack([c * first + s * second, -s * first + c * second, normal], 2)
    scales = sigma * np.stack([long, short, THICKNESS * short], 1)
    return splats(means, axes, scales, colors)


def splats(means: Array, axes: Array, scales: Array, colors: Array, opacity: float = OPACITY) -> Gaussians:
    """Splats from columns of axes [N, 3, 3] (right-handed rotations), standard deviations [N, 3] m, colours [N, 3]."""
    quats = quaternion_from_matrix(torch.from_numpy(axes))
    return Gaussians.from_colors(
        torch.from_numpy(means).float(),
        quats.float(),
        torch.from_numpy(scales).float(),
        torch.full((len(means),), opacity),
        torch.from_numpy(np.clip(colors, 0.0, 1.0)).float(),
    )


def balls(means: Array, radii: Array, colors: Array) -> Gaussians:
    """Round splats at means [N, 3] with standard deviations [N] m."""
    axes = np.broadcast_to(np.eye(3), (len(means), 3, 3)).copy()
    return splats(means, axes, np.repeat(np.maximum(radii, 1e-6)[:, None], 3, 1), colors)


def facing(normals: Array) -> tuple[Array, Array]:
    """Two unit vectors [N, 3] each that span the planes with these unit normals [N, 3]."""
    first = _any_normal(normals)
    return first, np.cross(normals, first)


def _any_normal(vectors: Array) -> Array:
    """[N, 3] unit vectors at right angles to unit ``vectors``."""
    helper = np.where(np.abs(vectors[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    result = np.cross(helper, vectors)
    return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-12)
