"""How a correction may move particles: smooth fields for soft bodies, one pose for rigid ones, both at time knots.

A splat's picture pulls only on the particle it hangs on, and half of the particles carry no splat at all. So a soft body
is moved through a basis that ranges from the whole body to a small neighbourhood: shifts, stretches, shears and bends of
all of it first (a polynomial of degree two), then bumps around nodes spread through it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.optimize.api import Correction
from perpetua.optimize.apply import correctable, rigid_corrections
from perpetua.optimize.knots import value_weights
from perpetua.scene.gradient import GradientOperator
from perpetua.scene.materials import Model
from perpetua.scene.scene import Body, Scene
from perpetua.scene.trajectory import Trajectory

CPU = torch.device("cpu")
NODES = {"elastic": 32, "plastic": 48, "snow": 64, "sand": 64, "liquid": 64, "cloth": 64, "gas": 64}
"""Most bumps a body gets, by model: what holds together bends smoothly, what flows may part."""
STEP_SHARE = {
    "elastic": 1.0,
    "plastic": 1.0,
    "snow": 0.5,
    "sand": 0.5,
    "liquid": 1.0,
    "cloth": 1.0,
    "gas": 1.0,
}
"""How long steps are, by model: in what is loose nothing holds back a neighbourhood that a long step throws aside."""
PARTICLES_PER_NODE = 12
"""At least so many particles share a bump, so that small bodies are not freer than their particles."""
COLUMNS_AT_ONCE = 8
"""Of a basis, whose gradients are taken together; more would only take more memory."""
BUMP_SHARE = 0.5
"""A bump's greatest value; under one, so that the whole-body terms are tried first."""


@dataclass(frozen=True)
class SoftMotion:
    """A soft body. particles: [p] int64.  basis: [p, M].  coefficients: [Q - 1, M, 3] m, one set a knot after the first.
    start: [Q - 1, p, 3] m, the correction it goes on from.  slopes: [p, 3, M] 1/m and start_slopes: [Q - 1, p, 3, 3], the
    gradients of ``basis`` and ``start`` by where particles are at the round's start (entry ij = d start_i / d x_j)."""

    particles: Tensor
    basis: Tensor
    coefficients: Tensor
    start: Tensor
    slopes: Tensor
    start_slopes: Tensor

    @staticmethod
    def of(
        particles: NDArray, points: NDArray, body: Body, start: NDArray, device: torch.device
    ) -> SoftMotion:
        """For a body whose ``particles`` [p] start the round at ``points`` [p, 3] m; start: [Q - 1, p, 3] m."""
        basis = smooth_basis(points, body)
        gradient = GradientOperator.at(points, np.zeros(len(points), np.int32))
        slopes = basis_gradient(gradient, basis)
        return SoftMotion(
            torch.from_numpy(particles).to(device),
            torch.from_numpy(basis).float().to(device),
            _parameter(np.zeros((len(start), basis.shape[1], 3)), device),
            torch.from_numpy(start).to(device),
            torch.from_numpy(slopes).float().to(device),
            torch.from_numpy(np.stack([gradient(u) for u in start])).float().to(device),
        )

    def at(self, weights: Tensor) -> Tensor:
        """[p, 3] m by the weights [Q] of the knots; the first of them is where the correction is zero."""
        later = weights[1:]
        return torch.tensordot(later, self.start, 1) + self.basis @ torch.tensordot(
            later, self.coefficients, 1
        )

    @torch.no_grad()
    def gradient(self, weights: Tensor) -> Tensor:
        """[p, 3, 3]: derivative of ``at`` by where particles are at the round's start."""
        later = weights[1:]
        moving = (self.slopes @ torch.tensordot(later, self.coefficients, 1)).mT
        return torch.tensordot(later, self.start_slopes, 1) + moving


