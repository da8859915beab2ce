"""Projection of 3D Gaussians to the image (EWA splatting, Zwicker et al. 2001; gsplat's conventions).

With V = [W | t] the world-to-camera matrix, a mean m has camera coordinates (x, y, z) = W m + t and pixel
coordinates

    pinhole:  mean2d = (fx x/z + cx, fy y/z + cy),      ortho:  mean2d = (fx x + cx, fy y + cy).

The camera map is linearised at the mean; its two rows, taken back to world axes, are

    u = a (W_0 - tx W_2),   v = b (W_1 - ty W_2),

    pinhole:  a = fx/z,  b = fy/z,  tx = clamp(x/z),  ty = clamp(y/z),      ortho:  a = fx,  b = fy,  tx = ty = 0,

where the clamp holds the point within 1.3 of the field of view so that the linearisation stays sane at the border.
A Gaussian of covariance Sigma then has the image covariance S0, is blurred to S so that nothing is thinner than a pixel,
and, when antialiased, pays for the blur with opacity (Mip-Splatting, Yu et al. 2024):

    S0 = [[u.Sigma u, u.Sigma v], [u.Sigma v, v.Sigma v]],   S = S0 + eps2d I,   conic = S^-1,
    compensation = sqrt(det S0 / det S),   opacity <- opacity compensation.

Keeping digits in float32. Sigma = M M^T with M = R(q) diag(s); with p = M^T u and q = M^T v the entries of S0 are p.p, p.q,
q.q, and with n = p x q

    det S0 = |n|^2,   det S = |n|^2 + eps2d (p.p + q.q) + eps2d^2,

sums of squares: unlike ad - b^2 they stay exact for needles and discs. A Gaussian given as a covariance has no p and q;
its determinant is taken in float64.

Rows. Outputs are either dense, row i for Gaussian i with zeros where it is not seen, or packed, a row for each Gaussian that
is seen and `ids` to say which.

Readable twin in plain torch: reference/project.py (dense, with the covariances as matrices).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perpetua.render.numba_backend.compile import careful_kernel, inlined
from perpetua.render.numba_backend.lanes import HALF, MIN_ALPHA, ONE, TWO, ZERO, F
from perpetua.render.numba_backend.vectors import (
    cross,
    dot,
    rotation,
    symmetric_times,
    take,
    times,
    turned_back,
    unit_quaternion,
)

# The linearisation point may lie this fraction of half the image outside of it (gsplat: 0.3 * tan(fov / 2)).
_BORDER = F(0.3)
# An extent of a Gaussian is cut at this many standard deviations; exp(-3.33^2 / 2) = 1/255 (gsplat: same).
_MAX_SIGMAS = F(3.33)
_MAX_RADIUS = F(1e9)  # pixels; keeps int32 radii of Gaussians that touch the near plane defined

TALLY = 3  # what project_forward counts in a range: rows written, Gaussians that are not finite, the first of those
# Row and column of each entry of a symmetric matrix's upper triangle, in the order that `covars` keeps them.
TRIANGLE = ([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2])


@inlined
def field_limits(K: Any, width: Any, height: Any) -> Any:
    """Range of x/z and of y/z in which the projection is linearised: (x_min, x_max, y_min, y_max)."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    margin_x = _BORDER * HALF * F(width) / fx
    margin_y = _BORDER * HALF * F(height) / fy
    return (
        -cx / fx - margin_x,
        (F(width) - cx) / fx + margin_x,
        -cy / fy - margin_y,
        (F(height) - cy) / fy + margin_y,
    )


@inlined
def to_camera(V: Any, m: Any) -> Any:
    """Camera coordinates of a world point."""
    return (
        V[0, 0] * m[0] + V[0, 1] * m[1] + V[0, 2] * m[2] + V[0, 3],
        V[1, 0] * m[0] + V[1, 1] * m[1] + V[1, 2] * m[2] + V[1, 3],
        V[2, 0] * m[0] + V[2, 1] * m[1] + V[2, 2] * m[2] + V[2, 3],
    )


@inlined
def image_axis(V: Any, row: Any, focal: Any, ratio: Any, iz: Any, low: Any, high: Any, ortho: Any) -> Any:
    """(u, a, tx) of one pixel coordinate, as above: u = a (W_row - tx W_2) says how a step in the world moves it.

    ratio is x/z, held to [low, high], and iz is 1/z; for ortho x and 1.
    """
    slope = ZERO if ortho else min(high, max(low, ratio))
    scale = focal * iz
    axis = (
        scale * (V[row, 0] - slope * V[2, 0]),
        scale * (V[row, 1] - slope * V[2, 1]),
        scale * (V[row, 2] - slope * V[2, 2]),
    )
    return axis, scale, slope


@inlined
def _image_covariance(u: Any, v: Any, quats: Any, scales: Any, covars: Any, i: Any) -> Any:
    """(S0_xx, S0_xy, S0_yy, det S0) of Gaussian i; see "Keeping digits" above."""
    if covars.shape[0] == 0:
        w, x, y, z, _ = unit_quaternion(quats, i)
        R, s = rotation(w, x, y, z), take(scales, i)
        p, q = times(s, turned_back(R, u)), times(s, turned_back(R, v))
        n = cross(p, q)
        xx, xy, yy, det = dot(p, p), dot(p, q), dot(q, q), dot(n, n)
    else:
        cu, cv = symmetric_times(covars, i, u), symmetric_times(covars, i, v)
        uu, uv, vv = dot(u, cu), dot(u, cv), dot(v, cv)
        xx, xy, yy, det = F(uu), F(uv), F(vv), F(uu * vv - uv * uv)
    return xx, xy, yy, det


