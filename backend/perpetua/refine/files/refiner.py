"""The refiner ``files``: each view of each round is refined by hand, in whatever program the artist likes.

The first bake writes a folder for the view and stops, naming it. When the refined video lies there, the next bake goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perpetua.errors import RefinerError, WaitingForFiles
from perpetua.paths import exchange_home
from perpetua.progress import Progress
from perpetua.refine.api import (
    Layer,
    Memory,
    Refiner,
    RenderedVideo,
    RoundContext,
    Video,
    VideoName,
    options_error,
)  # fmt: skip
from perpetua.refine.check import checked
from perpetua.refine.files.hand_over import hand_over
from perpetua.refine.files.take_back import given_files, refuse_others, take_back

KEY_DIGITS = 10
"""Of a video's key in its folder's name: another coarse video gets another folder, so old answers are never taken for new ones."""


class FilesRefiner(Refiner):
    """Options: ``prompt`` and ``negative_prompt``, which are passed on with the videos."""

    def __init__(self, **options: Any) -> None:
        known = ("prompt", "negative_prompt")
        if problem := options_error("files", options, known):
            raise RefinerError(problem)
        for name, value in options.items():
            if not isinstance(value, str):
                raise RefinerError(f"Refiner 'files': {name} is {value!r}; it must be a text.")
        self.prompts = {name: options.get(name, "") for name in known}

    @property
    def needs(self) -> frozenset[Layer]:
        """All there is: another program may want any of it."""
        return frozenset({"flow", "masks"})

    def inputs(self, video: VideoName) -> Mapping[str, Any]:
        """The files that were given: others are another refined video."""
        return given_files(folder_of(video))

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        """Nothing to prepare, nothing to remember."""
        return {}

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        """The refined video from the view's folder. Raises ``WaitingForFiles`` as long as there is none."""
        name = VideoName(context.take, context.round_index, video.camera.name, video.key)
        folder = folder_of(name)
        if not folder.exists():
            hand_over(
                folder,
                video,
                [body.name for body in context.scene.bodies],
                context.fps,
                self.prompts,
                progress,
            )
        if not given_files(folder):
            refuse_others(folder)
            raise WaitingForFiles([str(folder)])
        return checked(take_back(folder, video, context.fps, progress), video, "files")


def folder_of(video: VideoName) -> Path:
    """Where a video is handed over and taken back."""
    name = f"round_{video.round_index:02d}_{video.view}_{video.key[:KEY_DIGITS]}"
    return exchange_home() / video.take / name
