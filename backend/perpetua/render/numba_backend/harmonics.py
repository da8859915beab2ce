"""View-dependent colour from real spherical harmonics of degree 0 to 3, and its gradient.

    colour = max(0, 1/2 + sum_k Y_k(n) c_k),   n = (mean - camera) / |mean - camera|,

with the 16 basis polynomials Y_k of Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2013, in the order and signs
of 3D Gaussian Splatting and gsplat.

Readable twin in plain torch: reference/harmonics.py, its gradient by autograd.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perpetua.render.numba_backend.compile import inlined, kernel
from perpetua.render.numba_backend.lanes import HALF, ONE, ZERO, F
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE

BASES = 16
_Y0 = F(0.28209479177387814)
_Y1 = F(0.48860251190292)
_Y2_XY, _Y2_ZZ, _Y2_0 = F(1.0925484305920792), F(0.9461746957575601), F(0.3153915652525201)
_Y3_3, _Y3_2 = F(0.5900435899266435), F(1.445305721320277)
_Y3_1, _Y3_10 = F(2.285228997322329), F(0.4570457994644658)
_Y3_0, _Y3_00 = F(1.865881662950577), F(1.119528997770346)
_3, _6 = F(3), F(6)


@inlined
def _evaluate(x: Any, y: Any, z: Any, degree: Any, Y: Any) -> None:
    """Write the bases at the unit direction (x, y, z) to Y [16]."""
    Y[0] = _Y0
    if degree >= 1:
        Y[1], Y[2], Y[3] = -_Y1 * y, _Y1 * z, -_Y1 * x
    if degree >= 2:
        Y[4], Y[5], Y[7] = _Y2_XY * x * y, -_Y2_XY * y * z, -_Y2_XY * x * z
        Y[6] = _Y2_ZZ * z * z - _Y2_0
        Y[8] = HALF * _Y2_XY * (x * x - y * y)
    if degree >= 3:
        ring = _Y3_10 - _Y3_1 * z * z
        Y[9], Y[15] = -_Y3_3 * y * (_3 * x * x - y * y), -_Y3_3 * x * (x * x - _3 * y * y)
        Y[10], Y[14] = _Y3_2 * z * (x * y + x * y), _Y3_2 * z * (x * x - y * y)
        Y[11], Y[13] = ring * y, ring * x
        Y[12] = z * (_Y3_0 * z * z - _Y3_00)


@inlined
def _differentiate(x: Any, y: Any, z: Any, degree: Any, w: Any) -> Any:
    """Gradient of sum_k w_k Y_k as a polynomial in x, y, z."""
    gx, gy, gz = ZERO, ZERO, ZERO
    if degree >= 1:
        gx, gy, gz = -_Y1 * w[3], -_Y1 * w[1], _Y1 * w[2]
    if degree >= 2:
        gx += _Y2_XY * (y * w[4] - z * w[7] + x * w[8])
        gy += _Y2_XY * (x * w[4] - z * w[5] - y * w[8])
        gz += (_Y2_ZZ + _Y2_ZZ) * z * w[6] - _Y2_XY * (y * w[5] + x * w[7])
    if degree >= 3:
        ring = _Y3_10 - _Y3_1 * z * z
        dring = -(_Y3_1 + _Y3_1) * z
        square, two_z = x * x - y * y, z + z
        gx += (
            -_Y3_3 * (_6 * x * y * w[9] + _3 * square * w[15])
            + _Y3_2 * two_z * (y * w[10] + x * w[14])
            + ring * w[13]
        )
        gy += (
            -_Y3_3 * (_3 * square * w[9] - _6 * x * y * w[15])
            + _Y3_2 * two_z * (x * w[10] - y * w[14])
            + ring * w[11]
        )
        gz += _Y3_2 * ((x * y + x * y) * w[10] + square * w[14]) + dring * (y * w[11] + x * w[13])
        gz += (_3 * _Y3_0 * z * z - _Y3_00) * w[12]
    return gx, gy, gz


@inlined
def _direction(means: Any, i: Any, camera: Any) -> Any:
    """Unit vector from the camera to mean i, and one over their distance."""
    x, y, z = means[i, 0] - camera[0], means[i, 1] - camera[1], means[i, 2] - camera[2]
    inverse = ONE / math.sqrt(x * x + y * y + z * z)
    return x * inverse, y * inverse, z * inverse, inverse


@kernel
def harmonics_forward(
    begin: int,  # rows; see project.py for dense and packed ones
    end: int,
    means: np.ndarray,  # [N, 3]
    coefficients: np.ndarray,  # [N, K, 3]
    camera: np.ndarray,  # [3] camera position, m
    degree: int,
    packed: bool,
    ids: np.ndarray,  # [rows] int64 with packed: the Gaussian of each row
    radii: np.ndarray,  # [rows, 2]; what is not seen gets zeros
    colors: np.ndarray,  # out [rows, 3]
) -> None:
    """Colours of rows begin..end."""
    bases = (degree + 1) * (degree + 1)
    Y = np.zeros(BASES, np.float32)
    for row in range(begin, end):
        i = ids[row] if packed else row
        r, g, b = ZERO, ZERO, ZERO
        if radii[row, 0] > 0:
            x, y, z, _ = _direction(means, i, camera)
            _evaluate(x, y, z, degree, Y)
            r, g, b = HALF, HALF, HALF
            for k in range(bases):
                r += Y[k] * coefficients[i, k, 0]
                g += Y[k] * coefficients[i, k, 1]
                b += Y[k] * coefficients[i, k, 2]
        colors[row, 0], colors[row, 1], colors[row, 2] = max(r, ZERO), max(g, ZERO), max(b, ZERO)


@kernel
def harmonics_backward(
    begin: int,
    end: int,
    means: np.ndarray,
    coefficients: np.ndarray,
    camera: np.ndarray,
    degree: int,
    packed: bool,
    ids: np.ndarray,
    radii: np.ndarray,
    colors: np.ndarray,  # what harmonics_forward wrote: zero where it clamped
    grad_colors: np.ndarray,  # [rows, 3]
    grad_means: np.ndarray,  # out [N, 3], and below: seen Gaussians only
    grad_coefficients: np.ndarray,  # out [N, K, 3]
    grad_camera: np.ndarray,  # out [ranges, 3] float64 sum of each range
) -> None:
    """Gradients of rows begin..end."""
    bases = (degree + 1) * (degree + 1)
    Y = np.zeros(BASES, np.float32)
    weights = np.zeros(BASES, np.float32)
    camera_x, camera_y, camera_z = 0.0, 0.0, 0.0
    for row in range(begin, end):
        if radii[row, 0] <= 0:
            continue
        i = ids[row] if packed else row
        x, y, z, inverse = _direction(means, i, camera)
        _evaluate(x, y, z, degree, Y)
        r = grad_colors[row, 0] if colors[row, 0] > ZERO else ZERO
        g = grad_colors[row, 1] if colors[row, 1] > ZERO else ZERO
        b = grad_colors[row, 2] if colors[row, 2] > ZERO else ZERO
        for k in range(bases):
            grad_coefficients[i, k, 0] = Y[k] * r
            grad_coefficients[i, k, 1] = Y[k] * g
            grad_coefficients[i, k, 2] = Y[k] * b
            weights[k] = r * coefficients[i, k, 0] + g * coefficients[i, k, 1] + b * coefficients[i, k, 2]
        gx, gy, gz = _differentiate(x, y, z, degree, weights)
        along = gx * x + gy * y + gz * z  # the direction has unit length: only the part across it moves it
        gx, gy, gz = (gx - along * x) * inverse, (gy - along * y) * inverse, (gz - along * z) * inverse
        grad_means[i, 0], grad_means[i, 1], grad_means[i, 2] = gx, gy, gz
        # The direction is a difference: what moves the mean one way moves the camera the other.
        camera_x -= gx
        camera_y -= gy
        camera_z -= gz
    counted = begin // GAUSSIANS_A_RANGE
    grad_camera[counted, 0], grad_camera[counted, 1], grad_camera[counted, 2] = camera_x, camera_y, camera_z
