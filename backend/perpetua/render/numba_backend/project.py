"""Projection of 3D Gaussians to the image, and its gradient (EWA splatting, Zwicker et al. 2001; gsplat's conventions).

With V = [W | t] the world-to-camera matrix, a mean m has camera coordinates (x, y, z) = W m + t and pixel coordinates

    mean2d = (fx x/z + cx, fy y/z + cy).

The perspective map is linearised at the mean; its two rows, taken back to world axes, are

    u = fx/z (W_0 - tx W_2),   v = fy/z (W_1 - ty W_2),   tx = clamp(x/z), ty = clamp(y/z),

where the clamp holds the point within 1.3 of the field of view so that the linearisation stays sane at the border.
A Gaussian of covariance Sigma then has the image covariance

    S = [[u.Su, u.Sv], [u.Sv, v.Sv]] + eps2d I,   conic = inverse of S.

With Sigma = M M^T, M = R(q) diag(s), and p = M^T u, q = M^T v, the entries are p.p, p.q, q.q, and the determinant is

    |p x q|^2 + eps2d (p.p + q.q) + eps2d^2,

a sum of squares: unlike ad - b^2 it keeps its digits in float32 for needles and discs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perpetua.render.numba_backend.compile import careful_kernel, inlined, kernel
from perpetua.render.numba_backend.lanes import HALF, MIN_ALPHA, ONE, TWO, ZERO, F

# The linearisation point may lie this fraction of half the image outside of it (gsplat: 0.3 * tan(fov / 2)).
_BORDER = F(0.3)
# An extent of a Gaussian is cut at this many standard deviations; exp(-3.33^2 / 2) = 1/255 (gsplat: same).
_MAX_SIGMAS = F(3.33)
_MAX_RADIUS = F(1e9)  # pixels; keeps int32 radii of Gaussians that touch the near plane defined
NOT_FINITE = -1  # radius that marks a Gaussian whose projection is NaN or infinite


@inlined
def _field_limits(K: Any, width: Any, height: Any) -> Any:
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
def _to_camera(V: Any, mx: Any, my: Any, mz: Any) -> Any:
    """Camera coordinates of a world point."""
    x = V[0, 0] * mx + V[0, 1] * my + V[0, 2] * mz + V[0, 3]
    y = V[1, 0] * mx + V[1, 1] * my + V[1, 2] * mz + V[1, 3]
    z = V[2, 0] * mx + V[2, 1] * my + V[2, 2] * mz + V[2, 3]
    return x, y, z


@inlined
def _rotation(w: Any, x: Any, y: Any, z: Any) -> Any:
    """Rotation matrix of a unit quaternion, by rows."""
    return (
        (ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y)),
        (TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x)),
        (TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y)),
    )


@inlined
def _dot(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inlined
def _symmetric_times(c: Any, i: Any, a: Any) -> Any:
    """Sigma a, with Sigma's upper triangle (xx, xy, xz, yy, yz, zz) in c[i]."""
    return (
        c[i, 0] * a[0] + c[i, 1] * a[1] + c[i, 2] * a[2],
        c[i, 1] * a[0] + c[i, 3] * a[1] + c[i, 4] * a[2],
        c[i, 2] * a[0] + c[i, 4] * a[1] + c[i, 5] * a[2],
    )