@dataclass(frozen=True)
class RigidMotion:
    """A rigid body. particles: [p] int64.  radius: m.  turns: [Q - 1, 3], rotation vectors times the radius, m.
    shifts: [Q - 1, 3] m."""

    particles: Tensor
    radius: float
    turns: Tensor
    shifts: Tensor

    def pose(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Rotation [3, 3] and shift [3] m from the weights [Q] of the knots."""
        x, y, z = (weights[1:] @ self.turns / self.radius).unbind()
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
        return torch.linalg.matrix_exp(skew), weights[1:] @ self.shifts

    def displacement(self, weights: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """[p, 3] m at the body's ``positions`` [p, 3] m, and the turn [3, 3]."""
        turn, shift = self.pose(weights)
        centre = positions.mean(0)
        return (positions - centre) @ turn.T + centre + shift - positions, turn


class Motion:
    """The displacement of all particles of a round, as parameters an optimiser can move."""

    def __init__(
        self, scene: Scene, trajectory: Trajectory, start: Correction, device: torch.device = CPU
    ) -> None:
        self.knots = start.knots
        self.device = device
        weights = value_weights(self.knots, np.arange(trajectory.frames))
        self.weights = torch.from_numpy(weights).float().to(device)
        self.count = len(scene.particles)
        self.soft: list[SoftMotion] = []
        self.models: list[Model] = []
        self.rigid: list[RigidMotion] = []
        poses = rigid_corrections(scene, trajectory, start)
        together = correctable(scene, trajectory)
        for index, body in enumerate(scene.bodies):
            mine = np.flatnonzero(together == index)
            points = trajectory.positions[0, mine].astype(np.float64)
            if len(mine) == 0:
                continue
            if body.material.is_rigid:
                radius = max(float(np.linalg.norm(points - points.mean(0), axis=1).max()), 1e-6)
                self.rigid.append(
                    RigidMotion(
                        torch.from_numpy(mine).to(device),
                        radius,
                        _parameter(poses[index].turns[1:] * radius, device),
                        _parameter(poses[index].shifts[1:], device),
                    )
                )
            else:
                self.models.append(body.material.model)
                self.soft.append(SoftMotion.of(mine, points, body, start.displacement[1:, mine], device))

    def parameters(self) -> list[tuple[list[Tensor], float]]:
        """All that the optimiser moves, every one in metres, body by body, and how long its steps are relative to others'."""
        soft = [([m.coefficients], STEP_SHARE[of]) for m, of in zip(self.soft, self.models, strict=True)]
        return soft + [([m.turns, m.shifts], 1.0) for m in self.rigid]

    def displacement(self, frame: int, positions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[P, 3] m at the simulated ``positions`` [P, 3] m of a frame, and the turn [3, 3] of every rigid body."""
        moved = torch.zeros_like(positions)
        weights = self.weights[frame]
        turns = []
        for soft in self.soft:
            moved = moved.index_copy(0, soft.particles, soft.at(weights))
        for rigid in self.rigid:
            u, turn = rigid.displacement(weights, positions[rigid.particles])
            moved = moved.index_copy(0, rigid.particles, u)
            turns.append(turn)
        return moved, turns

    @torch.no_grad()
    def at_knots(self, trajectory: Trajectory) -> NDArray[np.float32]:
        """[Q, P, 3] m, as a ``Correction`` keeps it."""
        from perpetua.optimize.rigid import positions_at

        displacement = np.zeros((len(self.knots), self.count, 3), np.float32)
        for q, weights in enumerate(torch.eye(len(self.knots), device=self.device)):
            if q == 0:
                continue
            for soft in self.soft:
                displacement[q, soft.particles.cpu().numpy()] = soft.at(weights).cpu().numpy()
            simulated = (
                torch.from_numpy(positions_at(trajectory, float(self.knots[q]))).float().to(self.device)
            )
            for rigid in self.rigid:
                u, _ = rigid.displacement(weights, simulated[rigid.particles])
                displacement[q, rigid.particles.cpu().numpy()] = u.cpu().numpy()
        return displacement


def _parameter(values: NDArray, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device, requires_grad=True)


def basis_gradient(gradient: GradientOperator, basis: NDArray) -> NDArray[np.float64]:
    """[p, 3, M] 1/m: derivatives of the columns of ``basis`` [p, M]."""
    columns = range(0, basis.shape[1], COLUMNS_AT_ONCE)
    parts = [gradient(basis[:, c : c + COLUMNS_AT_ONCE]) for c in columns]
    return np.ascontiguousarray(np.concatenate(parts, 1).mT)


def smooth_basis(points: NDArray, body: Body) -> NDArray[np.float64]:
    """[p, M] over a body's ``points`` [p, 3] m: 1, x, y, z and their products, and Gaussian bumps around spread nodes.

    Every column is at most about one in size, so a coefficient is about the metres it moves matter by.
    """
    centred = points - points.mean(0)
    x, y, z = (centred / max(np.abs(centred).max(), 1e-9)).T
    columns = [np.ones_like(x)]
    if len(points) >= PARTICLES_PER_NODE:
        columns += [x, y, z, x * x, y * y, z * z, x * y, y * z, z * x]
    nodes = spread_nodes(points, min(NODES[body.material.model], len(points) // PARTICLES_PER_NODE))
    if len(nodes) > 1:
        between = np.linalg.norm(nodes[:, None] - nodes[None], axis=-1)
        np.fill_diagonal(between, np.inf)
        width = 0.8 * float(between.min(1).mean())  # neighbouring bumps overlap into a smooth whole
        squared = ((points[:, None] - nodes[None]) ** 2).sum(-1)
        columns += list(BUMP_SHARE * np.exp(-0.5 * squared / width**2).T)
    return np.stack(columns, 1)


def spread_nodes(points: NDArray, count: int) -> NDArray[np.float64]:
    """``count`` of the points [p, 3], each chosen farthest from those before (Gonzalez 1985)."""
    if count < 1:
        return points[:0]
    chosen = [int(((points - points.mean(0)) ** 2).sum(1).argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    return points[chosen]
