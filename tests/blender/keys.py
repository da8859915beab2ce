"""Keys of an animation, in any Blender."""

from __future__ import annotations

import bpy
from bl_ext.user_default.perpetua.dependencies import curves


def make_linear(owner: bpy.types.ID) -> None:
    """Interpolate an ID's keys linearly."""
    for curve in curves(owner.animation_data.action):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"


def key(owner: bpy.types.ID, curve: int, index: int) -> bpy.types.Keyframe:
    """The key ``index`` of an ID's curve number ``curve``."""
    return curves(owner.animation_data.action)[curve].keyframe_points[index]
