"""Pictures of the 3D viewport alone, to be compared with what the engine's renderer draws. Runs inside Blender, with a window."""

from __future__ import annotations

import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d
from hands import Hands, Wait

Rectangle = tuple[float, float, float, float]
"""Left and upper edge, width and height [px], from the screen's top left."""


def bare(hands: Hands, name: str) -> Wait:
    """Keep a picture of the screen with nothing of Blender's drawn over the viewport, but the sidebar beside it."""
    space = hands.area("VIEW_3D").spaces.active
    space.overlay.show_overlays = space.show_gizmo = False
    yield from hands.picture(name)
    space.overlay.show_overlays = space.show_gizmo = True


def frame(hands: Hands) -> Rectangle:
    """Where the camera's frame is on the screen, in a viewport that looks through it."""
    scene, region = bpy.context.scene, hands.region("VIEW_3D")
    view = hands.area("VIEW_3D").spaces.active.region_3d
    assert view.view_perspective == "CAMERA"
    corners = [
        location_3d_to_region_2d(region, view, scene.camera.matrix_world @ corner)
        for corner in scene.camera.data.view_frame(scene=scene)
    ]
    left, right = min(at.x for at in corners), max(at.x for at in corners)
    low, high = min(at.y for at in corners), max(at.y for at in corners)
    top = hands.window.height - region.y - high
    return region.x + left, top, right - left, high - low