@careful_kernel
def project_forward(
    begin: int,
    end: int,
    means: np.ndarray,  # [N, 3] float32, and all arrays below unless noted
    quats: np.ndarray,  # [N, 4] wxyz, any length but zero; [0, 4] with covars
    scales: np.ndarray,  # [N, 3]; [0, 3] with covars
    covars: np.ndarray,  # [N, 6] upper triangles; [0, 6] with quats and scales
    opacities: np.ndarray,  # [N]
    V: np.ndarray,  # [4, 4] world to camera
    K: np.ndarray,  # [3, 3]
    width: int,
    height: int,
    eps2d: Any,
    near: Any,
    far: Any,
    radius_clip: Any,
    radii: np.ndarray,  # out [N, 2] int32, pixels; 0 = not seen, NOT_FINITE
    extents: np.ndarray,  # out [N, 2] half-size in pixels of the box in which alpha >= 1/255
    means2d: np.ndarray,  # out [N, 2] pixels
    depths: np.ndarray,  # out [N]
    image_covars: np.ndarray,  # out [N, 3] pixels^2, xx, xy, yy with eps2d
    conics: np.ndarray,  # out [N, 3] xx, xy, yy of its inverse
) -> None:
    """Project Gaussians begin..end. What is not seen gets zeros."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x_min, x_max, y_min, y_max = _field_limits(K, width, height)
    from_factors = covars.shape[0] == 0
    for i in range(begin, end):
        for k in range(2):
            radii[i, k] = 0
            extents[i, k] = ZERO
            means2d[i, k] = ZERO
        depths[i] = ZERO
        for k in range(3):
            image_covars[i, k] = ZERO
            conics[i, k] = ZERO

        opacity = opacities[i]
        x, y, z = _to_camera(V, means[i, 0], means[i, 1], means[i, 2])
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z) and math.isfinite(opacity)):
            radii[i, 0] = NOT_FINITE
            continue
        if z < near or z > far or opacity < MIN_ALPHA:
            continue

        iz = ONE / z
        tx = min(x_max, max(x_min, x * iz))
        ty = min(y_max, max(y_min, y * iz))
        a, b = fx * iz, fy * iz
        u = (a * (V[0, 0] - tx * V[2, 0]), a * (V[0, 1] - tx * V[2, 1]), a * (V[0, 2] - tx * V[2, 2]))
        v = (b * (V[1, 0] - ty * V[2, 0]), b * (V[1, 1] - ty * V[2, 1]), b * (V[1, 2] - ty * V[2, 2]))
        if from_factors:
            w, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
            inverse_norm = ONE / math.sqrt(w * w + qx * qx + qy * qy + qz * qz)
            R = _rotation(w * inverse_norm, qx * inverse_norm, qy * inverse_norm, qz * inverse_norm)
            sx, sy, sz = scales[i, 0], scales[i, 1], scales[i, 2]
            p0 = (u[0] * R[0][0] + u[1] * R[1][0] + u[2] * R[2][0]) * sx
            p1 = (u[0] * R[0][1] + u[1] * R[1][1] + u[2] * R[2][1]) * sy
            p2 = (u[0] * R[0][2] + u[1] * R[1][2] + u[2] * R[2][2]) * sz
            q0 = (v[0] * R[0][0] + v[1] * R[1][0] + v[2] * R[2][0]) * sx
            q1 = (v[0] * R[0][1] + v[1] * R[1][1] + v[2] * R[2][1]) * sy
            q2 = (v[0] * R[0][2] + v[1] * R[1][2] + v[2] * R[2][2]) * sz
            pp = p0 * p0 + p1 * p1 + p2 * p2
            pq = p0 * q0 + p1 * q1 + p2 * q2
            qq = q0 * q0 + q1 * q1 + q2 * q2
            n0, n1, n2 = p1 * q2 - p2 * q1, p2 * q0 - p0 * q2, p0 * q1 - p1 * q0
            unblurred = n0 * n0 + n1 * n1 + n2 * n2
        else:
            cu, cv = _symmetric_times(covars, i, u), _symmetric_times(covars, i, v)
            pp, pq, qq = _dot(u, cu), _dot(u, cv), _dot(v, cv)
            unblurred = pp * qq - pq * pq
        sxx, syy = pp + eps2d, qq + eps2d
        det = unblurred + eps2d * (pp + qq) + eps2d * eps2d
        if not (math.isfinite(det) and math.isfinite(sxx) and math.isfinite(syy)):
            radii[i, 0] = NOT_FINITE
            continue
        if det <= ZERO or sxx <= ZERO or syy <= ZERO:
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
        radii[i, 0], radii[i, 1] = np.int32(rx), np.int32(ry)
        extents[i, 0], extents[i, 1] = ex, ey
        means2d[i, 0], means2d[i, 1] = px, py
        depths[i] = z
        image_covars[i, 0], image_covars[i, 1], image_covars[i, 2] = sxx, pq, syy
        inverse_det = ONE / det
        conics[i, 0], conics[i, 1], conics[i, 2] = syy * inverse_det, -pq * inverse_det, sxx * inverse_det


@inlined
def _quaternion_gradient(g: Any, w: Any, x: Any, y: Any, z: Any, inverse_norm: Any) -> Any:
    """Gradient to the unnormalised quaternion from that to the rotation matrix (g, row-major tuple of 9)."""
    gw = TWO * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1]))
    gx = TWO * (-TWO * x * (g[4] + g[8]) + y * (g[1] + g[3]) + z * (g[2] + g[6]) + w * (g[7] - g[5]))
    gy = TWO * (x * (g[1] + g[3]) - TWO * y * (g[0] + g[8]) + z * (g[5] + g[7]) + w * (g[2] - g[6]))
    gz = TWO * (x * (g[2] + g[6]) + y * (g[5] + g[7]) - TWO * z * (g[0] + g[4]) + w * (g[3] - g[1]))
    along = gw * w + gx * x + gy * y + gz * z  # normalisation lets only the part across q through
    return (
        (gw - along * w) * inverse_norm,
        (gx - along * x) * inverse_norm,
        (gy - along * y) * inverse_norm,
        (gz - along * z) * inverse_norm,
    )


@kernel
def project_backward(
    begin: int,
    end: int,
    means: np.ndarray,
    quats: np.ndarray,
    scales: np.ndarray,
    covars: np.ndarray,
    V: np.ndarray,
    K: np.ndarray,
    width: int,
    height: int,
    radii: np.ndarray,
    grad_means2d: np.ndarray,  # [N, 2]
    grad_depths: np.ndarray,  # [N]
    grad_image_covars: np.ndarray,  # [N, 3]
    grad_means: np.ndarray,  # added to [N, 3]
    grad_quats: np.ndarray,  # added to [N, 4]; [0, 4] with covars
    grad_scales: np.ndarray,  # added to [N, 3]; [0, 3] with covars
    grad_covars: np.ndarray,  # added to [N, 6]; [0, 6] with quats and scales
) -> None:
    """Gradients of Gaussians begin..end, added to what the arrays hold (one call a camera, always in camera order)."""
    fx, fy = K[0, 0], K[1, 1]
    x_min, x_max, y_min, y_max = _field_limits(K, width, height)
    from_factors = covars.shape[0] == 0
    for i in range(begin, end):
        if radii[i, 0] <= 0:
            continue
        x, y, z = _to_camera(V, means[i, 0], means[i, 1], means[i, 2])
        iz = ONE / z
        ux, uy = x * iz, y * iz
        free_x, free_y = ux > x_min and ux < x_max, uy > y_min and uy < y_max
        tx = min(x_max, max(x_min, ux))
        ty = min(y_max, max(y_min, uy))
        a, b = fx * iz, fy * iz
        e = (V[0, 0] - tx * V[2, 0], V[0, 1] - tx * V[2, 1], V[0, 2] - tx * V[2, 2])
        h = (V[1, 0] - ty * V[2, 0], V[1, 1] - ty * V[2, 1], V[1, 2] - ty * V[2, 2])
        u = (a * e[0], a * e[1], a * e[2])
        v = (b * h[0], b * h[1], b * h[2])

        # The off-diagonal entry is stored once and stands for two.
        sxx, sxy, syy = grad_image_covars[i, 0], HALF * grad_image_covars[i, 1], grad_image_covars[i, 2]

        if from_factors:
            w, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
            inverse_norm = ONE / math.sqrt(w * w + qx * qx + qy * qy + qz * qz)
            w, qx, qy, qz = w * inverse_norm, qx * inverse_norm, qy * inverse_norm, qz * inverse_norm
            R = _rotation(w, qx, qy, qz)
            sx, sy, sz = scales[i, 0], scales[i, 1], scales[i, 2]
            # p = S R^T u: first R^T u, R^T v
            ru = (
                u[0] * R[0][0] + u[1] * R[1][0] + u[2] * R[2][0],
                u[0] * R[0][1] + u[1] * R[1][1] + u[2] * R[2][1],
                u[0] * R[0][2] + u[1] * R[1][2] + u[2] * R[2][2],
            )
            rv = (
                v[0] * R[0][0] + v[1] * R[1][0] + v[2] * R[2][0],
                v[0] * R[0][1] + v[1] * R[1][1] + v[2] * R[2][1],
                v[0] * R[0][2] + v[1] * R[1][2] + v[2] * R[2][2],
            )
            # gradients to R^T u and R^T v: 2 S (sxx p + sxy q), 2 S (sxy p + syy q)
            vx, vy, vz = TWO * sx * sx, TWO * sy * sy, TWO * sz * sz
            gp = (
                vx * (sxx * ru[0] + sxy * rv[0]),
                vy * (sxx * ru[1] + sxy * rv[1]),
                vz * (sxx * ru[2] + sxy * rv[2]),
            )
            gq = (
                vx * (sxy * ru[0] + syy * rv[0]),
                vy * (sxy * ru[1] + syy * rv[1]),
                vz * (sxy * ru[2] + syy * rv[2]),
            )
            grad_scales[i, 0] += (
                TWO * sx * (sxx * ru[0] * ru[0] + TWO * sxy * ru[0] * rv[0] + syy * rv[0] * rv[0])
            )
            grad_scales[i, 1] += (
                TWO * sy * (sxx * ru[1] * ru[1] + TWO * sxy * ru[1] * rv[1] + syy * rv[1] * rv[1])
            )
            grad_scales[i, 2] += (
                TWO * sz * (sxx * ru[2] * ru[2] + TWO * sxy * ru[2] * rv[2] + syy * rv[2] * rv[2])
            )
            g = (
                u[0] * gp[0] + v[0] * gq[0],
                u[0] * gp[1] + v[0] * gq[1],
                u[0] * gp[2] + v[0] * gq[2],
                u[1] * gp[0] + v[1] * gq[0],
                u[1] * gp[1] + v[1] * gq[1],
                u[1] * gp[2] + v[1] * gq[2],
                u[2] * gp[0] + v[2] * gq[0],
                u[2] * gp[1] + v[2] * gq[1],
                u[2] * gp[2] + v[2] * gq[2],
            )
            dw, dx, dy, dz = _quaternion_gradient(g, w, qx, qy, qz, inverse_norm)
            grad_quats[i, 0] += dw
            grad_quats[i, 1] += dx
            grad_quats[i, 2] += dy
            grad_quats[i, 3] += dz
            gu = (_dot(R[0], gp), _dot(R[1], gp), _dot(R[2], gp))
            gv = (_dot(R[0], gq), _dot(R[1], gq), _dot(R[2], gq))
        else:
            cu, cv = _symmetric_times(covars, i, u), _symmetric_times(covars, i, v)
            sxx2, sxy2, syy2 = TWO * sxx, TWO * sxy, TWO * syy
            gu = (sxx2 * cu[0] + sxy2 * cv[0], sxx2 * cu[1] + sxy2 * cv[1], sxx2 * cu[2] + sxy2 * cv[2])
            gv = (sxy2 * cu[0] + syy2 * cv[0], sxy2 * cu[1] + syy2 * cv[1], sxy2 * cu[2] + syy2 * cv[2])
            # dSigma = [u v] dS [u v]^T; an off-diagonal entry of Sigma stands for two.
            grad_covars[i, 0] += sxx * u[0] * u[0] + sxy2 * u[0] * v[0] + syy * v[0] * v[0]
            grad_covars[i, 3] += sxx * u[1] * u[1] + sxy2 * u[1] * v[1] + syy * v[1] * v[1]
            grad_covars[i, 5] += sxx * u[2] * u[2] + sxy2 * u[2] * v[2] + syy * v[2] * v[2]
            grad_covars[i, 1] += sxx2 * u[0] * u[1] + sxy2 * (u[0] * v[1] + u[1] * v[0]) + syy2 * v[0] * v[1]
            grad_covars[i, 2] += sxx2 * u[0] * u[2] + sxy2 * (u[0] * v[2] + u[2] * v[0]) + syy2 * v[0] * v[2]
            grad_covars[i, 4] += sxx2 * u[1] * u[2] + sxy2 * (u[1] * v[2] + u[2] * v[1]) + syy2 * v[1] * v[2]

        # u = fx/z e(tx), tx = x/z where the clamp is open; likewise v; mean2d = (fx x/z + cx, fy y/z + cy).
        w2 = (V[2, 0], V[2, 1], V[2, 2])
        gux = fx * grad_means2d[i, 0]
        guy = fy * grad_means2d[i, 1]
        if free_x:
            gux -= a * _dot(gu, w2)
        if free_y:
            guy -= b * _dot(gv, w2)
        gx, gy = gux * iz, guy * iz
        gz = grad_depths[i] - (gux * ux + guy * uy + _dot(gu, u) + _dot(gv, v)) * iz
        grad_means[i, 0] += V[0, 0] * gx + V[1, 0] * gy + V[2, 0] * gz
        grad_means[i, 1] += V[0, 1] * gx + V[1, 1] * gy + V[2, 1] * gz
        grad_means[i, 2] += V[0, 2] * gx + V[1, 2] * gy + V[2, 2] * gz
