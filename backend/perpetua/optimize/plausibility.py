"""What keeps a correction plausible: it stays near the simulator, neighbours agree, time is smooth, the plane holds.

For soft bodies nearness, neighbours and smoothness are quadratic in the coefficients of their basis, so each is one small matrix, made once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import laplacian
from scipy.spatial import cKDTree
from torch import Tensor

from perpetua.optimize.apply import correctable
from perpetua.optimize.lengths import LengthPrice
from perpetua.optimize.motion import Motion, SoftMotion
from perpetua.optimize.obstacles import Crowding, Obstacles
from perpetua.optimize.stage import Matter
from perpetua.optimize.standing import Standing
from perpetua.optimize.volume import VolumePrice
from perpetua.scene.materials import Material
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

ANCHOR_WEIGHT = 3e-4
"""Price of a mean squared displacement of one particle spacing: the simulator is right unless the video says otherwise."""
RIGIDITY_WEIGHT = 0.15
"""Price of a mean squared strain of one in an elastic solid."""
SMOOTHNESS_WEIGHT = 1e-3
"""Price of a mean squared second difference of one spacing between knots."""
SOLID_WEIGHT = 0.1
"""Price of a mean squared depth of one spacing below the support plane, in a collider or in another body."""
STIFFNESS = {
    "elastic": 1.0,
    "plastic": 0.1,
    "snow": 0.1,
    "sand": 0.02,
    "liquid": 0.02,
    "cloth": 0.0,
    "gas": 0.01,
}
"""How much neighbours must agree, by model, relative to an elastic solid: what yields may be strained at no cost, and what no camera sees
of it goes on as what is seen. Sheets keep their lengths instead (``lengths.py``)."""
NEIGHBOURS = 8


@dataclass(frozen=True)
class SoftPrice:
    """For coefficients c [Q - 1, M, 3] of a soft body: c.(A c + 2 a) of position, c.(K c + 2 k) of strain, and those of ``volume`` and ``lengths``.

    A: [M, M], a: [Q - 1, M, 3]: squared displacements, mean over particles and axes.
    K: [M, M], k: [Q - 1, M, 3]: squared strains between neighbours, mean over pairs.
    """

    A: Tensor
    a: Tensor
    K: Tensor
    k: Tensor
    volume: VolumePrice
    lengths: LengthPrice

    @staticmethod
    def of(
        soft: SoftMotion, trajectory: Trajectory, knots: NDArray, mine: NDArray, material: Material
    ) -> SoftPrice:
        """For a body of particles ``mine`` [p]; knots: [Q - 1], after the first."""
        points, round_ = trajectory.positions[0, mine], (trajectory, knots, mine, material.model)
        web = _web(points) * STIFFNESS[material.model]
        B = soft.basis.double().cpu().numpy()
        start = soft.start.double().cpu().numpy()
        tied = np.asarray(web @ B)

        def tensor(price: NDArray) -> Tensor:
            return torch.from_numpy(np.asarray(price)).float().to(soft.basis.device)

        return SoftPrice(
            tensor(B.T @ B / B.shape[0] / 3),
            tensor(B.T @ start / B.shape[0] / 3),
            tensor(B.T @ tied),
            tensor(tied.T @ start),
            VolumePrice.of(soft, *round_),
            LengthPrice.of(soft, *round_),
        )

    def __call__(self, c: Tensor, spacing: float, smoothness: float) -> Tensor:
        """The price, up to what no c changes; ``spacing`` in m, ``smoothness`` the price of bends in time."""
        later = len(c)
        price = ANCHOR_WEIGHT / spacing**2 * _quadratic(c, self.A, self.a) / later
        price = price + RIGIDITY_WEIGHT * _quadratic(c, self.K, self.k) / later
        price = price + self.volume(c) + self.lengths(c)
        if later > 1:
            bend = smoothness / spacing**2 * _quadratic(_bent(c), self.A, _bent(self.a))
            price = price + bend / (later - 1)
        return price


class Plausibility:
    """The price of a motion apart from what it looks like."""

    def __init__(
        self,
        scene: Scene,
        trajectory: Trajectory,
        motion: Motion,
        smoothness: float,
        obstacles: Obstacles,
    ) -> None:
        self.scene, self.spacing, self.smoothness = scene, scene.spacing, smoothness
        self.obstacles, self.crowding = obstacles, Crowding(correctable(scene, trajectory), scene.spacing)
        self.standing = [Standing(scene, rigid.particles) for rigid in motion.rigid]
        self.soft = []
        for soft in motion.soft:
            mine = soft.particles.cpu().numpy()
            body = scene.bodies[int(scene.particles.body[mine[0]])]
            self.soft.append(SoftPrice.of(soft, trajectory, motion.knots[1:], mine, body.material))

    def __call__(self, motion: Motion) -> Tensor:
        """Price of all knots together, a scalar, up to a constant."""
        price = torch.zeros((), device=motion.device)
        for soft, priced in zip(motion.soft, self.soft, strict=True):
            price = price + priced(soft.coefficients, self.spacing, self.smoothness)
        for rigid in motion.rigid:
            moved = torch.cat([rigid.turns, rigid.shifts], 1) / self.spacing
            price = price + ANCHOR_WEIGHT * moved.square().mean()
            if len(moved) > 1:
                price = price + self.smoothness * _bent(moved).square().mean()
        return price

    def apart(self, frame: int, matter: Matter) -> Tensor:
        """Price of particles that a correction pushes below the plane z = 0, into a collider or into another body, and of rigid
        bodies that it tilts off the plane."""
        simulated, corrected = matter.simulated, matter.positions
        below = torch.relu(simulated[:, 2].clamp(max=0) - corrected[:, 2]) / self.spacing
        inside = self.obstacles.price(frame, self.scene, simulated, corrected)
        price = SOLID_WEIGHT * (below.square().mean() + inside + self.crowding.price(simulated, corrected))
        for standing in self.standing:
            price = price + standing(simulated, corrected)
        return price


def _quadratic(c: Tensor, matrix: Tensor, linear: Tensor) -> Tensor:
    return (c * (matrix @ c + 2 * linear)).sum()


def _bent(knots: Tensor) -> Tensor:
    """Second differences over knots [Q - 1, ...] that zero goes before."""
    whole = torch.cat([torch.zeros_like(knots[:1]), knots])
    return whole[2:] - 2 * whole[1:-1] + whole[:-2]


def _web(points: NDArray) -> csr_matrix:
    """[p, p] matrix L with u.L u the squared strain between neighbours among ``points`` [p, 3] m, mean over pairs."""
    count = min(NEIGHBOURS + 1, len(points))
    distances, nearest = cKDTree(points).query(points, k=np.arange(1, count + 1))
    first = np.repeat(np.arange(len(points)), count - 1)
    closeness = 1 / np.maximum(distances[:, 1:].ravel(), 1e-9) ** 2 / max(1, len(first))
    ties = coo_matrix((closeness, (first, nearest[:, 1:].ravel())), shape=(len(points), len(points)))
    return laplacian(ties.tocsr() + ties.T.tocsr()).tocsr()
