"""Air that flows on a grid: stable fluids (Stam 1999) with vorticity confinement (Fedkiw, Stam and Jensen 2001).

Velocities stand on the faces of cubic cells (Harlow and Welch 1965), so that the pressure takes out all divergence. The box is
open: outside its sides and top the pressure is zero, and its floor is closed where it is the support plane. That makes Poisson's equation
diagonal in sines and cosines, and one solve is six fast transforms. Obstacles are cells with a velocity of their own; the two demands, no
divergence and the obstacles' velocity at their faces, are met in turns (iterated orthogonal projection, Molemaker et al. 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[np.float32]

PROJECTIONS = 3
"""Turns of pressure and obstacles; a fourth changes the flow past a ball by less than 1 %."""


@dataclass
class Air:
    """The flow in a box. origin: [3] m, its lowest corner.  dx: m, a cell.  u: [nx + 1, ny, nz], v: [nx, ny + 1, nz],
    w: [nx, ny, nz + 1], m/s.  floor: whether the lowest faces are a closed floor."""

    origin: NDArray[np.float64]
    dx: float
    u: Array
    v: Array
    w: Array
    floor: bool

    @staticmethod
    def still(origin: NDArray, dx: float, shape: tuple[int, int, int], floor: bool) -> Air:
        nx, ny, nz = shape
        return Air(
            np.asarray(origin, np.float64), dx,
            np.zeros((nx + 1, ny, nz), np.float32), np.zeros((nx, ny + 1, nz), np.float32),
            np.zeros((nx, ny, nz + 1), np.float32), floor,
        )  # fmt: skip

    def take_over(self, other: Air) -> None:
        """Flow as ``other`` does, which may lie in another box; where it is not the air is still."""
        for axis, field in enumerate((self.u, self.v, self.w)):
            half = np.where(np.arange(3) == axis, 0.0, 0.5)
            points = self.origin + (np.indices(field.shape).reshape(3, -1).T + half) * self.dx
            inside = (
                (points >= other.origin) & (points <= other.origin + np.multiply(other.shape, other.dx))
            ).all(1)
            field[...] = np.where(inside, other.at(points)[:, axis], 0.0).reshape(field.shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.v.shape[0], self.u.shape[1], self.u.shape[2]

    def centres(self) -> NDArray[np.float64]:
        """[nx, ny, nz, 3] m."""
        axes = [self.origin[a] + (np.arange(n) + 0.5) * self.dx for a, n in enumerate(self.shape)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1)

    def cell_velocities(self) -> Array:
        """[nx, ny, nz, 3] m/s at the cells' centres."""
        return np.stack(
            [
                0.5 * (self.u[1:] + self.u[:-1]),
                0.5 * (self.v[:, 1:] + self.v[:, :-1]),
                0.5 * (self.w[:, :, 1:] + self.w[:, :, :-1]),
            ],
            -1,
        )

    def at(self, points: NDArray) -> Array:
        """[n, 3] m/s at ``points`` [n, 3] m; outside the box as at its nearest face."""
        return _sample(
            (points - self.origin).astype(np.float32) / np.float32(self.dx), self.u, self.v, self.w
        )

    def carried(self, points: NDArray, dt: float) -> Array:
        """[n, 3] m: where the flow takes ``points`` [n, 3] m in ``dt`` s (midpoint rule)."""
        half = points + 0.5 * dt * self.at(points)
        return (points + dt * self.at(half)).astype(np.float32)

    def accelerate(self, change: NDArray) -> None:
        """Add ``change`` [nx, ny, nz, 3] m/s, given at the cells' centres."""
        for axis, field in enumerate((self.u, self.v, self.w)):
            padded = np.pad(
                change[..., axis], [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge"
            )
            lower = [slice(None, -1) if a == axis else slice(None) for a in range(3)]
            upper = [slice(1, None) if a == axis else slice(None) for a in range(3)]
            field += 0.5 * (padded[tuple(lower)] + padded[tuple(upper)])

    def advect(self, dt: float) -> None:
        """Carry the flow along itself for ``dt`` s (semi-Lagrangian, midpoint rule)."""
        self.u, self.v, self.w = _advect(self.u, self.v, self.w, np.float32(dt / self.dx))

    def swirl(self, strength: float, dt: float) -> NDArray[np.float64]:
        """[nx, ny, nz, 3] m/s: what vorticity confinement adds in ``dt`` s: strength dx (N x omega), with N the unit vector towards
        stronger vorticity omega; it gives back the eddies that a coarse grid smooths away."""
        flow = self.cell_velocities().astype(np.float64)
        d = [[np.gradient(flow[..., c], self.dx, axis=a) for a in range(3)] for c in range(3)]
        omega = np.stack([d[2][1] - d[1][2], d[0][2] - d[2][0], d[1][0] - d[0][1]], -1)
        size = np.linalg.norm(omega, axis=-1)
        slope = np.stack([np.gradient(size, self.dx, axis=a) for a in range(3)], -1)
        towards = slope / (
            np.linalg.norm(slope, axis=-1, keepdims=True) + 1e-9 * (1.0 + size.max() / self.dx)
        )
        return dt * strength * self.dx * np.cross(towards, omega)

    def project(self, solid: NDArray[np.bool_] | None = None, solid_velocity: NDArray | None = None) -> None:
        """Take out the divergence, around cells that are ``solid`` [nx, ny, nz] and move at ``solid_velocity`` [nx, ny, nz, 3] m/s."""
        if solid is None or solid_velocity is None or not solid.any():
            self._solve_pressure()
            return
        for _ in range(PROJECTIONS):
            self._solve_pressure()
            self._set_solid(solid, solid_velocity)

    def _set_solid(self, solid: NDArray[np.bool_], velocity: NDArray) -> None:
        for axis, field in enumerate((self.u, self.v, self.w)):
            own, speed = np.moveaxis(solid, axis, 0), np.moveaxis(velocity[..., axis], axis, 0)
            faces = np.moveaxis(field, axis, 0)
            faces[:-1][own] = speed[own]
            faces[1:][own] = speed[own]

    def divergence(self) -> Array:
        """[nx, ny, nz] 1/s."""
        return (np.diff(self.u, axis=0) + np.diff(self.v, axis=1) + np.diff(self.w, axis=2)) / np.float32(
            self.dx
        )

    def _solve_pressure(self) -> None:
        if self.floor:
            self.w[:, :, 0] = 0.0
        p = self.divergence() * np.float32(
            self.dx
        )  # a pressure in m/s per cell: the change of velocity it makes
        forward = [(fft.dst, 2), (fft.dst, 2), (fft.dct, 4) if self.floor else (fft.dst, 2)]
        for axis, (transform, kind) in enumerate(forward):
            p = transform(p, type=kind, axis=axis, norm="ortho")
        p /= _eigenvalues(self.shape, self.floor)
        for axis, (transform, kind) in enumerate(forward):
            back = fft.idst if transform is fft.dst else fft.idct
            p = back(p, type=kind, axis=axis, norm="ortho")
        for axis, field in enumerate((self.u, self.v, self.w)):
            q, faces = np.moveaxis(p, axis, 0), np.moveaxis(field, axis, 0)
            faces[1:-1] -= np.diff(q, axis=0)
            faces[-1] += 2.0 * q[-1]
            if axis != 2 or not self.floor:
                faces[0] -= 2.0 * q[0]


def _eigenvalues(shape: tuple[int, int, int], floor: bool) -> Array:
    """Of the discrete Laplacian (in cells): zero pressure at the faces, or no flow through the floor."""
    nx, ny, nz = shape
    one = [2.0 * np.cos(np.pi * (np.arange(n) + 1.0) / n) - 2.0 for n in (nx, ny)]
    up = np.pi * (np.arange(nz) + 0.5) / nz if floor else np.pi * (np.arange(nz) + 1.0) / nz
    out = one[0][:, None, None] + one[1][None, :, None] + (2.0 * np.cos(up) - 2.0)[None, None, :]
    return out.astype(np.float32)


@numba.njit(cache=True)
def _value(f, x, y, z):  # type: ignore[no-untyped-def]
    """Trilinear value of ``f`` at fractional indices, clamped to its edges."""
    x = min(max(x, np.float32(0.0)), np.float32(f.shape[0] - 1.001))
    y = min(max(y, np.float32(0.0)), np.float32(f.shape[1] - 1.001))
    z = min(max(z, np.float32(0.0)), np.float32(f.shape[2] - 1.001))
    i, j, k = int(x), int(y), int(z)
    a, b, c = x - np.float32(i), y - np.float32(j), z - np.float32(k)
    one = np.float32(1.0)
    low = (f[i, j, k] * (one - c) + f[i, j, k + 1] * c) * (one - b) + (
        f[i, j + 1, k] * (one - c) + f[i, j + 1, k + 1] * c
    ) * b
    high = (f[i + 1, j, k] * (one - c) + f[i + 1, j, k + 1] * c) * (one - b) + (
        f[i + 1, j + 1, k] * (one - c) + f[i + 1, j + 1, k + 1] * c
    ) * b
    return low * (one - a) + high * a


@numba.njit(cache=True)
def _velocity(u, v, w, x, y, z):  # type: ignore[no-untyped-def]
    h = np.float32(0.5)
    return _value(u, x, y - h, z - h), _value(v, x - h, y, z - h), _value(w, x - h, y - h, z)


@numba.njit(cache=True)
def _sample(points, u, v, w):  # type: ignore[no-untyped-def]
    out = np.empty((points.shape[0], 3), np.float32)
    for p in range(points.shape[0]):
        a, b, c = _velocity(u, v, w, points[p, 0], points[p, 1], points[p, 2])
        out[p, 0], out[p, 1], out[p, 2] = a, b, c
    return out


@numba.njit(cache=True)
def _back(u, v, w, x, y, z, step):  # type: ignore[no-untyped-def]
    """Where the air at (x, y, z), in cells, was a step ago; ``step`` is dt / dx."""
    h = np.float32(0.5)
    a, b, c = _velocity(u, v, w, x, y, z)
    a, b, c = _velocity(u, v, w, x - h * step * a, y - h * step * b, z - h * step * c)
    return x - step * a, y - step * b, z - step * c


@numba.njit(cache=True)
def _advect(u, v, w, step):  # type: ignore[no-untyped-def]
    h = np.float32(0.5)
    nu, nv, nw = np.empty_like(u), np.empty_like(v), np.empty_like(w)
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            for k in range(u.shape[2]):
                x, y, z = _back(u, v, w, np.float32(i), np.float32(j) + h, np.float32(k) + h, step)
                nu[i, j, k] = _value(u, x, y - h, z - h)
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            for k in range(v.shape[2]):
                x, y, z = _back(u, v, w, np.float32(i) + h, np.float32(j), np.float32(k) + h, step)
                nv[i, j, k] = _value(v, x - h, y, z - h)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            for k in range(w.shape[2]):
                x, y, z = _back(u, v, w, np.float32(i) + h, np.float32(j) + h, np.float32(k), step)
                nw[i, j, k] = _value(w, x - h, y - h, z)
    return nu, nv, nw
