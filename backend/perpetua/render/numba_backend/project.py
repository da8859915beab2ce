"""Projection of 3D Gaussians to the image, and its gradient (EWA splatting, Zwicker et al. 2001; gsplat's conventions).

Forward. With V = [W | t] the world-to-camera matrix, a mean m has camera coordinates (x, y, z) = W m + t and pixel
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

Backward. With G = dL/dS (symmetric) and g = dL/dcompensation, r = compensation and 1 - r^2 = eps2d (p.p + q.q + eps2d)/det S,

    dL/dp = 2 (G_xx p + G_xy q) + g [(1 - r^2)/(r det S) (q x n) - r eps2d/det S p],
    dL/dq = 2 (G_xy p + G_yy q) + g [(1 - r^2)/(r det S) (n x p) - r eps2d/det S q],

which again subtracts nothing that is nearly equal (q x n is the adjugate of S0 applied to p). From there the chain runs
back through M to scales and quaternion, through u and v to a, b, tx, ty and W, and through (x, y, z) to m, W and t.

Rows. Outputs are either dense, row i for Gaussian i with zeros where it is not seen, or packed, a row for each Gaussian that
is seen and `ids` to say which.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perpetua.render.numba_backend.compile import careful_kernel, inlined, kernel
from perpetua.render.numba_backend.lanes import HALF, MIN_ALPHA, ONE, TWO, ZERO, F
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE

# The linearisation point may lie this fraction of half the image outside of it (gsplat: 0.3 * tan(fov / 2)).
_BORDER = F(0.3)
# An extent of a Gaussian is cut at this many standard deviations; exp(-3.33^2 / 2) = 1/255 (gsplat: same).
_MAX_SIGMAS = F(3.33)
_MAX_RADIUS = F(1e9)  # pixels; keeps int32 radii of Gaussians that touch the near plane defined

TALLY = 3  # what project_forward counts in a range: rows written, Gaussians that are not finite, the first of those
VIEW_ENTRIES = 12  # upper three rows of a viewmat, which get a gradient
# Row and column of each entry of a symmetric matrix's upper triangle, in the order that `covars` keeps them.
TRIANGLE = ([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2])


@inlined
def _dot(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inlined
def _cross(a: Any, b: Any) -> Any:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inlined
def _combine(a: Any, p: Any, b: Any, q: Any) -> Any:
    """a p + b q of two scalars and two vectors."""
    return a * p[0] + b * q[0], a * p[1] + b * q[1], a * p[2] + b * q[2]


@inlined
def _times(s: Any, a: Any) -> Any:
    """Entry by entry."""
    return s[0] * a[0], s[1] * a[1], s[2] * a[2]


@inlined
def _row(A: Any, i: Any) -> Any:
    """The first three entries of row i of an array."""
    return A[i, 0], A[i, 1], A[i, 2]


@inlined
def _add_to(A: Any, i: Any, a: Any) -> None:
    """A[i, :3] += a."""
    A[i, 0] += a[0]
    A[i, 1] += a[1]
    A[i, 2] += a[2]


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
def _to_camera(V: Any, m: Any) -> Any:
    """Camera coordinates of a world point."""
    return (
        V[0, 0] * m[0] + V[0, 1] * m[1] + V[0, 2] * m[2] + V[0, 3],
        V[1, 0] * m[0] + V[1, 1] * m[1] + V[1, 2] * m[2] + V[1, 3],
        V[2, 0] * m[0] + V[2, 1] * m[1] + V[2, 2] * m[2] + V[2, 3],
    )


@inlined
def _image_axis(V: Any, row: Any, scale: Any, slope: Any) -> Any:
    """scale (W_row - slope W_2): how a step in the world moves one pixel coordinate."""
    return (
        scale * (V[row, 0] - slope * V[2, 0]),
        scale * (V[row, 1] - slope * V[2, 1]),
        scale * (V[row, 2] - slope * V[2, 2]),
    )


@inlined
def _unit_quaternion(quats: Any, i: Any) -> Any:
    """(w, x, y, z) of length one, and one over the length it had."""
    w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
    inverse = ONE / math.sqrt(w * w + x * x + y * y + z * z)
    return w * inverse, x * inverse, y * inverse, z * inverse, inverse


@inlined
def _rotation(w: Any, x: Any, y: Any, z: Any) -> Any:
    """Rotation matrix of a unit quaternion, by rows."""
    return (
        (ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y)),
        (TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x)),
        (TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y)),
    )


@inlined
def _turned_back(R: Any, a: Any) -> Any:
    """R^T a."""
    return (
        a[0] * R[0][0] + a[1] * R[1][0] + a[2] * R[2][0],
        a[0] * R[0][1] + a[1] * R[1][1] + a[2] * R[2][1],
        a[0] * R[0][2] + a[1] * R[1][2] + a[2] * R[2][2],
    )


@inlined
def _turned(R: Any, a: Any) -> Any:
    """R a."""
    return _dot(R[0], a), _dot(R[1], a), _dot(R[2], a)


@inlined
def _symmetric_times(c: Any, i: Any, a: Any) -> Any:
    """Sigma a in float64, with Sigma's upper triangle (xx, xy, xz, yy, yz, zz) in c[i]."""
    x, y, z = np.float64(a[0]), np.float64(a[1]), np.float64(a[2])
    return (
        c[i, 0] * x + c[i, 1] * y + c[i, 2] * z,
        c[i, 1] * x + c[i, 3] * y + c[i, 4] * z,
        c[i, 2] * x + c[i, 4] * y + c[i, 5] * z,
    )


