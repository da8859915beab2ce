"""What a correction may not push matter into: the artist's colliders, and other bodies.

Both count only as far as the correction makes them worse: what the simulator already left overlapping stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from perpetua.physics.forces import Moment
from perpetua.physics.motion import Collider, moved_at
from perpetua.scene.scene import Scene
from perpetua_protocol.take import Round

JUST_BEFORE = 2e-3
"""Frames: a collider that acts until the end of a round still stands there in its last frame."""
TOUCHING = 0.9
"""Particle spacings between the nearest particles of two bodies that touch."""


@dataclass(frozen=True)
class Obstacles:
    """The colliders of a round that starts at ``start_frame`` of the take, ``fps`` frames/s; none without a round."""

    round: Round | None = None
    start_frame: int = 0
    fps: float = 24.0
    _found: dict[int, list[Collider]] = field(default_factory=dict, repr=False, compare=False)

    def at(self, frame: int, scene: Scene) -> list[Collider]:
        """The colliders in a frame of the round."""
        if self.round is None:
            return []
        if frame not in self._found:
            moment = Moment(self.start_frame + frame - 0.5 * JUST_BEFORE, JUST_BEFORE, self.fps)
            moved = moved_at(self.round, self.start_frame, moment, scene.bodies)
            self._found[frame] = [each for each in moved if isinstance(each, Collider)]
        return self._found[frame]

    def lifted(self, frame: int, scene: Scene, before: NDArray, after: NDArray) -> NDArray[np.float64]:
        """``after`` [P, 3] m, with what is deeper in a collider than ``before`` [P, 3] m put back to there along its normal."""
        for collider in self.at(frame, scene):
            deeper, missing, normal = _deeper(collider, scene, before, after)
            if len(deeper):
                after = after.copy()
                after[deeper] += missing[:, None] * normal
        return after

    def price(self, frame: int, scene: Scene, simulated: Tensor, corrected: Tensor) -> Tensor:
        """Mean squared depth, in spacings, that ``corrected`` particles [P, 3] m are deeper in colliders than as simulated."""
        total = corrected.new_zeros(())
        colliders = self.at(frame, scene)
        if not colliders:
            return total
        before, after = (t.detach().cpu().numpy().astype(np.float64) for t in (simulated, corrected))
        for collider in colliders:
            deeper, missing, normal = _deeper(collider, scene, before, after)
            if len(deeper):
                at = torch.from_numpy(deeper).to(corrected.device)
                n, depth = (torch.from_numpy(a).to(corrected) for a in (normal, missing))
                moved = (
                    corrected[at] - corrected[at].detach()
                )  # the surface is a plane as near as a step goes
                total = total + ((depth - (n * moved).sum(1)) / scene.spacing).square().sum()
        return total / len(corrected)


def _deeper(
    collider: Collider, scene: Scene, before: NDArray, after: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Particles [n] that are deeper in a collider ``after`` than ``before``, by how much [n] m, and the outward normals [n, 3]."""
    near = np.flatnonzero(collider.bodies[scene.particles.body])
    reach = collider.surface.cell * (len(collider.surface.values) - 1)
    local = collider.motion.local(after[near]) - collider.surface.origin
    near = near[((local > 0) & (local < reach)).all(1)]
    missing = np.minimum(collider.distance(before[near]), 0.0) - collider.distance(after[near])
    deeper, missing = near[missing > 0], missing[missing > 0]
    step = 0.5 * collider.surface.cell
    slope = np.stack(
        [
            collider.distance(after[deeper] + e) - collider.distance(after[deeper] - e)
            for e in step * np.eye(3)
        ],
        1,
    )
    return deeper, missing, slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)


class Crowding:
    """What keeps a correction from pushing bodies into each other: of particles of ``body`` [P] (-1 for none), ``spacing`` m apart."""

    def __init__(self, body: NDArray, spacing: float) -> None:
        self.spacing = spacing
        self.members = [np.flatnonzero(body == index) for index in np.unique(body[body >= 0])]

    def price(self, simulated: Tensor, corrected: Tensor) -> Tensor:
        """Mean squared overlap, in spacings, of particles [P, 3] m with the nearest of another body, beyond what was simulated."""
        total = corrected.new_zeros(())
        if len(self.members) < 2:
            return total
        after = corrected.detach().cpu().numpy()
        for i, mine in enumerate(self.members):
            for theirs in self.members[i + 1 :]:
                first, second = self._near(after, mine, theirs)
                if len(first):
                    a, b = (torch.from_numpy(index).to(corrected.device) for index in (first, second))
                    apart = ((corrected[a] - corrected[b]).square().sum(1) + 1e-12).sqrt()
                    allowed = (simulated[a] - simulated[b]).norm(dim=1).clamp(max=TOUCHING * self.spacing)
                    total = total + (torch.relu(allowed - apart) / self.spacing).square().sum()
        return total / len(corrected)

    def _near(self, after: NDArray, mine: NDArray, theirs: NDArray) -> tuple[NDArray, NDArray]:
        """Pairs [n], [n] of particles of two bodies that are closer than bodies touch, each with its nearest of the other."""
        reach = TOUCHING * self.spacing
        low = np.maximum(after[mine].min(0), after[theirs].min(0)) - reach
        high = np.minimum(after[mine].max(0), after[theirs].max(0)) + reach
        if (low > high).any():
            return mine[:0], theirs[:0]
        mine, theirs = (
            index[((after[index] >= low) & (after[index] <= high)).all(1)] for index in (mine, theirs)
        )
        if len(mine) == 0 or len(theirs) == 0:
            return mine[:0], theirs[:0]
        apart, nearest = cKDTree(after[theirs]).query(after[mine], distance_upper_bound=reach)
        found = np.isfinite(apart)
        return mine[found], theirs[nearest[found]]
