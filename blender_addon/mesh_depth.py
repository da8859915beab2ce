"""How far the scene's meshes are from the camera, pixel by pixel, so that splats can be split at them."""

from __future__ import annotations

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from .splat_data import Floats
from .splat_layers import FARTHEST_M, View, read_slot
from .splat_shader import CAMERA, set_camera

SOLID = {"MESH", "CURVE", "SURFACE", "FONT", "META", "CURVES"}
"""Types of objects that can be drawn as triangles."""

VERTEX = """
void main() {
  vec4 world = vec4(place, 1.0);
  vec3 eye = vec3(dot(view_x, world), dot(view_y, world), dot(view_z, world));
  eye_depth = -eye.z;
  gl_Position = vec4(
    dot(lens_x.xyz, vec3(eye.x, eye.z, 1.0)),
    dot(lens_y.xyz, vec3(eye.y, eye.z, 1.0)),
    dot(lens_z.xy, vec2(eye.z, 1.0)),
    lens_z.z > 0.5 ? -eye.z : 1.0);
}
"""
FRAGMENT = "void main() { depth = vec4(eye_depth); }"

_shaders: list[gpu.types.GPUShader] = []


def draw_meshes(depsgraph: bpy.types.Depsgraph, view: View) -> Floats:
    """Depth of the nearest mesh [H,W], m along the view, inf where there is none; first row at the bottom.

    It reaches a pixel beyond every edge, so that the pixels that a mesh covers in part count as its own. Needs an active GPU context.
    """
    solids = [solid for solid in map(_solid, depsgraph.object_instances) if solid is not None]
    width, height = view.width, view.height
    if not solids:
        return np.full((height, width), np.inf, np.float32)
    shader = _shader()
    colour = gpu.types.GPUTexture((width, height), format="RGBA32F")
    depth = gpu.types.GPUTexture((width, height), format="DEPTH_COMPONENT32F")
    target = gpu.types.GPUFrameBuffer(color_slots=[colour], depth_slot=depth)
    with target.bind():
        gpu.state.viewport_set(0, 0, width, height)
        target.clear(color=(FARTHEST_M,) * 4, depth=1.0)
        gpu.state.blend_set("NONE")
        gpu.state.depth_test_set("LESS_EQUAL")
        gpu.state.depth_mask_set(True)
        shader.bind()
        set_camera(shader, view.matrix, view.projection)
        for corners, triangles in solids:
            batch_for_shader(shader, "TRIS", {"place": corners}, indices=triangles).draw(shader)
        nearest = read_slot(target, width, height, 0)[..., 0]
        gpu.state.depth_test_set("NONE")
        gpu.state.depth_mask_set(False)
    nearest = np.where(nearest >= FARTHEST_M, np.float32(np.inf), nearest)
    return _grown(nearest)


def _solid(instance: bpy.types.DepsgraphObjectInstance) -> tuple[Floats, np.ndarray] | None:
    """An object's corners in the world [V,3] and triangles [T,3]; None if there is nothing to see."""
    thing = instance.object
    if thing.type not in SOLID or not thing.visible_camera:
        return None
    mesh = thing.to_mesh()
    if mesh is None:
        return None
    corners = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", corners)
    mesh.calc_loop_triangles()
    triangles = np.empty(len(mesh.loop_triangles) * 3, np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    thing.to_mesh_clear()
    if not len(triangles):
        return None
    matrix = np.array(instance.matrix_world, np.float32)
    return corners.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3], triangles.reshape(-1, 3)


def _grown(depth: Floats) -> Floats:
    """The nearest depth of each pixel and its eight neighbours."""
    for axis in (0, 1):
        padded = np.pad(depth, [(1, 1) if axis == a else (0, 0) for a in (0, 1)], constant_values=np.inf)
        slices = [np.take(padded, range(i, i + depth.shape[axis]), axis) for i in range(3)]
        depth = np.minimum.reduce(slices)
    return depth


def forget() -> None:
    """Let go of the compiled shader."""
    _shaders.clear()


def _shader() -> gpu.types.GPUShader:
    if not _shaders:
        info = gpu.types.GPUShaderCreateInfo()
        for row in CAMERA:
            info.push_constant("VEC4", row)
        info.vertex_in(0, "VEC3", "place")
        between = gpu.types.GPUStageInterfaceInfo("perpetua_mesh")
        between.smooth("FLOAT", "eye_depth")
        info.vertex_out(between)
        info.fragment_out(0, "VEC4", "depth")
        info.vertex_source(VERTEX)
        info.fragment_source(FRAGMENT)
        _shaders.append(gpu.shader.create_from_info(info))
    return _shaders[0]