@inlined
def _image_covariance(u: Any, v: Any, quats: Any, scales: Any, covars: Any, i: Any) -> Any:
    """(S0_xx, S0_xy, S0_yy, det S0) of Gaussian i; see "Keeping digits" above."""
    if covars.shape[0] == 0:
        w, x, y, z, _ = _unit_quaternion(quats, i)
        R, s = _rotation(w, x, y, z), _row(scales, i)
        p, q = _times(s, _turned_back(R, u)), _times(s, _turned_back(R, v))
        n = _cross(p, q)
        xx, xy, yy, det = _dot(p, p), _dot(p, q), _dot(q, q), _dot(n, n)
    else:
        cu, cv = _symmetric_times(covars, i, u), _symmetric_times(covars, i, v)
        uu, uv, vv = _dot(u, cu), _dot(u, cv), _dot(v, cv)
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
    x_min, x_max, y_min, y_max = _field_limits(K, width, height)
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
        x, y, z = _to_camera(V, _row(means, i))
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z) and math.isfinite(opacity)):
            lost, first_lost = lost + 1, (i if lost == 0 else first_lost)
            continue
        if z < near or z > far or opacity < MIN_ALPHA:
            continue

        iz = ONE if ortho else ONE / z
        tx = ZERO if ortho else min(x_max, max(x_min, x * iz))
        ty = ZERO if ortho else min(y_max, max(y_min, y * iz))
        u, v = _image_axis(V, 0, fx * iz, tx), _image_axis(V, 1, fy * iz, ty)
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
    """(g (1 - r^2)/(r det S), g r eps2d/det S) for r = compensation and trace = p.p + q.q; see "Backward" above."""
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
    x_min, x_max, y_min, y_max = _field_limits(K, width, height)
    from_factors = covars.shape[0] == 0
    with_view = grad_view.shape[0] > 0
    antialiased = grad_compensations.shape[0] > 0
    view = np.zeros(VIEW_ENTRIES, np.float64)
    for row in range(begin, end):
        if radii[row, 0] <= 0:
            continue
        i = ids[row] if packed else row
        m = _row(means, i)
        x, y, z = _to_camera(V, m)
        iz = ONE if ortho else ONE / z
        ux, uy = x * iz, y * iz
        tx = ZERO if ortho else min(x_max, max(x_min, ux))
        ty = ZERO if ortho else min(y_max, max(y_min, uy))
        free_x, free_y = (not ortho) and tx == ux, (not ortho) and ty == uy
        a, b = fx * iz, fy * iz
        u, v = _image_axis(V, 0, a, tx), _image_axis(V, 1, b, ty)

        # G = dL/dS; the off-diagonal entry is stored once and stands for two.
        gxx, gxy, gyy = grad_image_covars[row, 0], HALF * grad_image_covars[row, 1], grad_image_covars[row, 2]

        if from_factors:
            qw, qx, qy, qz, inverse_norm = _unit_quaternion(quats, i)
            R, s = _rotation(qw, qx, qy, qz), _row(scales, i)
            ru, rv = _turned_back(R, u), _turned_back(R, v)
            p, q = _times(s, ru), _times(s, rv)
            gp, gq = _combine(TWO * gxx, p, TWO * gxy, q), _combine(TWO * gxy, p, TWO * gyy, q)
            if antialiased:
                n = _cross(p, q)
                across, along = _compensation_gradient(
                    grad_compensations[row], _dot(n, n), _dot(p, p) + _dot(q, q), eps2d
                )
                gp = _combine(ONE, gp, ONE, _combine(across, _cross(q, n), -along, p))
                gq = _combine(ONE, gq, ONE, _combine(across, _cross(n, p), -along, q))
            # p = diag(s) R^T u, q = diag(s) R^T v
            _add_to(grad_scales, i, _combine(ONE, _times(ru, gp), ONE, _times(rv, gq)))
            gp, gq = _times(s, gp), _times(s, gq)
            g = (_combine(u[0], gp, v[0], gq), _combine(u[1], gp, v[1], gq), _combine(u[2], gp, v[2], gq))
            dw, dx, dy, dz = _quaternion_gradient(g, qw, qx, qy, qz, inverse_norm)
            grad_quats[i, 0] += dw
            grad_quats[i, 1] += dx
            grad_quats[i, 2] += dy
            grad_quats[i, 3] += dz
            gu, gv = _turned(R, gp), _turned(R, gq)
        else:
            wide_u, wide_v = _symmetric_times(covars, i, u), _symmetric_times(covars, i, v)
            if antialiased:
                xx, xy, yy = _dot(u, wide_u), _dot(u, wide_v), _dot(v, wide_v)
                across, along = _compensation_gradient(
                    grad_compensations[row], F(xx * yy - xy * xy), F(xx + yy), eps2d
                )
                gxx += HALF * (across * F(yy) - along)
                gxy -= HALF * across * F(xy)
                gyy += HALF * (across * F(xx) - along)
            cu, cv = (F(wide_u[0]), F(wide_u[1]), F(wide_u[2])), (F(wide_v[0]), F(wide_v[1]), F(wide_v[2]))
            gu, gv = _combine(TWO * gxx, cu, TWO * gxy, cv), _combine(TWO * gxy, cu, TWO * gyy, cv)
            # dL/dSigma = [u v] G [u v]^T; an off-diagonal entry of Sigma stands for two.
            hu, hv = _combine(gxx, u, gxy, v), _combine(gxy, u, gyy, v)
            grad_covars[i, 0] += u[0] * hu[0] + v[0] * hv[0]
            grad_covars[i, 3] += u[1] * hu[1] + v[1] * hv[1]
            grad_covars[i, 5] += u[2] * hu[2] + v[2] * hv[2]
            grad_covars[i, 1] += TWO * (u[0] * hu[1] + v[0] * hv[1])
            grad_covars[i, 2] += TWO * (u[0] * hu[2] + v[0] * hv[2])
            grad_covars[i, 4] += TWO * (u[1] * hu[2] + v[1] * hv[2])

        # To the camera coordinates: through mean2d, and through tx = x/z, ty = y/z where the clamp is open.
        w2 = _row(V, 2)
        gux = fx * grad_means2d[row, 0]
        guy = fy * grad_means2d[row, 1]
        if free_x:
            gux -= a * _dot(gu, w2)
        if free_y:
            guy -= b * _dot(gv, w2)
        gx, gy, gz = gux * iz, guy * iz, grad_depths[row]
        if not ortho:  # z divides in x/z, y/z, a and b
            gz -= (gux * ux + guy * uy + _dot(gu, u) + _dot(gv, v)) * iz
        _add_to(grad_means, i, _combine(ONE, _combine(gx, _row(V, 0), gy, _row(V, 1)), gz, w2))
        if with_view:
            # (x, y, z) = W m + t, and u = a (W_0 - tx W_2), v = b (W_1 - ty W_2)
            tilt = _combine(-a * tx, gu, -b * ty, gv)
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
