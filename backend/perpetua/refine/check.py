"""What a refined video must be before anything is compared with it."""

from __future__ import annotations

import numpy as np

from perpetua.errors import RefinerError
from perpetua.refine.api import RenderedVideo, Video

BLACK = 1.0 / 255
"""A video whose brightest value is not above this shows nothing."""


def checked(refined: Video, rendered: RenderedVideo, refiner: str) -> Video:
    """``refined`` as float32 in [0, 1].

    Raises ``RefinerError``, naming the view, if its shape is not the rendered video's, it holds values that are not finite,
    or it is black where the rendered video is not.
    """
    view = rendered.camera.name
    if refined.shape != rendered.rgb.shape:
        raise RefinerError(
            f"Refiner '{refiner}' gave a video of shape {refined.shape} for the view '{view}', which has shape "
            f"{rendered.rgb.shape}; it must keep the number of frames and the size."
        )
    if not np.isfinite(refined).all():
        frame = int(np.flatnonzero(~np.isfinite(refined).all((1, 2, 3)))[0])
        raise RefinerError(
            f"Refiner '{refiner}' gave values that are not numbers for the view '{view}' (first in frame {frame}); "
            "bake that round again, or choose another refiner."
        )
    if refined.max() <= BLACK < rendered.rgb.max():
        raise RefinerError(
            f"Refiner '{refiner}' gave a black video for the view '{view}'; bake that round again, or choose another refiner."
        )
    return np.clip(refined, 0.0, 1.0, dtype=np.float32)
