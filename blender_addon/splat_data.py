"""Splats as arrays: from a point cloud's attributes to what the shader reads. No Blender in here.

Attribute names follow Blender 5.3's native splats: ``position``, ``scale`` (standard deviations, m), ``rotation``
(wxyz) and ``radiance:base`` (degree-0 spherical-harmonic coefficients of the colour, and opacity).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SH_C0 = 0.28209479177387814
"""The constant spherical harmonic; displayed sRGB colour is 0.5 + SH_C0 * coefficient."""
TEXELS = 4
"""RGBA texels a splat takes in the data texture (``pack``)."""

Floats = NDArray[np.float32]


def pack(
    position: Floats, rotation: Floats, scale: Floats, radiance: Floats, matrix: NDArray[np.float64]
) -> Floats:
    """Splats in world space, ready for the shader.

    position [N,3] and scale [N,3] in m, rotation [N,4] wxyz, radiance [N,4], matrix [4,4] object to world.
    Returns [N, 16]: x y z opacity | cov xx xy xz yy | cov yz zz 0 0 | r g b 0, with sRGB colours.
    """
    packed = np.zeros((len(position), 4 * TEXELS), np.float32)
    linear = matrix[:3, :3].astype(np.float32)
    packed[:, 0:3] = position @ linear.T + matrix[:3, 3].astype(np.float32)
    packed[:, 3] = radiance[:, 3]
    axes = linear @ _rotations(rotation) * scale[:, None, :]  # [N,3,3], columns are the splat's world axes
    a, b, c = axes[:, 0], axes[:, 1], axes[:, 2]
    for column, (left, right) in enumerate(((a, a), (a, b), (a, c), (b, b), (b, c), (c, c))):
        packed[:, 4 + column] = np.einsum("ni,ni->n", left, right)
    packed[:, 12:15] = 0.5 + SH_C0 * radiance[:, :3]
    return packed


def _rotations(quaternions: Floats) -> Floats:
    """[N,4] wxyz -> [N,3,3]."""
    length = np.maximum(np.linalg.norm(quaternions, axis=1, keepdims=True), 1e-12)
    w, x, y, z = (quaternions / length).T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, -1) for row in rows], 1)


def back_to_front(
    packed: Floats, view: NDArray[np.float64], nearer: Floats | float = 0.0
) -> NDArray[np.intp]:
    """Order [N] in which splats are blended for a view [4,4] (world to camera, looking along -z).

    nearer: [N] or for all, part of its depth by which a splat counts as nearer.
    Sorted on depth quantised to 16 bits, where numpy has a radix sort: 1 ms for 100k against 16 ms on floats.
    """
    depth = (packed[:, :3] @ view[2, :3].astype(np.float32) + np.float32(view[2, 3])) * (1.0 - nearer)
    if not len(depth):
        return np.zeros(0, np.intp)
    low, high = float(depth.min()), float(depth.max())
    steps = ((depth - low) * (65535.0 / max(high - low, 1e-9))).astype(np.uint16)
    return np.argsort(steps, kind="stable")


def to_linear(premultiplied: Floats) -> Floats:
    """[H,W,4] sRGB colours times alpha -> linear colours times alpha.

    Splats are blended in sRGB because that is the space their colours were fitted in; Blender's render result is
    scene linear.
    """
    alpha = premultiplied[..., 3:]
    colour = np.clip(premultiplied[..., :3] / np.maximum(alpha, 1e-6), 0.0, None)
    return np.concatenate([srgb_to_linear(colour) * alpha, alpha], -1).astype(np.float32)


def srgb_to_linear(colour: Floats) -> Floats:
    """sRGB values >= 0 -> scene-linear (IEC 61966-2-1)."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** np.float32(2.4))
    return linear.astype(np.float32)


def over(front: Floats, back: Floats) -> Floats:
    """Premultiplied [H,W,4] over premultiplied [H,W,4]."""
    return front + (1.0 - front[..., 3:]) * back
