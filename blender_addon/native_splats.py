"""Blender's own Gaussian splats: from 5.3 on a type of point cloud, with attributes that this add-on writes in every Blender.

Blender then draws and renders them itself, in the viewport, EEVEE and Cycles. They know no ``perpetua_turn``: what depends on the view is
written as it is in each frame.
"""

from __future__ import annotations

import bpy

TYPE = "GAUSSIAN_SPLAT"


def known() -> bool:
    """Whether this Blender has them."""
    kind = bpy.types.PointCloud.bl_rna.properties.get("type")
    return kind is not None and TYPE in kind.enum_items


def show_as(data: bpy.types.PointCloud, splats: bool) -> None:
    """Let Blender take a point cloud for splats, or for points again. Without a meaning in a Blender that does not know them."""
    if known():
        data.type = TYPE if splats else bpy.types.PointCloud.bl_rna.properties["type"].default
