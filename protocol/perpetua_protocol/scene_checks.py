"""What the types of a take's scene settings cannot say. Each problem is a sentence that names the value and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from perpetua_protocol.limits import is_cache_path

if TYPE_CHECKING:
    from perpetua_protocol.scene_settings import SceneSettings
    from perpetua_protocol.take import Take

FEWEST_FRAMES = 8
MOST_FRAMES = 200
VIEW_SIDES = (64, 4096)
"""Pixels."""


def scene_problems(take: Take) -> Iterator[str]:
    """Problems of ``take.scene``."""
    scene = take.scene
    if not FEWEST_FRAMES <= scene.video_frames <= MOST_FRAMES:
        yield f"{scene.video_frames} frames of the video are asked for; use {FEWEST_FRAMES} to {MOST_FRAMES}."
    for what, value in (
        ("particle spacing", scene.particle_spacing),
        ("metres per unit", scene.metres_per_unit),
    ):
        if value is not None and not (math.isfinite(value) and value > 0):
            yield f"The {what} is {value:g}; it must be above zero."
    if scene.views and scene.depth:
        yield "The take gives both a depth map and further pictures; keep one of the two."
    for name in scene.views:
        if not is_cache_path(name):
            yield f"The picture '{name}' must lie beside the take's first one, or below its folder, under a plain name; move it there."
    if take.picture in scene.views or len(set(scene.views)) != len(scene.views):
        yield "A picture is named twice among the take's pictures; name each once."
    if scene.up is not None and not math.hypot(*scene.up) > 0:
        yield "The direction up has no length; write for example [0, 0, 1], or leave it out."
    maker = scene.view_maker
    if not 5.0 <= maker.degrees <= 80.0 or not 5 <= maker.frames <= 200:
        yield (
            f"The view maker goes {maker.degrees:g} degrees to each side in {maker.frames} frames; let it go 5 to 80 degrees in 5 to 200 frames."
        )
    yield from _view_problems(scene)


def _view_problems(scene: SceneSettings) -> Iterator[str]:
    view = scene.view
    if view is None:
        return
    low, high = VIEW_SIDES
    if not (low <= view.width <= high and low <= view.height <= high):
        yield f"The view of the splats is {view.width} x {view.height} pixels; use {low} to {high} a side."
    if not 1 <= view.horizontal_fov_degrees <= 170:
        yield f"The view of the splats opens {view.horizontal_fov_degrees} degrees; use 1 to 170."
    m = view.matrix_world
    rows = (m[0:3], m[4:7], m[8:11])
    turned = all(
        abs(sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) - (i == j)) < 1e-3
        for i in range(3)
        for j in range(3)
    )
    if not turned:
        yield "The view of the splats is scaled or sheared; give a camera with a rotation and a place only."
