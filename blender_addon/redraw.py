"""Asking Blender to draw again."""

from __future__ import annotations

import bpy


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


def _areas(kinds: set[str]) -> list[bpy.types.Area]:
    windows = bpy.context.window_manager.windows
    return [area for window in windows for area in window.screen.areas if area.type in kinds]
