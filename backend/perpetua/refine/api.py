"""What a refiner takes and gives: one small class a refiner, chosen by name in the take.

A refiner never imports physics or render. What it may need of them (the teacher does) comes as functions in
:class:`RoundContext`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.scene.cameras import Camera
from perpetua.scene.particles import State
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory

Video = NDArray[np.float32]
"""[T + 1, H, W, 3], sRGB in [0, 1]; frame 0 is the round's first."""

Memory = dict[str, NDArray]
"""What a refiner remembers from round to round; saved with the round and given back in the next."""


@dataclass(frozen=True)
class RenderedVideo:
    """A view as the engine rendered it. rgb: [T+1, H, W, 3]; alpha: [T+1, H, W], coverage by objects; depth: [T+1, H, W], m."""

    camera: Camera
    rgb: Video
    alpha: NDArray[np.float32]
    depth: NDArray[np.float32]


@dataclass(frozen=True)
class RoundContext:
    """The round a refiner works in.

    simulate(scene, state, grid_refinement, progress) runs the round's actions from ``state`` and returns the trajectory
    and the end state. render(trajectory, camera) renders a trajectory of ``scene``.
    """

    scene: Scene
    start: State
    round_index: int
    simulate: Callable[[Scene, State, float, Progress], tuple[Trajectory, State]]
    render: Callable[[Trajectory, Camera], RenderedVideo]


class Refiner(Protocol):
    """Corrects videos. Built with its options: ``Refiner(**options)``; unknown options raise ``RefinerError``."""

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        """Called once a round before the first video; returns what ``refine`` and the next round need."""
        ...

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        """The corrected video, of the same shape as ``video.rgb``."""
        ...


def options_error(name: str, options: Mapping[str, object], known: tuple[str, ...]) -> str | None:
    """The sentence for options a refiner does not have, or None."""
    unknown = sorted(set(options) - set(known))
    if not unknown:
        return None
    has = f"it has: {', '.join(known)}" if known else "it has none"
    return f"Refiner '{name}' has no option {', '.join(map(repr, unknown))}; {has}."
