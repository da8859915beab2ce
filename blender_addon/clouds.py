"""Which objects of a scene are its clouds of splats.

They carry their role themselves and the scene keeps only names: a pointer in the scene's settings would put the hidden clouds into
its dependency graph, which then copies every frame of them (12 ms of 16 for a million splats).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import bpy

Role = Literal["splats", "background", "compared"]
ROLE = "perpetua_role"
"""Custom property of a cloud's object."""
STANDS_FOR = "perpetua_stands_for"
"""Custom property of a cloud that plays for one of another file: which (``visitors``)."""


def find(scene: bpy.types.Scene, name: str, role: Role) -> bpy.types.Object | None:
    """The scene's cloud of a role. name: what it was called when it was made; empty when there is none."""
    if not name:
        return None
    found = scene.objects.get(name)
    if found is None or not _is_own(found, role):  # somebody gave it another name
        found = next((thing for thing in scene.objects if _is_own(thing, role)), None)
    return found


def _is_own(thing: bpy.types.Object, role: Role) -> bool:
    """Whether an object has a role by itself, and does not stand for a cloud of another file (``visitors``)."""
    return thing.get(ROLE) == role and not thing.get(STANDS_FOR) and thing.data.library is None


def mark(cloud: bpy.types.Object | None, role: Role) -> str:
    """Give an object a role. Returns the name to keep."""
    if cloud is None:
        return ""
    cloud[ROLE] = role
    return str(cloud.name)


def is_shown(cloud: bpy.types.Object, layer: bpy.types.ViewLayer) -> bool:
    """Whether a view layer shows a collection that holds the cloud. The cloud itself is hidden while the add-on draws it."""
    root = layer.layer_collection
    return any(
        cloud.name in found.collection.objects and found.is_visible and not found.exclude
        for found in (root, *below(root))
    )


def below(parent: bpy.types.LayerCollection) -> Iterator[bpy.types.LayerCollection]:
    """All collections in one of a view layer, each before those in it."""
    for child in parent.children:
        yield child
        yield from below(child)
