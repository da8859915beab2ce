"""Gradient of the projection (project.py).

With G = dL/dS (symmetric) and g = dL/dcompensation, r = compensation and 1 - r^2 = eps2d (p.p + q.q + eps2d)/det S,

    dL/dp = 2 (G_xx p + G_xy q) + g [(1 - r^2)/(r det S) (q x n) - r eps2d/det S p],
    dL/dq = 2 (G_xy p + G_yy q) + g [(1 - r^2)/(r det S) (n x p) - r eps2d/det S q],

which again subtracts nothing that is nearly equal (q x n is the adjugate of S0 applied to p). From there the chain runs
back through M to scales and quaternion, through u and v to a, b, tx, ty and W, and through (x, y, z) to m, W and t.

Readable twin in plain torch: reference/project.py, differentiated by autograd.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perpetua.render.numba_backend.compile import inlined, kernel
from perpetua.render.numba_backend.lanes import HALF, ONE, TWO, F
from perpetua.render.numba_backend.project import field_limits, image_axis, to_camera
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE
from perpetua.render.numba_backend.vectors import (
    add_to,
    combine,
    cross,
    dot,
    rotation,
    symmetric_times,
    take,
    times,
    turned,
    turned_back,
    unit_quaternion,
)

VIEW_ENTRIES = 12  # upper three rows of a viewmat, which get a gradient


@inlined
def _quaternion_gradient(g: Any, w: Any, x: Any, y: Any, z: Any, inverse_norm: Any) -> Any:
    """Gradient to the unnormalised quaternion from that to the rotation matrix (g, a tuple of rows)."""
    gw = TWO * (x * (g[2][1] - g[1][2]) + y * (g[0][2] - g[2][0]) + z * (g[1][0] - g[0][1]))
    gx = TWO * (
        y * (g[0][1] + g[1][0])
        + z * (g[0][2] + g[2][0])
        + w * (g[2][1] - g[1][2])
        - TWO * x * (g[1][1] + g[2][2])
    )
    gy = TWO * (
        x * (g[0][1] + g[1][0])
        + z * (g[1][2] + g[2][1])
        + w * (g[0][2] - g[2][0])
        - TWO * y * (g[0][0] + g[2][2])
    )
    gz = TWO * (
        x * (g[0][2] + g[2][0])
        + y * (g[1][2] + g[2][1])
        + w * (g[1][0] - g[0][1])
        - TWO * z * (g[0][0] + g[1][1])
    )
    along = gw * w + gx * x + gy * y + gz * z  # normalisation lets only the part across q through
    return (
        (gw - along * w) * inverse_norm,
        (gx - along * x) * inverse_norm,
        (gy - along * y) * inverse_norm,
        (gz - along * z) * inverse_norm,
    )


@inlined
def _compensation_gradient(g: Any, det_sharp: Any, trace: Any, eps2d: Any) -> Any:
    """(g (1 - r^2)/(r det S), g r eps2d/det S) for r = compensation and trace = p.p + q.q; see above."""
    blur = eps2d * (trace + eps2d)  # det S - det S0, without the subtraction
    det = det_sharp + blur
    r = math.sqrt(det_sharp / det)
    return g * blur / (det * det * r), g * r * eps2d / det


@kernel
def project_backward(
    begin: int,  # rows, and below too
    end: int,
    means: np.ndarray,
    quats: np.ndarray,
    scales: np.ndarray,
    covars: np.ndarray,
    V: np.ndarray,
    K: np.ndarray,
    width: int,
    height: int,
    ortho: bool,
    packed: bool,
    eps2d: Any,
    ids: np.ndarray,  # [rows] with packed
    radii: np.ndarray,  # [rows, 2]
    grad_means2d: np.ndarray,  # [rows, 2]
    grad_depths: np.ndarray,  # [rows]
    grad_image_covars: np.ndarray,  # [rows, 3]
    grad_compensations: np.ndarray,  # [rows], or [0] when there are none
    grad_means: np.ndarray,  # added to [N, 3]
    grad_quats: np.ndarray,  # added to [N, 4]; [0, 4] with covars
    grad_scales: np.ndarray,  # added to [N, 3]; [0, 3] with covars
    grad_covars: np.ndarray,  # added to [N, 6]; [0, 6] with quats and scales
    grad_view: np.ndarray,  # out [ranges, VIEW_ENTRIES] float64 sum of each range, or [0, .] when it is not wanted
) -> None:
    """Gradients of rows begin..end, added to what the arrays hold (one call a camera, always in camera order)."""
    fx, fy = K[0, 0], K[1, 1]
    x_min, x_max, y_min, y_max = field_limits(K, width, height)
    from_factors = covars.shape[0] == 0
    with_view = grad_view.shape[0] > 0
    antialiased = grad_compensations.shape[0] > 0
    view = np.zeros(VIEW_ENTRIES, np.float64)
    for row in range(begin, end):
        if radii[row, 0] <= 0:
            continue
        i = ids[row] if packed else row
        m = take(means, i)
        x, y, z = to_camera(V, m)
        iz = ONE if ortho else ONE / z
        ux, uy = x * iz, y * iz
        u, a, tx = image_axis(V, 0, fx, ux, iz, x_min, x_max, ortho)
        v, b, ty = image_axis(V, 1, fy, uy, iz, y_min, y_max, ortho)
        free_x, free_y = (not ortho) and tx == ux, (not ortho) and ty == uy

        # G = dL/dS; the off-diagonal entry is stored once and stands for two.
        gxx, gxy, gyy = grad_image_covars[row, 0], HALF * grad_image_covars[row, 1], grad_image_covars[row, 2]

        if from_factors:
            qw, qx, qy, qz, inverse_norm = unit_quaternion(quats, i)
            R, s = rotation(qw, qx, qy, qz), take(scales, i)
            ru, rv = turned_back(R, u), turned_back(R, v)
            p, q = times(s, ru), times(s, rv)
            gp, gq = combine(TWO * gxx, p, TWO * gxy, q), combine(TWO * gxy, p, TWO * gyy, q)
            if antialiased:
                n = cross(p, q)
                across, along = _compensation_gradient(
                    grad_compensations[row], dot(n, n), dot(p, p) + dot(q, q), eps2d
                )
                gp = combine(ONE, gp, ONE, combine(across, cross(q, n), -along, p))
                gq = combine(ONE, gq, ONE, combine(across, cross(n, p), -along, q))
            # p = diag(s) R^T u, q = diag(s) R^T v
            add_to(grad_scales, i, combine(ONE, times(ru, gp), ONE, times(rv, gq)))
            gp, gq = times(s, gp), times(s, gq)
            g = (combine(u[0], gp, v[0], gq), combine(u[1], gp, v[1], gq), combine(u[2], gp, v[2], gq))
            dw, dx, dy, dz = _quaternion_gradient(g, qw, qx, qy, qz, inverse_norm)
            grad_quats[i, 0] += dw
            grad_quats[i, 1] += dx
            grad_quats[i, 2] += dy
            grad_quats[i, 3] += dz
            gu, gv = turned(R, gp), turned(R, gq)
        else:
            wide_u, wide_v = symmetric_times(covars, i, u), symmetric_times(covars, i, v)
            # In double precision like the determinant: a needle's entries cancel to a millionth of themselves.
            gxx_64, gxy_64, gyy_64 = np.float64(gxx), np.float64(gxy), np.float64(gyy)
            if antialiased:
                xx, xy, yy = dot(u, wide_u), dot(u, wide_v), dot(v, wide_v)
                across_64, along_64 = _compensation_gradient(
                    np.float64(grad_compensations[row]), xx * yy - xy * xy, xx + yy, np.float64(eps2d)
                )
                gxx_64 += 0.5 * (across_64 * yy - along_64)
                gxy_64 -= 0.5 * across_64 * xy
                gyy_64 += 0.5 * (across_64 * xx - along_64)
            gu_64 = combine(2.0 * gxx_64, wide_u, 2.0 * gxy_64, wide_v)
            gv_64 = combine(2.0 * gxy_64, wide_u, 2.0 * gyy_64, wide_v)
            gu, gv = (F(gu_64[0]), F(gu_64[1]), F(gu_64[2])), (F(gv_64[0]), F(gv_64[1]), F(gv_64[2]))
            gxx, gxy, gyy = F(gxx_64), F(gxy_64), F(gyy_64)
            # dL/dSigma = [u v] G [u v]^T; an off-diagonal entry of Sigma stands for two.
            hu, hv = combine(gxx, u, gxy, v), combine(gxy, u, gyy, v)
            grad_covars[i, 0] += u[0] * hu[0] + v[0] * hv[0]
            grad_covars[i, 3] += u[1] * hu[1] + v[1] * hv[1]
            grad_covars[i, 5] += u[2] * hu[2] + v[2] * hv[2]
            grad_covars[i, 1] += TWO * (u[0] * hu[1] + v[0] * hv[1])
            grad_covars[i, 2] += TWO * (u[0] * hu[2] + v[0] * hv[2])
            grad_covars[i, 4] += TWO * (u[1] * hu[2] + v[1] * hv[2])

        # To the camera coordinates: through mean2d, and through tx = x/z, ty = y/z where the clamp is open.
        w2 = take(V, 2)
        gux = fx * grad_means2d[row, 0]
        guy = fy * grad_means2d[row, 1]
        if free_x:
            gux -= a * dot(gu, w2)
        if free_y:
            guy -= b * dot(gv, w2)
        gx, gy, gz = gux * iz, guy * iz, grad_depths[row]
        if not ortho:  # z divides in x/z, y/z, a and b
            gz -= (gux * ux + guy * uy + dot(gu, u) + dot(gv, v)) * iz
        add_to(grad_means, i, combine(ONE, combine(gx, take(V, 0), gy, take(V, 1)), gz, w2))
        if with_view:
            # (x, y, z) = W m + t, and u = a (W_0 - tx W_2), v = b (W_1 - ty W_2)
            tilt = combine(-a * tx, gu, -b * ty, gv)
            for k in range(3):
                view[k] += gx * m[k] + a * gu[k]
                view[4 + k] += gy * m[k] + b * gv[k]
                view[8 + k] += gz * m[k] + tilt[k]
            view[3] += gx
            view[7] += gy
            view[11] += gz
    if with_view:
        for k in range(VIEW_ENTRIES):
            grad_view[begin // GAUSSIANS_A_RANGE, k] = view[k]
