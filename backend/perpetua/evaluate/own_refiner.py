"""The refiner that comes with Perpetua in the truth's place, so that the benchmark says what the loop gains from it and not from a perfect teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.refine.api import Layer, Memory, Refiner, RenderedVideo, RoundContext, Video, VideoName


@dataclass(frozen=True)
class BegunWith(Refiner):
    """``refiner`` with ``picture`` [H, W, 3] uint8 as what the scene was made from: benchmark worlds are made without one."""

    refiner: Refiner
    picture: NDArray[np.uint8]

    @property
    def needs(self) -> frozenset[Layer]:
        return self.refiner.needs

    def inputs(self, video: VideoName) -> Mapping[str, Any]:
        """What the refiner says; the picture follows from the world."""
        return self.refiner.inputs(video)

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        return self.refiner.prepare(self._pictured(context), memory, progress)

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        return self.refiner.refine(video, self._pictured(context), memory, progress)

    def release(self) -> None:
        self.refiner.release()

    def _pictured(self, context: RoundContext) -> RoundContext:
        return replace(context, scene=replace(context.scene, picture=self.picture))
