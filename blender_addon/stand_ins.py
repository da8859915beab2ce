"""Meshes that stand for splats where another engine renders: they catch the shadows of the scene's meshes and cast their own.

They are not seen. The table is a plane. The body is built anew in every frame from the points of the moving splats, by geometry nodes.
"""

from __future__ import annotations

import bpy
import numpy as np

from perpetua_protocol.cache import CacheMeta

COLLECTION = "Perpetua stand-ins"
KIND = "perpetua_stands_for"
"""Custom property of a stand-in: "table" or "body"."""
TREE = "Perpetua Body"
TABLE_IN_SCENES = 10.0
"""Half the table's side, in diagonals of the box around all that moves."""
SOLID_OPACITY = 0.5
"""Splats that are fainter are the shadows of the picture, or gas."""
VOXEL_IN_SPACINGS = 0.5
"""Of the grid that the body's surface is found on, in distances between particles."""
SMALLEST_IN_VOXELS = 1.5
"""Radius of a point: smaller ones fall between the grid's points, and a body within the splats' own edge leaves it the shadow
of what lies behind."""


def make(meshes: bpy.types.Scene, splats: bpy.types.Object, meta: CacheMeta) -> bpy.types.Collection:
    """The collection of a scene's stand-ins, with those that were missing. meshes: the scene in which other engines draw."""
    home = collection(meshes)
    if home is None:
        home = bpy.data.collections.new(COLLECTION)
        meshes.collection.children.link(home)
    kinds = {thing[KIND] for thing in home.objects}
    if "table" not in kinds:
        _add(home, "table", _table(meta))
    if "body" not in kinds:
        body = _add(home, "body", bpy.data.meshes.new("Perpetua body"))
        modifier = body.modifiers.new(TREE, "NODES")
        modifier.node_group = _tree(splats, VOXEL_IN_SPACINGS * meta.particle_spacing)
    return home


def remove(meshes: bpy.types.Scene) -> None:
    """Take the stand-ins out of a scene."""
    home = collection(meshes)
    if home is None:
        return
    for thing in list(home.objects):
        trees = [m.node_group for m in thing.modifiers if m.type == "NODES"]
        data = thing.data
        bpy.data.objects.remove(thing)
        bpy.data.meshes.remove(data)
        for tree in trees:
            bpy.data.node_groups.remove(tree)
    bpy.data.collections.remove(home)


def collection(meshes: bpy.types.Scene) -> bpy.types.Collection | None:
    """The collection of a scene's stand-ins."""
    return next((c for c in meshes.collection.children if c.name.split(".")[0] == COLLECTION), None)


def _add(home: bpy.types.Collection, kind: str, mesh: bpy.types.Mesh) -> bpy.types.Object:
    made = bpy.data.objects.new(f"Perpetua {kind}", mesh)
    home.objects.link(made)
    made[KIND] = kind
    made.is_shadow_catcher = True
    made.hide_select = True
    return made


def _table(meta: CacheMeta) -> bpy.types.Mesh:
    lower, upper = np.array(meta.lower), np.array(meta.upper)
    x, y, _ = (lower + upper) / 2
    half = TABLE_IN_SCENES * float(np.linalg.norm(upper - lower))
    mesh = bpy.data.meshes.new("Perpetua table")
    corners = [(x + a * half, y + b * half, 0.0) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    return mesh


def _tree(splats: bpy.types.Object, voxel: float) -> bpy.types.NodeTree:
    """Geometry nodes: the surface around the solid ones of ``splats``, each as large as its radius. voxel: m, of the grid."""
    tree = bpy.data.node_groups.new(TREE, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes, link = tree.nodes, tree.links.new
    cloud = nodes.new("GeometryNodeObjectInfo")
    cloud.transform_space = "RELATIVE"
    cloud.inputs["Object"].default_value = splats
    base, parts = nodes.new("GeometryNodeInputNamedAttribute"), nodes.new("FunctionNodeSeparateColor")
    base.data_type = "FLOAT_COLOR"
    base.inputs["Name"].default_value = "radiance:base"
    faint, solid = nodes.new("FunctionNodeCompare"), nodes.new("GeometryNodeDeleteGeometry")
    faint.operation, faint.inputs["B"].default_value = "LESS_THAN", SOLID_OPACITY
    radius, largest = nodes.new("GeometryNodeInputRadius"), nodes.new("ShaderNodeMath")
    largest.operation = "MAXIMUM"
    largest.inputs[1].default_value = SMALLEST_IN_VOXELS * voxel
    volume = nodes.new("GeometryNodePointsToVolume")
    if hasattr(volume, "resolution_mode"):
        volume.resolution_mode = "VOXEL_SIZE"
    else:  # an input from Blender 5.0 on
        volume.inputs["Resolution Mode"].default_value = "Size"
    volume.inputs["Voxel Size"].default_value = voxel
    surface = nodes.new("GeometryNodeVolumeToMesh")
    output = nodes.new("NodeGroupOutput")
    link(radius.outputs[0], largest.inputs[0])
    link(next(output for output in base.outputs if output.enabled), parts.inputs["Color"])
    link(parts.outputs["Alpha"], faint.inputs["A"])
    link(cloud.outputs["Geometry"], solid.inputs["Geometry"])
    link(faint.outputs["Result"], solid.inputs["Selection"])
    link(solid.outputs["Geometry"], volume.inputs["Points"])
    link(largest.outputs[0], volume.inputs["Radius"])
    link(volume.outputs["Volume"], surface.inputs["Volume"])
    link(surface.outputs["Mesh"], output.inputs["Geometry"])
    return tree
