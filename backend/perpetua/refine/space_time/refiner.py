"""The refiner that plays a round's videos through the space-time network, window after window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perpetua.errors import RefinerError
from perpetua.progress import Progress
from perpetua.refine.api import (
    LAST_REFINED,
    Layer,
    Memory,
    Refiner,
    RenderedVideo,
    RoundContext,
    Video,
    VideoName,
    options_error,
)
from perpetua.refine.check import checked
from perpetua.refine.diffusion.refiner import first_picture
from perpetua.refine.diffusion.windows import lay_over, windows_of
from perpetua.refine.space_time import weights
from perpetua.refine.space_time.anchor import anchored
from perpetua.refine.space_time.bridge import refine
from perpetua.refine.space_time.network import SpaceTimeUNet
from perpetua.refine.space_time.signal import (
    condition_of,
    depth_of,
    flow_of,
    nearness_unit,
    picture_of,
    signal_of,
)
from perpetua.refine.space_time.working_size import (
    Coarse,
    raised_depth,
    raised_flow,
    raised_picture,
    shrunk,
    working_size,
)

WINDOW, OVERLAP = 17, 4
"""Frames refined at once, and shared with the window before."""
FAR_M = 1e5
"""Renderers write larger depths where nothing is."""
OPTIONS = ("weights", "steps")


class SpaceTimeRefiner(Refiner):
    """Options: ``weights``, a file that ``perpetua train refiner`` has written, unless those that come with Perpetua; ``steps``, 1
    unless given."""

    def __init__(self, **options: Any) -> None:
        if problem := options_error("space_time", options, OPTIONS):
            raise RefinerError(problem)
        self.shipped = "weights" not in options
        self.path = weights.SHIPPED if self.shipped else Path(str(options["weights"])).expanduser()
        self.steps = options.get("steps", 1)
        if not isinstance(self.steps, int) or self.steps < 1:
            raise RefinerError("Refiner 'space_time': steps must be an integer, 1 or more.")
        if not self.path.is_file():
            raise RefinerError(
                f"Refiner 'space_time': there is no file {self.path}; check the path of its weights."
            )
        self._network: SpaceTimeUNet | None = None

    @property
    def needs(self) -> frozenset[Layer]:
        return frozenset({"flow"})

    def inputs(self, video: VideoName) -> dict[str, Any]:
        if self.shipped:
            return {"weights": weights.digest(self.path)}
        seen = self.path.stat()
        return {"weights": [str(self.path), seen.st_size, seen.st_mtime_ns]}

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        """Keep the refined picture that the round before ended with."""
        return {LAST_REFINED: memory[LAST_REFINED]} if LAST_REFINED in memory else {}

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        """The video as the network sees it."""
        assert video.flow is not None
        if self._network is None:
            self._network, _ = weights.load(self.path)
        first = first_picture(video, context, memory)
        depth = np.where(video.depth < FAR_M, video.depth, 0)
        found = refine_video(
            self._network, video.rgb, depth, video.flow, video.alpha, first, self.steps, progress
        )
        return checked(found.rgb, video, "space_time")

    def release(self) -> None:
        self._network = None


class Refined:
    """rgb: [T, H, W, 3] in [0, 1].  depth: [T, H, W] m.  flow: [T - 1, H, W, 2] pixels."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        frames, height, width = shape
        self.rgb = np.zeros((frames, height, width, 3), np.float32)
        self.depth = np.zeros((frames, height, width), np.float32)
        self.flow = np.zeros((frames - 1, height, width, 2), np.float32)


def refine_video(
    network: SpaceTimeUNet,
    rgb: NDArray,  # [T, H, W, 3] in [0, 1]
    depth: NDArray,  # [T, H, W] m, 0 for none
    flow: NDArray,  # [T - 1, H, W, 2] pixels
    alpha: NDArray,  # [T, H, W]
    first: NDArray,  # [H, W, 3] in [0, 1]
    steps: int,
    progress: Progress,
) -> Refined:
    """A video of any length and size, at the size that the network learned from if it is larger (``working_size.py``)."""
    parts = (np.ascontiguousarray(part, np.float32) for part in (rgb, depth, flow, alpha, first))
    video = Coarse(*parts)
    height, width = video.alpha.shape[1:]
    size = working_size(height, width, network.shape.pixels)
    if size == (height, width):
        return _in_windows(network, video, steps, progress)
    small = shrunk(video, size)
    found = _in_windows(network, small, steps, progress)
    whole = Refined(video.alpha.shape)
    whole.rgb = raised_picture(found.rgb, small.rgb, video.rgb)
    whole.depth = raised_depth(found.depth, small.depth, video.depth)
    whole.flow = raised_flow(found.flow, small.flow, video.flow)
    return whole


def _in_windows(network: SpaceTimeUNet, video: Coarse, steps: int, progress: Progress) -> Refined:
    """In windows, each beginning with a frame that the one before it made, and faded into it."""
    whole = Refined(video.alpha.shape)
    unit = nearness_unit(_tensor(video.depth[:1]))
    windows = windows_of(len(video.rgb), WINDOW, OVERLAP, 1)
    covered = covered_flow = 0
    for number, window in enumerate(windows):
        progress(number / len(windows), f"window {number + 1} of {len(windows)}")
        span, between = slice(window.start, window.stop), slice(window.start, window.stop - 1)
        coarse = signal_of(
            _tensor(video.rgb[span]), _tensor(video.depth[span]), _tensor(video.flow[between]), unit
        )
        begins = video.first if number == 0 else whole.rgb[window.start]
        condition = condition_of(coarse, _tensor(video.alpha[span]), _tensor(begins))
        fine = refine(network, coarse, condition, steps, None)
        picture = anchored(picture_of(fine)[0].numpy(), begins, video.alpha[span], video.flow[between])
        lay_over(whole.depth, covered, depth_of(fine, unit)[0].numpy(), window)
        covered = lay_over(whole.rgb, covered, picture, window)
        steps_between = type(window)(window.start, window.stop - 1)
        covered_flow = lay_over(whole.flow, covered_flow, flow_of(fine)[0].numpy(), steps_between)
    return whole


def _tensor(values: NDArray) -> torch.Tensor:
    """A batch of one."""
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]
