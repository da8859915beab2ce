"""The reward: minus the 4D Chamfer distance between what moves in a generated video and what moves in the simulation (paper, 5.4 and B.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perpetua.clips.chamfer import chamfer_4d, reward_points, stride_for
from perpetua.errors import TrainingError
from perpetua.phys4d.train.batches import Batch
from perpetua.phys4d.train.readings import Readings

POINTS = 20_000
"""About so many points a clip are compared at most; 41 ms on one core."""


class TrueWorld:
    """The moving points of a clip (batch of one), which videos of it are held against. name: for errors."""

    def __init__(self, batch: Batch, name: str) -> None:
        if not (
            bool(batch["posed"].all())
            and bool(batch["flow_known"].any())
            and bool((batch["depth"] > 0).any())
        ):
            raise TrainingError(
                f"Clip '{name}' lacks depth, flow or cameras, without which no reward can be given; use simulated clips."
            )
        self._K = _numbers(batch["K"][0])
        self._pose = _numbers(batch["world_to_camera"][0])
        depth = _numbers(batch["depth"][0])
        frames, height, width = depth.shape
        self._stride = stride_for(frames, height, width, POINTS)
        self._points = self._moving(depth, _flow(batch["flow"][0]))

    @property
    def moves(self) -> bool:
        """Whether anything does; a clip in which nothing moves says nothing about motion."""
        return len(self._points) > 0

    def rewards(self, seen: Readings, worst: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """[G] m, all 0 if nothing moves in the clip; not below ``worst``, which a video in which nothing moves also gets; and how many points move in each, which must be
        watched: a video could gain by showing fewer."""
        found, counts = [], []
        for depth, flow in zip(seen.depth, seen.flow):
            points = self._moving(_numbers(depth), _flow(flow))
            counts.append(len(points))
            if self.moves:
                far = chamfer_4d(points, self._points) if len(points) else np.inf
                found.append(max(worst, -far))
            else:
                found.append(0.0)
        return np.array(found), np.array(counts)

    def _moving(self, depth: NDArray, flow: NDArray) -> NDArray[np.float64]:
        return reward_points(depth, flow, self._K, self._pose, self._stride)


def _numbers(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().cpu().numpy()


def _flow(flow: Tensor) -> NDArray[np.float64]:
    return _numbers(flow.permute(0, 2, 3, 1))
