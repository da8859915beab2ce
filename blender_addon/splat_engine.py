"""The render engine "Perpetua Splats": draws every point cloud that carries splat attributes, with F12 and in ``-b``.

Colours come out of the view transform "Standard" as the picture's own sRGB values. Meshes, lights and volumes are
not drawn.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import bpy
import gpu
import numpy as np

from . import session, splat_viewport
from .point_cloud import is_splats, read_attributes
from .splat_data import Floats, over, pack, to_linear
from .splat_layers import View, draw_layer, static_layer

ENGINE = "PERPETUA_SPLATS"
STATIC = "perpetua_static"
"""Custom property of a cloud's object: True for splats that never move, whose layer is kept between frames."""
EMPTY_DEPTH_M = 1e10
"""Depth pass where nothing was drawn, as in Blender's other engines."""


@dataclass(frozen=True)
class Cloud:
    """A point cloud's splats as read from the dependency graph, and its object-to-world matrix [4,4]."""

    attributes: dict[str, Floats]
    matrix: np.ndarray

    def packed(self) -> Floats:
        a = self.attributes
        return pack(a["position"], a["rotation"], a["scale"], a["radiance:base"], self.matrix)

    def digest(self, start: int) -> int:
        """A checksum of everything that decides how the cloud looks."""
        for values in (*self.attributes.values(), self.matrix):
            start = zlib.crc32(np.ascontiguousarray(values).data, start)
        return start


def gather(depsgraph: bpy.types.Depsgraph) -> tuple[list[Cloud], list[Cloud]]:
    """The visible splat clouds: those that stay and those that move."""
    staying: list[Cloud] = []
    moving: list[Cloud] = []
    for instance in depsgraph.object_instances:
        thing = instance.object
        if thing.type == "POINTCLOUD" and is_splats(thing.data):
            cloud = Cloud(read_attributes(thing.data), np.array(instance.matrix_world))
            (staying if thing.get(STATIC) else moving).append(cloud)
    return staying, moving


def together(clouds: list[Cloud]) -> Floats:
    """All splats of the clouds, packed [N,16]."""
    return np.concatenate([cloud.packed() for cloud in clouds] or [np.zeros((0, 16), np.float32)])


def draw(depsgraph: bpy.types.Depsgraph, view: View) -> tuple[Floats, Floats]:
    """The frame: linear colour times alpha [H,W,4] and depth [H,W] in m, first row at the bottom."""
    staying, moving = gather(depsgraph)
    digest = 0
    for cloud in staying:
        digest = cloud.digest(digest)
    back = static_layer(digest, view, lambda: together(staying))
    front = draw_layer(together(moving), view, back)
    depth = np.where(front.image[..., 3] > 0.5, front.depth, back.depth)
    return to_linear(over(front.image, back.image)), np.minimum(depth, EMPTY_DEPTH_M).astype(np.float32)


class PerpetuaSplatEngine(bpy.types.RenderEngine):
    """Renders the splats of the evaluated scene through its camera."""

    bl_idname = ENGINE
    bl_label = "Perpetua Splats"
    bl_use_gpu_context = True
    bl_use_preview = False
    bl_use_eevee_viewport = False

    def render(self, depsgraph: bpy.types.Depsgraph) -> None:
        scene = depsgraph.scene
        # an error report, unlike error_set, fails bpy.ops.render.render for stills and animations alike
        unplayable = session.current().unplayable.get(scene.session_uid)
        if unplayable is not None:
            self.report({"ERROR"}, unplayable)
            return
        if scene.camera is None:
            self.report({"ERROR"}, "The scene has no camera; choose one in the Perpetua tab's Cameras.")
            return
        width, height = full_size(scene.render)
        camera = scene.camera.evaluated_get(depsgraph)
        projection = camera.calc_matrix_camera(
            depsgraph,
            x=width,
            y=height,
            scale_x=scene.render.pixel_aspect_x,
            scale_y=scene.render.pixel_aspect_y,
        )
        view = View(camera.matrix_world.normalized().inverted(), projection, width, height)
        try:
            colour, depth = draw(depsgraph, view)
        except Exception as error:  # else Blender calls the render finished and writes an empty picture
            self.report({"ERROR"}, f"The splats could not be drawn: {error}")
            raise
        if not scene.render.film_transparent:
            colour = over(colour, backdrop(scene))
        rows, columns = border(scene.render, width, height)
        self._write(colour[rows, columns], depth[rows, columns])

    def _write(self, colour: Floats, depth: Floats) -> None:
        height, width = depth.shape
        result = self.begin_result(0, 0, width, height)
        passes = result.layers[0].passes
        passes["Combined"].rect.foreach_set(np.ascontiguousarray(colour).ravel())
        if "Depth" in passes:
            passes["Depth"].rect.foreach_set(np.ascontiguousarray(depth).ravel())
        self.end_result(result)

    def view_update(self, context: bpy.types.Context, depsgraph: bpy.types.Depsgraph) -> None:
        """The viewport draws from the scene as it stands, so there is nothing to prepare."""

    def view_draw(self, context: bpy.types.Context, depsgraph: bpy.types.Depsgraph) -> None:
        framebuffer = gpu.state.active_framebuffer_get()
        framebuffer.clear(color=(*backdrop(depsgraph.scene)[:3], 1.0))
        splat_viewport.draw_scene(context)


def backdrop(scene: bpy.types.Scene) -> Floats:
    """[4] linear colour behind the splats: the world's."""
    colour = scene.world.color if scene.world else (0.0, 0.0, 0.0)
    return np.array((*colour, 1.0), np.float32)


def full_size(render: bpy.types.RenderSettings) -> tuple[int, int]:
    """Width and height of the whole picture, pixels."""
    scale = render.resolution_percentage / 100
    return max(1, int(render.resolution_x * scale)), max(1, int(render.resolution_y * scale))


def border(render: bpy.types.RenderSettings, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns that Blender expects back: all, or the render region's when it crops to it."""
    if not (render.use_border and render.use_crop_to_border):
        return slice(0, height), slice(0, width)
    return (
        slice(int(render.border_min_y * height), int(render.border_max_y * height)),
        slice(int(render.border_min_x * width), int(render.border_max_x * width)),
    )
