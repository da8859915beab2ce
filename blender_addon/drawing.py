"""Lines and rectangles on the screen, for what the add-on draws over Blender's editors."""

from __future__ import annotations

import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from .overlay_shapes import Lines

LINE_PX = 1.6

Colour = tuple[float, float, float, float]


def polylines(lines: Lines, colour: Colour, width_px: float = LINE_PX) -> None:
    """Lines [N,2,3] in the space that is drawn in: of the world, or of the region's pixels."""
    if not len(lines):
        return
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, "LINES", {"pos": np.ascontiguousarray(lines.reshape(-1, 3), np.float32)})
    gpu.state.blend_set("ALPHA")
    gpu.state.depth_test_set("NONE")
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", width_px)
    shader.uniform_float("color", colour)
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def rectangle(x: float, y: float, width: float, height: float, colour: Colour) -> None:
    """A filled rectangle [px] with its lower left corner at x, y."""
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
    gpu.state.blend_set("ALPHA")
    shader.bind()
    shader.uniform_float("color", colour)
    batch_for_shader(shader, "TRI_STRIP", {"pos": corners}).draw(shader)
    gpu.state.blend_set("NONE")
