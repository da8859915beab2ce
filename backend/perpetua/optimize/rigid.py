"""Rigid motions in displacements: a rigid body's correction is one turn and one shift a knot, never a free shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from perpetua.optimize.api import Correction
from perpetua.optimize.end_slope import end_slope
from perpetua.optimize.knots import value_weights
from perpetua.scene.trajectory import Trajectory

SLOPE_STEP = 1e-3
"""Frames; step of the central difference that gives a rotation's rate."""


def positions_at(trajectory: Trajectory, frame: float) -> NDArray[np.float64]:
    """[P, 3] m, linear between frames."""
    before = min(int(frame), trajectory.frames - 2)
    share = frame - before
    left, right = trajectory.positions[before : before + 2].astype(np.float64)
    return (1 - share) * left + share * right


def rigid_fit(before: NDArray, after: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation vector [3] rad about the centroid of ``before`` [P, 3], and the shift [3] m of that centroid (Kabsch 1976).

    Fewer than three particles have no orientation; they only shift.
    """
    centre, target = before.mean(0), after.mean(0)
    if len(before) < 3:
        return np.zeros(3), target - centre
    U, _, Vt = np.linalg.svd((after - target).T @ (before - centre))
    turn = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    return Rotation.from_matrix(turn).as_rotvec(), target - centre


@dataclass(frozen=True)
class PoseCorrection:
    """A rigid body's correction: turns [Q, 3] rad (rotation vectors about its centroid) and shifts [Q, 3] m at ``knots`` [Q]."""

    knots: NDArray
    turns: NDArray[np.float64]
    shifts: NDArray[np.float64]

    @staticmethod
    def of(correction: Correction, trajectory: Trajectory, mine: NDArray) -> PoseCorrection:
        """The poses in the displacements of the particles ``mine`` [p] (indices)."""
        poses = []
        for knot, displacement in zip(correction.knots, correction.displacement[:, mine], strict=True):
            before = positions_at(trajectory, float(knot))[mine]
            poses.append(rigid_fit(before, before + displacement))
        return PoseCorrection(
            correction.knots, np.array([turn for turn, _ in poses]), np.array([shift for _, shift in poses])
        )

    def at(self, frame: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation matrix [3, 3] and shift [3] m at a frame."""
        weights = value_weights(self.knots, np.array([frame]))[0]
        return Rotation.from_rotvec(weights @ self.turns).as_matrix(), weights @ self.shifts

    def end_rates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Angular velocity [3] rad and velocity [3] m, both per frame, of the correction at the last knot."""
        late = self.turns[-1]
        rate = end_slope(self.knots, self.turns)
        early = Rotation.from_rotvec(late - SLOPE_STEP * rate)
        spin = (Rotation.from_rotvec(late + SLOPE_STEP * rate) * early.inv()).as_rotvec() / (2 * SLOPE_STEP)
        return spin, end_slope(self.knots, self.shifts)

    def displaced(self, points: NDArray, frame: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corrected ``points`` [p, 3] m of the body at a frame, and the turn [3, 3] they made."""
        turn, shift = self.at(frame)
        centre = points.mean(0)
        return (points - centre) @ turn.T + centre + shift, turn
