"""The render engine "Perpetua Splats": draws every point cloud that carries splat attributes, with F12 and in ``-b``.

Colours come out of the view transform "Standard" as the picture's own sRGB values. Meshes, lights and volumes are
not drawn. Where another engine draws them (``mesh_scene``) the splats are split at the meshes: what lies before them is the picture,
and what lies behind is a pass of its own, so that  picture over meshes over "Behind"  is the whole scene.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import bpy
import gpu
import numpy as np

from . import mesh_depth, session, splat_viewport, visitors
from .point_cloud import STATIC, is_splats, read_attributes, read_sheen, read_turns
from .sheen import Splats, joined, with_sheen
from .splat_data import Floats, over, pack, to_linear
from .splat_layers import Layer, View, draw_layer, static_layer

ENGINE = "PERPETUA_SPLATS"
BEHIND = "Behind"
"""The pass of the splats that lie behind meshes."""
EMPTY_DEPTH_M = 1e10
"""Depth pass where nothing was drawn, as in Blender's other engines."""


@dataclass(frozen=True)
class Cloud:
    """A point cloud's splats as read from the dependency graph, and its object-to-world matrix [4,4].

    sheen: coefficients and turns of colours that depend on the view (``Sheen``), None where they do not."""

    attributes: dict[str, Floats]
    matrix: np.ndarray
    sheen: tuple[Floats, Floats | None] | None = None

    def splats(self) -> Splats:
        a = self.attributes
        packed = pack(a["position"], a["rotation"], a["scale"], a["radiance:base"], self.matrix)
        return Splats(packed) if self.sheen is None else with_sheen(packed, *self.sheen, self.matrix)

    def digest(self, start: int) -> int:
        """A checksum of everything that decides how the cloud looks."""
        more = [values for values in self.sheen or () if values is not None]
        for values in (*self.attributes.values(), self.matrix, *more):
            start = zlib.crc32(np.ascontiguousarray(values).data, start)
        return start


def gather(depsgraph: bpy.types.Depsgraph) -> tuple[list[Cloud], list[Cloud]]:
    """The visible splat clouds: those that stay and those that move."""
    staying: list[Cloud] = []
    moving: list[Cloud] = []
    for instance in depsgraph.object_instances:
        thing = instance.object
        if thing.type != "POINTCLOUD" or visitors.is_replaced(thing.original):
            continue
        if is_splats(thing.data):
            coefficients = read_sheen(thing.data)
            sheen = None if coefficients is None else (coefficients, read_turns(thing.data))
            cloud = Cloud(read_attributes(thing.data), np.array(instance.matrix_world), sheen)
            (staying if thing.get(STATIC) else moving).append(cloud)
    return staying, moving


def together(clouds: list[Cloud]) -> Splats:
    """All splats of the clouds."""
    return joined([cloud.splats() for cloud in clouds])


@dataclass(frozen=True)
class Frame:
    """A picture: linear colour times alpha [H,W,4], and depth [H,W] m; first row at the bottom.

    behind: the same as colour, of what lies behind meshes, in a picture that is split at them.
    """

    colour: Floats
    depth: Floats
    behind: Floats | None = None


def draw(depsgraph: bpy.types.Depsgraph, view: View, split: bool = False) -> Frame:
    """Draw the scene's splats. split: at the scene's meshes."""
    staying, moving = gather(depsgraph)
    digest = 0
    for cloud in staying:
        digest = cloud.digest(digest)
    back = static_layer(digest, view, lambda: together(staying))
    drawn = together(moving)
    front = draw_layer(drawn, view, back)
    depth = np.where(front.image[..., 3] > 0.5, front.depth, back.depth)
    depth = np.minimum(depth, EMPTY_DEPTH_M).astype(np.float32)
    if not split:
        return Frame(to_linear(over(front.image, back.image)), depth)
    meshes = mesh_depth.draw_meshes(depsgraph, view)
    if not np.isfinite(meshes).any():
        colour = to_linear(over(front.image, back.image))
        return Frame(colour, depth, np.zeros_like(colour))
    return Frame(
        _side(1, digest, view, staying, drawn, back, meshes),
        depth,
        _side(-1, digest, view, staying, drawn, back, meshes),
    )


def _side(
    side: int, digest: int, view: View, staying: list[Cloud], moving: Splats, back: Layer, meshes: Floats
) -> Floats:
    """What lies before (1) or behind (-1) the meshes. digest, back: of all that stays."""
    own = zlib.crc32(np.float32(side).tobytes(), zlib.crc32(meshes.data, digest))
    still = static_layer(own, view, lambda: together(staying), meshes, side)
    return to_linear(over(draw_layer(moving, view, back, meshes, side).image, still.image))