@careful_kernel
def project_forward(
    begin: int,
    end: int,
    range_size: int,  # Gaussians from one `begin` to the next
    means: np.ndarray,  # [N, 3] float32, and all arrays below unless noted
    quats: np.ndarray,  # [N, 4] wxyz, any length but zero; [0, 4] with covars
    scales: np.ndarray,  # [N, 3]; [0, 3] with covars
    covars: np.ndarray,  # [N, 6] upper triangles; [0, 6] with quats and scales
    opacities: np.ndarray,  # [N]
    V: np.ndarray,  # [4, 4] world to camera
    K: np.ndarray,  # [3, 3]
    width: int,
    height: int,
    ortho: bool,
    packed: bool,
    eps2d: Any,
    near: Any,
    far: Any,
    radius_clip: Any,
    tally: np.ndarray,  # out [ranges, TALLY] int64
    ids: np.ndarray,  # out [N] int64 with packed: the Gaussian of each row
    radii: np.ndarray,  # out [N, 2] int32, pixels; 0 = not seen
    extents: np.ndarray,  # out [N, 2] half-size in pixels of the box in which alpha >= 1/255
    means2d: np.ndarray,  # out [N, 2] pixels
    depths: np.ndarray,  # out [N]
    image_covars: np.ndarray,  # out [N, 3] pixels^2, xx, xy, yy of S
    conics: np.ndarray,  # out [N, 3] xx, xy, yy of its inverse
    compensations: np.ndarray,  # out [N], or [0] to leave opacities as they are
) -> None:
    """Project Gaussians begin..end; packed rows of a range stand together at its beginning."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x_min, x_max, y_min, y_max = field_limits(K, width, height)
    antialiased = compensations.shape[0] > 0
    row, lost, first_lost = begin, 0, -1
    for i in range(begin, end):
        if not packed:
            row = i
            for k in range(2):
                radii[i, k] = 0
                extents[i, k] = ZERO
                means2d[i, k] = ZERO
            depths[i] = ZERO
            for k in range(3):
                image_covars[i, k] = ZERO
                conics[i, k] = ZERO
            if antialiased:
                compensations[i] = ZERO

        opacity = opacities[i]
        x, y, z = to_camera(V, take(means, i))
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z) and math.isfinite(opacity)):
            lost, first_lost = lost + 1, (i if lost == 0 else first_lost)
            continue
        if z < near or z > far or opacity < MIN_ALPHA:
            continue

        iz = ONE if ortho else ONE / z
        u, _, _ = image_axis(V, 0, fx, x * iz, iz, x_min, x_max, ortho)
        v, _, _ = image_axis(V, 1, fy, y * iz, iz, y_min, y_max, ortho)
        xx, xy, yy, sharp_det = _image_covariance(u, v, quats, scales, covars, i)
        det = sharp_det + eps2d * (xx + yy) + eps2d * eps2d
        sxx, syy = xx + eps2d, yy + eps2d
        if not (math.isfinite(det) and math.isfinite(sxx) and math.isfinite(syy)):
            lost, first_lost = lost + 1, (i if lost == 0 else first_lost)
            continue
        if det <= ZERO or sxx <= ZERO or syy <= ZERO:
            continue
        compensation: Any = ONE
        if antialiased:
            compensation = math.sqrt(max(ZERO, sharp_det) / det)
            opacity *= compensation
            if opacity < MIN_ALPHA:
                continue

        # alpha falls to 1/255 at this many standard deviations (StopThePop, Radl et al. 2024, section B.2).
        sigmas: Any = min(_MAX_SIGMAS, math.sqrt(TWO * math.log(opacity / MIN_ALPHA)))
        ex, ey = sigmas * math.sqrt(sxx), sigmas * math.sqrt(syy)
        rx: Any = min(_MAX_RADIUS, math.ceil(ex))
        ry: Any = min(_MAX_RADIUS, math.ceil(ey))
        if rx <= radius_clip and ry <= radius_clip:
            continue
        px, py = fx * x * iz + cx, fy * y * iz + cy
        if px + rx <= ZERO or px - rx >= F(width) or py + ry <= ZERO or py - ry >= F(height):
            continue
        radii[row, 0], radii[row, 1] = np.int32(rx), np.int32(ry)
        extents[row, 0], extents[row, 1] = ex, ey
        means2d[row, 0], means2d[row, 1] = px, py
        depths[row] = z
        image_covars[row, 0], image_covars[row, 1], image_covars[row, 2] = sxx, xy, syy
        inverse_det = ONE / det
        conics[row, 0], conics[row, 1], conics[row, 2] = (
            syy * inverse_det,
            -xy * inverse_det,
            sxx * inverse_det,
        )
        if antialiased:
            compensations[row] = compensation
        if packed:
            ids[row] = i
        row += 1
    counted = begin // range_size
    tally[counted, 0], tally[counted, 1], tally[counted, 2] = row - begin, lost, first_lost
