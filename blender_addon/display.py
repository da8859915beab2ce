"""How a take is shown: as splats (drawn by the add-on, or by Blender where it knows splats), or as Blender's points or ellipsoids.

Points and ellipsoids are ordinary geometry, so Cycles and EEVEE render them too. Their colours come from the attribute
``perpetua_colour``, which is written only while they are shown.
"""

from __future__ import annotations

import bpy
import numpy as np

from . import native_splats
from .point_cloud import Floats, read_attributes, write_radius
from .splat_data import SH_C0, srgb_to_linear
from .splat_shader import SOLID_OPACITY

COLOUR = "perpetua_colour"
"""Scene-linear colour and opacity of a splat, FLOAT_COLOR."""
POINT_MATERIAL, ELLIPSOID_MATERIAL = "Perpetua points", "Perpetua ellipsoids"
TREES = {"POINTS": "Perpetua Points", "ELLIPSOIDS": "Perpetua Ellipsoids"}
"""Geometry nodes, and the modifiers with them, by how a take is shown."""
NATIVE = "NATIVE"
"""How Blender's own splats are called among the displays."""
ITEMS = (
    ("SPLATS", "Splats", "As they will be rendered: soft, sorted, in the picture's colours", 0),
    ("POINTS", "Points", "Blender's own points: quick, and seen by Cycles and EEVEE", 1),
    (
        "ELLIPSOIDS",
        "Ellipsoids",
        "Ellipsoids in the splats' sizes and colours, seen by Cycles and EEVEE",
        2,
    ),
)
NATIVE_ITEM = (NATIVE, "Blender's Splats", "Drawn by Blender itself, and rendered by Cycles and EEVEE", 3)
ALL_ITEMS = (*ITEMS, NATIVE_ITEM)
ELLIPSOID_RADIUS = 1.6
"""Standard deviations: about where a dense splat looks solid."""


def items(_settings: object = None, _context: object = None) -> tuple[tuple[str, str, str, int], ...]:
    """The displays that this Blender has, for a property."""
    return ALL_ITEMS if native_splats.known() else ITEMS


def known_one(settings: bpy.types.PropertyGroup) -> None:
    """A file of a Blender that has its own splats opens where there are none: the add-on draws them."""
    if not settings.display:
        settings.display = "SPLATS"


def apply(scene: bpy.types.Scene) -> None:
    """Show the scene's clouds as its settings say."""
    settings = scene.perpetua
    for cloud, shown in (
        (settings.background, settings.show_background),
        (settings.splats, settings.show_splats),
        (settings.compared_splats, settings.show_splats),
    ):
        if cloud is None or cloud.type != "POINTCLOUD":
            continue
        splats, bodies = settings.display == "SPLATS", settings.display in TREES
        cloud.display_type = "BOUNDS" if splats else "TEXTURED"
        # as splats their outlines would only be in the way: the add-on draws them all the same
        cloud.hide_viewport = splats or not shown
        _set_nodes(cloud, settings.display)
        native_splats.show_as(cloud.data, settings.display == NATIVE)
        if settings.display == NATIVE:
            cloud.data.materials.clear()  # that of points
        if bodies:
            write_radius(cloud, read_attributes(cloud.data)["scale"])
            write_colour(cloud)
            _set_material(cloud)


def write_colour(cloud: bpy.types.Object) -> None:
    """Write ``perpetua_colour`` from the cloud's ``radiance:base``."""
    attributes = cloud.data.attributes
    source = attributes["radiance:base"]
    radiance = np.empty(len(cloud.data.points) * 4, np.float32)
    source.data.foreach_get("color" if source.data_type == "FLOAT_COLOR" else "vector", radiance)
    if COLOUR not in attributes:
        attributes.new(COLOUR, "FLOAT_COLOR", "POINT")
    attributes[COLOUR].data.foreach_set("color", linear_colour(radiance.reshape(-1, 4)).ravel())


def linear_colour(radiance: Floats) -> Floats:
    """Radiance [N,4] (SH coefficients, opacity) -> scene-linear colour and opacity [N,4]."""
    colour = np.ascontiguousarray(radiance, np.float32).copy()
    colour[:, :3] = srgb_to_linear(np.clip(0.5 + SH_C0 * radiance[:, :3], 0.0, 1.0))
    return colour


