"""A Blender mesh as the solid thing of a collider: its triangles in its own axes, with its scale and modifiers in them."""

from __future__ import annotations

from functools import lru_cache

import bpy
import numpy as np

from perpetua_protocol.take import Mesh

from .errors import AddonError

MOST_TRIANGLES = 20_000
"""The mesh travels with every round; finer ones cost time and nobody sees them on a grid of millimetres."""
DIGITS = 6
"""Vertices are rounded to a micrometre, so that an unchanged mesh stays the same mesh while it is moved and turned."""


def read(carrier: bpy.types.Object) -> Mesh:
    """The evaluated object's mesh [m], turned and moved by nothing: a collider's location and rotation do that.

    Raises ``AddonError`` when it is no mesh, has no faces, too many, or is sheared.
    """
    if carrier.type != "MESH":
        raise AddonError(f"'{carrier.name}' is not a mesh; a collider needs one (Object > Convert > Mesh).")
    data = carrier.to_mesh()
    try:
        data.calc_loop_triangles()
        count = len(data.loop_triangles)
        if count < 4:
            raise AddonError(
                f"'{carrier.name}' has no solid shape ({count} triangles); give it faces all round."
            )
        if count > MOST_TRIANGLES:
            raise AddonError(
                f"'{carrier.name}' has {count} triangles, more than a collider may ({MOST_TRIANGLES}); "
                "add a Decimate modifier."
            )
        corners = np.empty(len(data.vertices) * 3, np.float32)
        data.vertices.foreach_get("co", corners)
        triangles = np.empty(count * 3, np.int32)
        data.loop_triangles.foreach_get("vertices", triangles)
    finally:
        carrier.to_mesh_clear()
    stretch, mirrored = _stretch(carrier)
    vertices = np.round(corners.reshape(-1, 3) @ stretch.T, DIGITS) + 0.0  # no -0
    faces = triangles.reshape(-1, 3)[:, ::-1] if mirrored else triangles.reshape(-1, 3)
    return _mesh(np.ascontiguousarray(vertices).tobytes(), np.ascontiguousarray(faces).tobytes())


@lru_cache(maxsize=8)
def _mesh(vertices: bytes, faces: bytes) -> Mesh:
    """The mesh of float64 vertices and int32 faces; made once, because it is read in every frame."""
    corners = np.frombuffer(vertices, np.float64).reshape(-1, 3)
    triangles = np.frombuffer(faces, np.int32).reshape(-1, 3)
    return Mesh(tuple(map(tuple, corners.tolist())), tuple(map(tuple, triangles.tolist())))


def _stretch(carrier: bpy.types.Object) -> tuple[np.ndarray, bool]:
    """What of its matrix is neither place nor rotation, [3,3], and whether it turns the mesh inside out."""
    linear = np.array(carrier.matrix_world.to_3x3(), np.float64)
    turned = np.array(carrier.matrix_world.to_quaternion().to_matrix(), np.float64)
    stretch = turned.T @ linear
    largest = np.abs(stretch).max()
    if np.abs(stretch - np.diag(np.diag(stretch))).max() > 1e-4 * largest:
        raise AddonError(
            f"'{carrier.name}' is sheared by its parents; apply its scale (Ctrl A) or unparent it, so that it stays rigid."
        )
    return np.diag(np.round(np.diag(stretch), DIGITS)), bool(np.linalg.det(stretch) < 0)
