"""Objects that are marked in the front picture, carried through the other views of a capture by a tracker, if the take chooses one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perpetua.progress import Progress
from perpetua.reconstruct import providers
from perpetua.reconstruct.api import Picture
from perpetua.reconstruct.capture.capture import Capture
from perpetua_protocol.take import Take

INSIDE = 0.5
"""Coverage from which a pixel is an object's."""


def with_followed(capture: Capture, take: Take, scale: float, progress: Progress) -> Capture:
    """The capture with masks of the take's objects, where its segmenter can follow them; else as it is. Views are in the order in which
    they were taken. scale: pixels of the front view for one of the clicks'.

    Raises ``SegmentationError`` or ``ReconstructionError``.
    """
    tracker = providers.tracker(take)
    if tracker is None or capture.has_objects:
        return capture
    segmenter = providers.segmenter(take)
    front = capture.front_view
    picture = Picture(front.rgb, scale, None, Path(front.name))
    mattes = [segmenter.segment(picture, thing) for thing in take.objects]
    first = _owners(mattes)
    masks: dict[int, NDArray[np.int32]] = {}
    # outward from the front, both ways
    for order in (
        range(capture.front, len(capture.views)),
        range(capture.front, -1, -1),
    ):
        if len(order) > 1:
            frames = [capture.views[index].rgb for index in order]
            masks |= zip(order, tracker.track(frames, first, progress), strict=True)
    views = tuple(replace(view, objects=masks[index]) for index, view in enumerate(capture.views))
    return replace(capture, views=views, objects=tuple(thing.name for thing in take.objects))


def _owners(mattes: list[NDArray[np.float32]]) -> NDArray[np.int32]:
    """[H, W] the object that covers most of each pixel, -1 where none covers half."""
    stacked = np.stack(mattes)
    return np.where(stacked.max(0) > INSIDE, stacked.argmax(0), -1).astype(np.int32)