def _set_material(cloud: bpy.types.Object) -> None:
    material = _material(POINT_MATERIAL, "GEOMETRY")
    if not cloud.data.materials:
        cloud.data.materials.append(material)


def _set_nodes(cloud: bpy.types.Object, shown_as: str) -> None:
    for display, name in TREES.items():
        modifier = cloud.modifiers.get(name)
        if display == shown_as and modifier is None:
            modifier = cloud.modifiers.new(name, "NODES")
            modifier.node_group = bpy.data.node_groups.get(name) or _tree(display)
        elif display != shown_as and modifier is not None:
            cloud.modifiers.remove(modifier)


def _material(name: str, where: str) -> bpy.types.Material:
    """A material that shines in a splat's colour with its opacity. where: of the geometry, or of the instancer."""
    found = bpy.data.materials.get(name)
    if found is not None:
        return found
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, link = made.node_tree.nodes, made.node_tree.links.new
    nodes.clear()
    attribute = nodes.new("ShaderNodeAttribute")
    attribute.attribute_name, attribute.attribute_type = COLOUR, where
    emission, clear = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeBsdfTransparent")
    mix, output = nodes.new("ShaderNodeMixShader"), nodes.new("ShaderNodeOutputMaterial")
    link(attribute.outputs["Color"], emission.inputs["Color"])
    link(attribute.outputs["Alpha"], mix.inputs[0])
    link(clear.outputs[0], mix.inputs[1])
    link(emission.outputs[0], mix.inputs[2])
    link(mix.outputs[0], output.inputs["Surface"])
    return made


def _tree(display: str) -> bpy.types.NodeTree:
    """Geometry nodes that make bodies of splats; in the viewport only of those that are no gas and no shadow.

    Solid shading knows no clear bodies: they would lie before the table, and it is seen through them in a render.
    """
    tree = bpy.data.node_groups.new(TREES[display], "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes, link = tree.nodes, tree.links.new
    points, output = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
    colour, parts = nodes.new("GeometryNodeInputNamedAttribute"), nodes.new("FunctionNodeSeparateColor")
    colour.data_type = "FLOAT_COLOR"
    colour.inputs["Name"].default_value = COLOUR
    faint, left_out = nodes.new("FunctionNodeCompare"), nodes.new("FunctionNodeBooleanMath")
    faint.operation, faint.inputs["B"].default_value = "LESS_THAN", SOLID_OPACITY
    solid = nodes.new("GeometryNodeDeleteGeometry")
    link(next(output for output in colour.outputs if output.enabled), parts.inputs["Color"])
    link(parts.outputs["Alpha"], faint.inputs["A"])
    link(faint.outputs["Result"], left_out.inputs[0])
    link(nodes.new("GeometryNodeIsViewport").outputs[0], left_out.inputs[1])
    link(points.outputs["Geometry"], solid.inputs["Geometry"])
    link(left_out.outputs[0], solid.inputs["Selection"])
    made = solid.outputs["Geometry"]
    if display == "ELLIPSOIDS":
        made = _ellipsoids(tree, made)
    link(made, output.inputs["Geometry"])
    return tree


def _ellipsoids(tree: bpy.types.NodeTree, points: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """A sphere at every point, turned and stretched as the splat is."""
    nodes, link = tree.nodes, tree.links.new
    ball = nodes.new("GeometryNodeMeshIcoSphere")
    ball.inputs["Radius"].default_value = ELLIPSOID_RADIUS
    ball.inputs["Subdivisions"].default_value = 2
    material = nodes.new("GeometryNodeSetMaterial")
    material.inputs["Material"].default_value = _material(ELLIPSOID_MATERIAL, "INSTANCER")
    instances = nodes.new("GeometryNodeInstanceOnPoints")
    link(points, instances.inputs["Points"])
    link(ball.outputs["Mesh"], material.inputs["Geometry"])
    link(material.outputs["Geometry"], instances.inputs["Instance"])
    for name, kind, socket in (("scale", "FLOAT_VECTOR", "Scale"), ("rotation", "QUATERNION", "Rotation")):
        attribute = nodes.new("GeometryNodeInputNamedAttribute")
        attribute.data_type = kind
        attribute.inputs["Name"].default_value = name
        value = next(output for output in attribute.outputs if output.enabled)
        link(value, instances.inputs[socket])
    return instances.outputs["Instances"]
