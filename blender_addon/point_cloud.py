"""Point clouds that carry splats: made, written and read with the attribute names of Blender 5.3's native splats."""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from .sheen import DEGREES

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
SHEEN = "radiance:sh_"
"""How the names of the attributes begin that hold coefficients above degree 0, one each, FLOAT_VECTOR: ``radiance:sh_0`` and on."""
TURN = "perpetua_turn"
"""QUATERNION attribute beside those: how a splat's matter has turned since."""
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


def write_sheen(cloud: bpy.types.Object, coefficients: Floats | None) -> None:
    """Set what the colours of an object's points depend on the view by: [N, K, 3], or nothing."""
    attributes = cloud.data.attributes
    names = [f"{SHEEN}{k}" for k in range(0 if coefficients is None else coefficients.shape[1])]
    for name in [a.name for a in attributes if a.name.startswith(SHEEN) and a.name not in names]:
        attributes.remove(attributes[name])
    for name in names:
        if name not in attributes:
            attributes.new(name, "FLOAT_VECTOR", "POINT")
    if names and TURN not in attributes:
        attributes.new(TURN, "QUATERNION", "POINT")
        write_turns(cloud, np.tile(np.float32([1, 0, 0, 0]), (len(cloud.data.points), 1)))
    elif not names and TURN in attributes:
        attributes.remove(attributes[TURN])
    for k, name in enumerate(names):
        attributes[name].data.foreach_set("vector", np.ascontiguousarray(coefficients[:, k]).reshape(-1))


def write_turns(cloud: bpy.types.Object, turns: Floats) -> None:
    """Set how the matter of an object's points has turned: [N, 4] wxyz."""
    cloud.data.attributes[TURN].data.foreach_set("value", np.ascontiguousarray(turns).reshape(-1))


def read_sheen(data: bpy.types.PointCloud) -> Floats | None:
    """What the colours of a point cloud's splats depend on the view by, [N, K, 3] of whole degrees; None where they do not."""
    attributes, count = data.attributes, len(data.points)
    there = 0
    while there < 15 and f"{SHEEN}{there}" in attributes:
        there += 1
    whole = max((k for k in DEGREES if k <= there), default=0)
    if not whole:
        return None
    coefficients = np.empty((count, whole, 3), np.float32)
    flat = np.empty(count * 3, np.float32)
    for k in range(whole):
        attributes[f"{SHEEN}{k}"].data.foreach_get("vector", flat)
        coefficients[:, k] = flat.reshape(count, 3)
    return coefficients


def read_turns(data: bpy.types.PointCloud) -> Floats | None:
    """How the matter of a point cloud's splats has turned, [N, 4] wxyz; None where that is not known."""
    if TURN not in data.attributes:
        return None
    flat = np.empty(len(data.points) * 4, np.float32)
    data.attributes[TURN].data.foreach_get("value", flat)
    return flat.reshape(-1, 4)
