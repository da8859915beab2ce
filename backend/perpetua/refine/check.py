"""What a refined video must be before anything is compared with it."""

from __future__ import annotations

import numpy as np

from perpetua.errors import RefinerError
from perpetua.refine.api import RenderedVideo, Video
from perpetua.refine.likeness import SAME_SCENE, cut, likeness

BLACK = 1.0 / 255
"""A frame whose brightest value is not above this shows nothing."""


def checked(refined: Video, rendered: RenderedVideo, refiner: str) -> Video:
    """``refined`` as float32 in [0, 1].

    Raises ``RefinerError``, naming the view, if its shape is not the rendered video's, it holds values that are not finite,
    a frame is black where the rendered one is not, or it shows another scene, at once or from a cut on (``likeness.py``).
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
    refined = np.clip(refined, 0.0, 1.0, dtype=np.float32)
    black = (refined.max((1, 2, 3)) <= BLACK) & (rendered.rgb.max((1, 2, 3)) > BLACK)
    if black.all():
        raise RefinerError(
            f"Refiner '{refiner}' gave a black video for the view '{view}'; bake that round again, or choose another refiner."
        )
    if black.any():
        raise RefinerError(
            f"Refiner '{refiner}' gave a video for the view '{view}' whose frame {int(np.flatnonzero(black)[0])} is black; "
            "bake that round again, or choose another refiner."
        )
    alike = likeness(refined, rendered.rgb)
    if alike < SAME_SCENE:
        raise RefinerError(
            f"Refiner '{refiner}' gave a video for the view '{view}' that shows something else than was rendered (likeness "
            f"{alike:.2f}, at least {SAME_SCENE:g} is wanted); lower its strength, or see that it is the video of this view."
        )
    other = cut(refined, rendered.rgb)
    if other is not None:
        raise RefinerError(
            f"Refiner '{refiner}' gave a video for the view '{view}' that shows another scene from frame {other} on; cut it to this "
            "round's shot, or refine it again."
        )
    return refined