class PerpetuaSplatEngine(bpy.types.RenderEngine):
    """Renders the splats of the evaluated scene through its camera."""

    bl_idname = ENGINE
    bl_label = "Perpetua Splats"
    bl_use_gpu_context = True
    bl_use_preview = False
    bl_use_eevee_viewport = False

    def update_render_passes(self, scene: bpy.types.Scene, renderlayer: bpy.types.ViewLayer) -> None:
        """What the compositor can ask of a layer."""
        self.register_pass(scene, renderlayer, "Combined", 4, "RGBA", "COLOR")
        if renderlayer.use_pass_z:
            self.register_pass(scene, renderlayer, "Depth", 1, "Z", "VALUE")
        if scene.perpetua.mesh_scene is not None:
            self.register_pass(scene, renderlayer, BEHIND, 4, "RGBA", "COLOR")

    def render(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Render one view layer, for both eyes where the scene has two."""
        refused = _refusal(depsgraph.scene)
        if (
            refused
        ):  # an error report, unlike error_set, fails bpy.ops.render.render for stills and animations alike
            self.report({"ERROR"}, refused)
            return
        try:
            self._render(depsgraph)
        except Exception as error:  # else Blender calls the render finished and writes an empty picture
            self.report({"ERROR"}, f"The splats could not be drawn: {error}")
            raise

    def _render(self, depsgraph: bpy.types.Depsgraph) -> None:
        scene, layer = depsgraph.scene, depsgraph.view_layer_eval.name
        width, height = full_size(scene.render)
        rows, columns = border(scene.render, width, height)
        split = scene.perpetua.mesh_scene is not None
        if split:
            self.add_pass(BEHIND, 4, "RGBA", layer=layer)
        result = self.begin_result(0, 0, columns.stop - columns.start, rows.stop - rows.start, layer=layer)
        for seen in result.views:  # one, or one for each eye
            self.active_view_set(seen.name)
            frame = draw(depsgraph, self._view(depsgraph, width, height), split)
            if not scene.render.film_transparent:
                frame = on_backdrop(frame, scene)
            passes = result.layers[0].passes
            for name, pixels in (("Combined", frame.colour), ("Depth", frame.depth), (BEHIND, frame.behind)):
                wanted = passes.find_by_name(name, seen.name)
                if pixels is not None and wanted is not None:
                    wanted.rect.foreach_set(np.ascontiguousarray(pixels[rows, columns]).ravel())
        self.end_result(result)

    def _view(self, depsgraph: bpy.types.Depsgraph, width: int, height: int) -> View:
        """The scene's camera, as the active eye has it."""
        scene = depsgraph.scene
        camera = scene.camera.evaluated_get(depsgraph)
        projection = camera.calc_matrix_camera(
            depsgraph,
            x=width,
            y=height,
            scale_x=scene.render.pixel_aspect_x,
            scale_y=scene.render.pixel_aspect_y,
        )
        matrix = camera.matrix_world
        if scene.render.use_multiview:
            matrix = self.camera_model_matrix(scene.camera)
            more = self.camera_shift_x(scene.camera) - camera.data.shift_x
            projection[0][2] += 2.0 * more * _shift_unit(camera.data, scene.render)
        return View(matrix.normalized().inverted(), projection, width, height)

    def view_update(self, context: bpy.types.Context, depsgraph: bpy.types.Depsgraph) -> None:
        """The viewport draws from the scene as it stands, so there is nothing to prepare."""

    def view_draw(self, context: bpy.types.Context, depsgraph: bpy.types.Depsgraph) -> None:
        framebuffer = gpu.state.active_framebuffer_get()
        framebuffer.clear(color=(*backdrop(depsgraph.scene)[:3], 1.0))
        splat_viewport.draw_scene(context)


def on_backdrop(frame: Frame, scene: bpy.types.Scene) -> Frame:
    """The picture with the world's colour behind everything."""
    if frame.behind is None:
        return replace(frame, colour=over(frame.colour, backdrop(scene)))
    return replace(frame, behind=over(frame.behind, backdrop(scene)))


def backdrop(scene: bpy.types.Scene) -> Floats:
    """[4] linear colour behind the splats: the world's."""
    colour = scene.world.color if scene.world else (0.0, 0.0, 0.0)
    return np.array((*colour, 1.0), np.float32)


def full_size(render: bpy.types.RenderSettings) -> tuple[int, int]:
    """Width and height of the whole picture, pixels, rounded as Blender does."""
    percent = render.resolution_percentage
    return max(1, render.resolution_x * percent // 100), max(1, render.resolution_y * percent // 100)


def border(render: bpy.types.RenderSettings, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns that Blender expects back: all, or the render region's, rounded as Blender does in single precision."""
    if not render.use_border:
        return slice(0, height), slice(0, width)
    rows = (int(np.float32(edge) * np.float32(height)) for edge in (render.border_min_y, render.border_max_y))
    columns = (
        int(np.float32(edge) * np.float32(width)) for edge in (render.border_min_x, render.border_max_x)
    )
    return slice(*rows), slice(*columns)


def _refusal(scene: bpy.types.Scene) -> str:
    """Why the scene cannot be rendered, in a sentence; empty when it can."""
    unplayable = session.current().unplayable.get(scene.session_uid)
    if unplayable is not None:
        return unplayable
    if scene.camera is None:
        return "The scene has no camera; choose one in the Perpetua tab's Cameras."
    if scene.camera.type == "CAMERA" and scene.camera.data.type not in ("PERSP", "ORTHO"):
        return f"Camera '{scene.camera.name}' is a panorama, which splats are not drawn in; make it perspective or orthographic."
    return ""


def _shift_unit(camera: bpy.types.Camera, render: bpy.types.RenderSettings) -> float:
    """What a camera's shift counts in, as part of the picture's width: its width, or its height where the sensor fits that."""
    width, height = render.resolution_x * render.pixel_aspect_x, render.resolution_y * render.pixel_aspect_y
    fit = camera.sensor_fit
    if fit == "HORIZONTAL" or (fit == "AUTO" and width >= height):
        return 1.0
    return height / width
