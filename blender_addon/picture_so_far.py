"""A small picture of the newest baked frame for the panel, drawn from the picture's own camera."""

from __future__ import annotations

import bpy
import bpy.utils.previews
import numpy as np

from perpetua_protocol.cache import SHEEN, TURN

from .playback import last_frame
from .sheen import Splats, with_sheen
from .splat_data import Floats, over, pack
from .splat_layers import View, draw_layer

WIDTH = 256
"""Pixels; it is shown at about this size."""
NAME = "newest frame"

_previews: bpy.utils.previews.ImagePreviewCollection | None = None


def update(scene: bpy.types.Scene) -> int:
    """Draw the last frame of the scene's cache and return its icon; 0 when the scene has no front camera.

    Needs Blender's window (a GPU context); do not call it in the background.
    """
    global _previews
    front = next(
        (entry.object for entry in scene.perpetua.cameras if entry.role == "front" and entry.there), None
    )
    if front is None:
        return 0
    width, height = WIDTH, max(1, round(WIDTH * scene.render.resolution_y / scene.render.resolution_x))
    projection = front.calc_matrix_camera(bpy.context.evaluated_depsgraph_get(), x=width, y=height)
    picture = draw(scene, View(front.matrix_world.normalized().inverted(), projection, width, height))
    if _previews is None:
        _previews = bpy.utils.previews.new()
    if NAME in _previews:
        del _previews[NAME]  # the icon of a changed preview is not drawn anew
    preview = _previews.new(NAME)
    preview.image_size = (width, height)
    preview.image_pixels_float = picture.ravel()
    return preview.icon_id


def draw(scene: bpy.types.Scene, view: View) -> Floats:
    """The newest frame in sRGB with alpha [H,W,4], first row at the bottom. Needs a GPU context."""
    background, splats = (_splats(frame) for frame in last_frame(scene))
    behind = draw_layer(background, view)
    return np.clip(over(draw_layer(splats, view, behind).image, behind.image), 0.0, 1.0)


def forget() -> None:
    """Let go of the picture."""
    global _previews
    if _previews is not None:
        bpy.utils.previews.remove(_previews)
        _previews = None


def _splats(frame: dict[str, Floats]) -> Splats:
    packed = pack(frame["position"], frame["rotation"], frame["scale"], frame["radiance_base"], np.eye(4))
    return with_sheen(packed, frame[SHEEN], frame.get(TURN), np.eye(4)) if SHEEN in frame else Splats(packed)
