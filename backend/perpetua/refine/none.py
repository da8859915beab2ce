"""The refiner that changes nothing: what is rendered is what is wanted."""

from __future__ import annotations

from perpetua.errors import RefinerError
from perpetua.progress import Progress
from perpetua.refine.api import Memory, Refiner, RenderedVideo, RoundContext, Video, options_error


class NoRefiner(Refiner):
    """Gives every video back as it is. It has no options."""

    def __init__(self, **options: object) -> None:
        problem = options_error("none", options, ())
        if problem:
            raise RefinerError(problem)

    def prepare(self, context: RoundContext, memory: Memory, progress: Progress) -> Memory:
        """Nothing to prepare, nothing to remember."""
        return {}

    def refine(
        self, video: RenderedVideo, context: RoundContext, memory: Memory, progress: Progress
    ) -> Video:
        """``video.rgb`` itself."""
        return video.rgb
