"""Drawing in the Image Editor that shows the picture: where its objects are marked, by points and boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from . import drawing, inputs
from . import overlay_shapes as shapes

POINT_PX = 5.0
"""Radius of a point's circle."""
ON, OFF = (0.35, 1.0, 0.45), (1.0, 0.3, 0.25)
"""Colours of what marks an object, and of a point that is not on it."""
DIM = 0.45
"""Opacity of the marks of objects that are not chosen."""
SHADOW_PX, LINE_PX = 4.0, 2.0


@dataclass(frozen=True)
class Mark:
    """A point, or a box by two opposite corners [px from the picture's top left]."""

    corners: tuple[tuple[float, float], ...]
    inside: bool
    chosen: bool


_handle: object | None = None


def marks(settings: bpy.types.PropertyGroup) -> Iterator[Mark]:
    """Every point and box of the picture's objects and their parts."""
    for index, thing in enumerate(settings.things):
        chosen = index == settings.thing_index
        for marked in (thing, *thing.regions):
            for click in marked.clicks:
                yield Mark(((click.x, click.y),), click.inside, chosen)
            if marked.use_box:
                left, top, right, bottom = marked.box
                yield Mark(((left, top), (right, bottom)), True, chosen)


def outline(mark: Mark, view: bpy.types.View2D, size: tuple[int, int]) -> shapes.Lines:
    """The mark's lines [N,2,3] in the editor's pixels. size: of the picture, px."""
    width, height = size
    places = [view.view_to_region(x / width, 1.0 - y / height, clip=False) for x, y in mark.corners]
    if len(places) == 1:
        return shapes.circle(np.array([*places[0], 0.0]), np.array([0.0, 0.0, 1.0]), POINT_PX)
    (left, top), (right, bottom) = places
    corners = [(left, top, 0.0), (right, top, 0.0), (right, bottom, 0.0), (left, bottom, 0.0)]
    return np.array([[corners[i], corners[(i + 1) % 4]] for i in range(4)])


def _draw() -> None:
    context = bpy.context
    settings, image = context.scene.perpetua, context.space_data.image
    if image is None or 0 in image.size or not settings.picture or context.region is None:
        return
    if Path(bpy.path.abspath(image.filepath)) != inputs.clicked_path(settings):
        return
    for mark in marks(settings):
        lines = outline(mark, context.region.view2d, tuple(image.size))
        opacity = 1.0 if mark.chosen else DIM
        drawing.polylines(lines, (0.0, 0.0, 0.0, 0.6 * opacity), SHADOW_PX)
        drawing.polylines(lines, (*(ON if mark.inside else OFF), opacity), LINE_PX)


def start() -> None:
    """Draw in every Image Editor from now on."""
    global _handle
    if _handle is None:
        _handle = bpy.types.SpaceImageEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")


def stop() -> None:
    """Draw no more."""
    global _handle
    if _handle is not None:
        bpy.types.SpaceImageEditor.draw_handler_remove(_handle, "WINDOW")
        _handle = None
