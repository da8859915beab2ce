"""What a refiner takes and gives: one small class a refiner, chosen by name in the take.

A refiner never imports physics or render. What it may need of them (the teacher does) comes as functions in
:class:`RoundContext`. Deriving from :class:`Refiner` gives a refiner what most have: no further layers, nothing outside the take that
its videos depend on, no memory to give back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

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

LAST_REFINED = "last_refined"
"""In the memory of every round but the first: [H, W, 3], the last frame of the front view as it was refined in the round before."""

Layer = Literal["flow", "masks"]
"""What a renderer can add to a video, at a cost."""


@dataclass(frozen=True)
class RenderedVideo:
    """A view as the engine rendered it."""

    camera: Camera
    rgb: Video
    alpha: NDArray[np.float32]
    """[T + 1, H, W], coverage by objects."""
    depth: NDArray[np.float32]
    """[T + 1, H, W], m."""
    flow: NDArray[np.float32] | None = None
    """[T, H, W, 2], pixels right and down that what is seen in a frame moves until the next; None unless a refiner needs it."""
    masks: NDArray[np.float32] | None = None
    """[T + 1, H, W, objects], coverage by each object, in the scene's order; None unless a refiner needs it."""
    key: str = ""
    """Names what the video was rendered from: the same name, the same video."""
    cameras: tuple[Camera, ...] = ()
    """That of each frame, T + 1, where the camera moves; empty where it stands."""


@dataclass(frozen=True)
class VideoName:
    """Which video: of which take, round (1-based) and view, and the key of ``RenderedVideo``."""

    take: str
    round_index: int
    view: str
    key: str


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
    take: str = "take"
    """The take's name."""
    fps: float = 24.0
    draw: int = 0
    """Another number makes other random choices."""


class Refiner(Protocol):
    """Corrects videos. Built with its options: ``Refiner(**options)``; unknown options raise ``RefinerError``."""

    @property
    def needs(self) -> frozenset[Layer]:
        """Layers that videos must have beside colour, alpha and depth."""
        return frozenset()

    def inputs(self, video: VideoName) -> Mapping[str, Any]:
        """What outside the take the refined video depends on (weights, files of other programs): when it changes, ``video``
        is refined again. Values that JSON can hold."""
        return {}

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        """Called once a round before the first video; returns what ``refine`` and the next round need."""
        ...

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        """The corrected video, of the same shape as ``video.rgb``."""
        ...

    def release(self) -> None:
        """Give back large memory (a model); the refiner may be used again afterwards."""
        return None


def options_error(name: str, options: Mapping[str, object], known: tuple[str, ...]) -> str | None:
    """The sentence for options a refiner does not have, or None."""
    unknown = sorted(set(options) - set(known))
    if not unknown:
        return None
    has = f"it has: {', '.join(known)}" if known else "it has none"
    return f"Refiner '{name}' has no option {', '.join(map(repr, unknown))}; {has}."
