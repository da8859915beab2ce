"""Asking Blender to draw again, and to look through the camera."""

from __future__ import annotations

import bpy

CAMERA_ZOOM = 15.0
"""Blender's measure of how much of a viewport the camera's frame fills; 0 is half of it."""


def views() -> None:
    """Every 3D viewport, with its sidebar."""
    for area in _areas({"VIEW_3D"}):
        area.tag_redraw()


def sidebars() -> None:
    """The sidebars alone; the views themselves follow when splats are written."""
    for area in _areas({"VIEW_3D", "IMAGE_EDITOR"}):
        for region in area.regions:
            if region.type == "UI":
                region.tag_redraw()


def editors() -> None:
    """Every 3D viewport and Image Editor, with their sidebars."""
    for area in _areas({"VIEW_3D", "IMAGE_EDITOR"}):
        area.tag_redraw()


def through_camera() -> None:
    """Look through the scene's camera in every 3D viewport."""
    for area in _areas({"VIEW_3D"}):
        view = area.spaces.active.region_3d
        view.view_perspective = "CAMERA"
        # what lies below the sidebar cannot be seen
        covering = [region.width for region in area.regions if region.type == "UI"] if _overlapping() else []
        view.view_camera_offset = (0.5 * sum(covering) / max(1, area.width), 0.0)
        view.view_camera_zoom = CAMERA_ZOOM


def _overlapping() -> bool:
    return bool(bpy.context.preferences.system.use_region_overlap)


def _areas(kinds: set[str]) -> list[bpy.types.Area]:
    windows = bpy.context.window_manager.windows
    return [area for window in windows for area in window.screen.areas if area.type in kinds]
