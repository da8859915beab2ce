"""The coarse video as a model with a control input sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perpetua.refine.api import RenderedVideo
from perpetua.refine.diffusion.windows import Window
from perpetua.refine.nearness import nearness

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def control_video(kind: str, video: RenderedVideo, window: Window) -> NDArray[np.float32] | None:
    """[T, H, W, 3] in [0, 1], or None for 'none'. depth: inverse depth, near is white, one scale for all frames of the round."""
    span = slice(window.start, window.stop)
    if kind == "none":
        return None
    if kind == "colour":
        return video.rgb[span]
    grey = video.rgb[span] @ LUMA if kind == "grey" else nearness(video.depth)[span]
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)
