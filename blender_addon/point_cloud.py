"""Point clouds that carry splats: made, written and read with the attribute names of Blender 5.3's native splats."""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_TYPES = {item.identifier for item in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items}

KEYS = {"FLOAT_VECTOR": "vector", "QUATERNION": "value", "FLOAT4": "vector", "FLOAT_COLOR": "color"}
"""Data type: what ``foreach_get`` and ``foreach_set`` call its numbers."""

# name: (data types it may have, the first this Blender knows is made; numbers a point)
LAYOUT: dict[str, tuple[tuple[str, ...], int]] = {
    "position": (("FLOAT_VECTOR",), 3),
    "rotation": (("QUATERNION",), 4),
    "scale": (("FLOAT_VECTOR",), 3),
    # FLOAT_COLOR keeps four floats as they are where Blender has no FLOAT4 (4.5)
    "radiance:base": (("FLOAT4", "FLOAT_COLOR"), 4),
}
STATIC = "perpetua_static"
"""Custom property of a cloud's object: True for splats that never move, whose layer is kept between frames."""
RADIUS_IN_SCALES = 2.0
"""Radius of the plain point Blender shows for a splat, in mean standard deviations."""


def new_cloud(name: str, count: int, collection: bpy.types.Collection) -> bpy.types.Object:
    """An object in ``collection`` with ``count`` points and empty splat attributes."""
    made = _resized(name, count) if hasattr(bpy.types.PointCloud, "resize") else _converted(name, count)
    collection.objects.link(made)
    for attribute, (kinds, _) in LAYOUT.items():
        if attribute not in made.data.attributes:
            kind = next(kind for kind in kinds if kind in _TYPES)
            made.data.attributes.new(attribute, kind, "POINT")
    if "radius" not in made.data.attributes:
        made.data.attributes.new("radius", "FLOAT", "POINT")
    return made


def _resized(name: str, count: int) -> bpy.types.Object:
    data = bpy.data.pointclouds.new(name)
    data.resize(count)
    return bpy.data.objects.new(name, data)


def _converted(name: str, count: int) -> bpy.types.Object:
    """Blender 4.5 cannot resize a point cloud; converting a mesh is its only way to make one with points.

    It happens in a scene of its own, because the operator refuses while the artist's scene is in Edit Mode.
    """
    vertices = bpy.data.meshes.new(name)
    vertices.vertices.add(count)
    made = bpy.data.objects.new(name, vertices)
    workshop = bpy.data.scenes.new(name)
    workshop.collection.objects.link(made)
    layer = workshop.view_layers[0]
    with bpy.context.temp_override(
        scene=workshop,
        view_layer=layer,
        active_object=made,
        object=made,
        edit_object=None,
        selected_objects=[made],
        selected_editable_objects=[made],
    ):
        bpy.ops.object.convert(target="POINTCLOUD")
    bpy.data.scenes.remove(workshop)
    if vertices.users == 0:
        bpy.data.meshes.remove(vertices)
    return made


def resize(cloud: bpy.types.Object, count: int) -> None:
    """Give ``cloud`` another number of points; its attributes are empty afterwards."""
    if len(cloud.data.points) == count:
        return
    fresh = new_cloud(cloud.data.name, count, bpy.context.scene.collection)
    old, cloud.data = cloud.data, fresh.data
    bpy.data.objects.remove(fresh)
    if old.users == 0:
        bpy.data.pointclouds.remove(old)


def write_attributes(cloud: bpy.types.Object, values: dict[str, Floats]) -> None:
    """Set attributes of an object's points from arrays [N, width] named as in ``LAYOUT``."""
    attributes = cloud.data.attributes
    for name, array in values.items():
        attribute = attributes[name]
        flat = np.ascontiguousarray(array, np.float32).reshape(-1)
        attribute.data.foreach_set(KEYS[attribute.data_type], flat)
    cloud.data.update_tag()


def write_radius(cloud: bpy.types.Object, scale: Floats) -> None:
    """Set the plain points' radius from the splats' scales [N,3], m."""
    radius = np.asarray(scale) @ np.full(3, RADIUS_IN_SCALES / 3, np.float32)
    cloud.data.attributes["radius"].data.foreach_set("value", radius)


def read_attributes(data: bpy.types.PointCloud) -> dict[str, Floats]:
    """The splat attributes of a point cloud, each [N, width]."""
    count = len(data.points)
    values: dict[str, Floats] = {}
    for name, (_, width) in LAYOUT.items():
        flat = np.empty(count * width, np.float32)
        attribute = data.attributes[name]
        attribute.data.foreach_get(KEYS[attribute.data_type], flat)
        values[name] = flat.reshape(count, width)
    return values


def is_splats(data: bpy.types.PointCloud) -> bool:
    """Whether a point cloud has every attribute a splat needs, of the type that ``LAYOUT`` names."""
    attributes = data.attributes
    return all(
        name in attributes and attributes[name].data_type in kinds for name, (kinds, _) in LAYOUT.items()
    )
