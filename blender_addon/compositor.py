"""The compositor's nodes that lay splats over meshes over splats, and shadows on the splats.

Nodes of ours carry their role (``ROLE``), so that they can be taken out again; whatever took the scene's picture before takes the
joined one, also in an artist's own compositor.
"""

from __future__ import annotations

import bpy

from .errors import AddonError
from .splat_engine import BEHIND

LAYERS = "CompositorNodeRLayers"
ROLE = "perpetua"
"""Custom property of a node that is ours, and "splats" of the scene's own layers."""


def check(scene: bpy.types.Scene) -> None:
    """Raises ``AddonError`` when the scene has a compositor that does not show it."""
    tree = tree_of(scene)
    if tree is not None:
        _layer_of(tree, scene)


def join(scene: bpy.types.Scene, meshes: bpy.types.Scene, drawn: str, shadows: str) -> None:
    """Lay the splats of ``scene`` over and under the layer ``drawn`` of ``meshes``, darkened by its layer ``shadows`` (empty: none).

    Raises ``AddonError`` when the scene's compositor does not show the scene.
    """
    tree = tree_of(scene) or new_tree(scene)
    splats = _layer_of(tree, scene)
    splats[ROLE] = "splats"
    splats.layer = splats.layer  # it looks again which passes the engine has
    picture = splats.outputs["Image"]
    takers = [link.to_socket for link in picture.links]
    front, back = picture, splats.outputs[BEHIND]
    if shadows:
        dark = _new(tree, LAYERS, "shadows", (0, -800), splats)
        dark.scene, dark.layer, dark.label = meshes, shadows, "Shadows"
        front = _darkened(tree, front, dark.outputs["Image"], "front", splats)
        back = _darkened(tree, back, dark.outputs["Image"], "back", splats)
    seen = _new(tree, LAYERS, "meshes", (0, -400), splats)
    seen.scene, seen.layer, seen.label = meshes, drawn, "Meshes"
    below = _over(tree, seen.outputs["Image"], back, "below", (900, -200), splats)
    above = _over(tree, front, below.outputs["Image"], "above", (1150, 0), splats)
    for socket in takers:
        tree.links.new(above.outputs["Image"], socket)


def part(scene: bpy.types.Scene) -> None:
    """Take out what ``join`` put in; the scene's picture goes where the joined one went."""
    tree = tree_of(scene)
    roles = {node[ROLE]: node for node in tree.nodes if node.get(ROLE)} if tree is not None else {}
    if "above" in roles and "splats" in roles:
        for socket in [link.to_socket for link in roles["above"].outputs["Image"].links]:
            tree.links.new(roles["splats"].outputs["Image"], socket)
    for role, node in roles.items():
        if role == "splats":
            del node[ROLE]
        else:
            tree.nodes.remove(node)


def own(made: bpy.types.Scene, copied_from: bpy.types.Scene) -> None:
    """Give a copied scene a compositor of its own that shows it."""
    tree = tree_of(made)
    if tree is None:
        return
    if hasattr(made, "compositing_node_group"):
        tree = made.compositing_node_group = tree.copy()
    for node in tree.nodes:
        if node.bl_idname == LAYERS and node.scene == copied_from:
            node.scene = made


def tree_of(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """The scene's compositor, if it has one that is switched on."""
    if hasattr(scene, "compositing_node_group"):  # from Blender 5.0 on
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def new_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """A compositor that hands the scene's picture on."""
    if hasattr(scene, "compositing_node_group"):
        tree = bpy.data.node_groups.new(f"{scene.name} compositing", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        scene.compositing_node_group = tree
        output = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        output = tree.nodes.new("CompositorNodeComposite")
    layers = tree.nodes.new(LAYERS)
    layers.scene = scene
    tree.links.new(layers.outputs["Image"], output.inputs["Image"])
    output.location = (1450, 0)
    return tree


def _layer_of(tree: bpy.types.NodeTree, scene: bpy.types.Scene) -> bpy.types.Node:
    for node in tree.nodes:
        if node.bl_idname == LAYERS and node.scene == scene:
            return node
    raise AddonError(
        f"The compositor of '{scene.name}' has no Render Layers node of its scene; add one, or switch the compositor off."
    )


def _darkened(
    tree: bpy.types.NodeTree,
    splats: bpy.types.NodeSocket,
    shadows: bpy.types.NodeSocket,
    role: str,
    beside: bpy.types.Node,
) -> bpy.types.NodeSocket:
    """Splats with shadows over their colour; how much they cover stays."""
    y = 0 if role == "front" else -400
    dark = _over(tree, shadows, splats, f"{role} in shadow", (350, y), beside)
    alpha = _new(tree, "CompositorNodeSeparateColor", f"{role} alpha", (350, y - 180), beside)
    kept = _new(tree, "CompositorNodeSetAlpha", f"{role} as it covers", (600, y), beside)
    if hasattr(kept, "mode"):
        kept.mode = "REPLACE_ALPHA"
    else:  # an input from Blender 5.0 on
        kept.inputs["Type"].default_value = "Replace Alpha"
    tree.links.new(splats, alpha.inputs[0])
    tree.links.new(dark.outputs["Image"], kept.inputs["Image"])
    tree.links.new(alpha.outputs["Alpha"], kept.inputs["Alpha"])
    return kept.outputs["Image"]


def _over(
    tree: bpy.types.NodeTree,
    above: bpy.types.NodeSocket,
    below: bpy.types.NodeSocket,
    role: str,
    place: tuple[float, float],
    beside: bpy.types.Node,
) -> bpy.types.Node:
    node = _new(tree, "CompositorNodeAlphaOver", role, place, beside)
    images = [socket for socket in node.inputs if socket.type == "RGBA"]  # what lies below, then above
    tree.links.new(below, images[0])
    tree.links.new(above, images[1])
    return node


def _new(
    tree: bpy.types.NodeTree, kind: str, role: str, place: tuple[float, float], beside: bpy.types.Node
) -> bpy.types.Node:
    node = tree.nodes.new(kind)
    node[ROLE] = role
    node.location = (beside.location.x + place[0], beside.location.y + place[1])
    return node
