"""Splats in the 3D viewport: a draw handler that blends them over what Blender drew, hidden behind meshes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from . import visitors
from .clouds import ROLE, is_shown
from .display import ELLIPSOID_RADIUS, NATIVE
from .point_cloud import RADIUS_IN_SCALES, is_splats, read_attributes, read_sheen, read_turns
from .sheen import Splats, joined, packed_of, turns_of, with_sheen
from .splat_data import Floats, pack
from .splat_layers import OCCLUSION_TOLERANCE, SheenTextures, SplatTextures
from .splat_shader import SOLID_OPACITY, composite_shader, quad_batch, set_view, solid_shader, viewport_shader

LEAST_OPACITY = 1 / 255
"""Clearer splats are not drawn."""
THIN_SEED = 7
"""Which splats a density below 1 keeps; fixed, so that they do not flicker."""


@dataclass
class Packed:
    """A cloud's splats, whether they move, and what they were made from; so too the colours that depend on the view."""

    made_from: tuple[int, bytes, float]
    splats: Splats
    moves: bool
    coloured_from: tuple[int, int]


@dataclass
class Ordered:
    """Everything in a scene on the GPU, in the blending order of one view.

    places: [N,3] m, and nearer [N] (``back_to_front``), for the order of another view.
    """

    made_from: tuple[tuple[int, bytes, float], ...]
    view: bytes
    places: Floats
    nearer: Floats
    textures: SplatTextures


@dataclass
class Coloured:
    """What the colours of everything in a scene depend on the view by, and what it was made from: coefficients, and turns."""

    coloured_from: tuple[tuple[int, int], ...]
    made_from: tuple[tuple[int, bytes, float], ...]
    textures: SheenTextures


_handle: object | None = None
_versions: dict[int, int] = {}
_packed: dict[tuple[int, bool], Packed] = {}
"""By cloud, and whether it is shown round."""
_ordered: dict[int, Ordered] = {}
_recoloured: dict[int, int] = {}
_coefficients: dict[int, tuple[int, Floats | None]] = {}
_coloured: dict[int, Coloured] = {}


def mark_changed(cloud: bpy.types.Object, recoloured: bool = True) -> None:
    """The splats of a cloud were written: draw them anew. recoloured: not only where they are."""
    _versions[cloud.session_uid] = _versions.get(cloud.session_uid, 0) + 1
    if recoloured:
        _recoloured[cloud.session_uid] = _recoloured.get(cloud.session_uid, 0) + 1


SIZES = {"POINTS": RADIUS_IN_SCALES, "ELLIPSOIDS": ELLIPSOID_RADIUS}
"""Of the bodies that Blender draws for splats, in standard deviations."""


def draw_scene(context: bpy.types.Context, solid: bool = False) -> None:
    """Draw the scene's splat clouds into the active viewport. solid: as the points or ellipsoids that they are shown as, but for what
    is no body."""
    settings = context.scene.perpetua
    view3d = context.region_data
    if view3d is None:
        return
    round_ = solid and settings.display == "POINTS"
    density = 1.0 if solid else settings.density
    clouds = [
        _packed_cloud(cloud, matrix, density, round_)
        for cloud, matrix in _visible_clouds(settings, context.view_layer)
    ]
    count = sum(len(cloud.splats) for cloud in clouds)
    if count == 0:
        return
    width, height = gpu.state.viewport_get()[2:]
    splats = _textures(context.scene, clouds, view3d.view_matrix)
    if solid:
        _draw_solid(splats, count, view3d, (width, height), SIZES[settings.display])
        return
    sheen = _sheen(context.scene, clouds)
    _blend(_draw_layer(splats, sheen, count, view3d, width, height))


def draw_faint(context: bpy.types.Context) -> None:
    """Draw softly, over points or ellipsoids, what is no body: gas, and the picture's own shadows. A viewport draws no points of them,
    since solid shading knows no clear ones."""
    settings, view3d = context.scene.perpetua, context.region_data
    if view3d is None:
        return
    clouds = [
        _packed_cloud(cloud, matrix, 1.0, False)
        for cloud, matrix in _visible_clouds(settings, context.view_layer)
    ]
    faint = np.concatenate([cloud.splats.packed for cloud in clouds] or [np.zeros((0, 16), np.float32)])
    faint = faint[(faint[:, 3] < SOLID_OPACITY) & (faint[:, 3] >= LEAST_OPACITY)]
    if not len(faint):
        return
    width, height = gpu.state.viewport_get()[2:]
    splats, plain = SplatTextures.of(faint, view3d.view_matrix), SheenTextures.of(None)
    _blend(_draw_layer(splats, plain, len(faint), view3d, width, height))


def _blend(layer: gpu.types.GPUTexture) -> None:
    """Lay a layer over the viewport."""
    shader = composite_shader()
    gpu.state.blend_set("ALPHA_PREMULT")
    shader.bind()
    shader.uniform_sampler("layer", layer)
    batch_for_shader(shader, "TRI_STRIP", {"corner": [(-1, -1), (1, -1), (-1, 1), (1, 1)]}).draw(shader)
    gpu.state.blend_set("NONE")


def _draw_solid(
    splats: SplatTextures,
    count: int,
    view3d: bpy.types.RegionView3D,
    frame: tuple[int, int],
    size: float,
) -> None:
    """The splats as solid bodies, with their depth. frame: width and height, px. size: in standard deviations.

    Their colours are the same from everywhere, as those of the points and ellipsoids that other engines render.
    """
    shader = solid_shader()
    gpu.state.blend_set("NONE")
    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.depth_mask_set(True)
    shader.bind()
    set_view(shader, view3d.view_matrix, view3d.window_matrix, *frame, size)
    splats.bind(shader)
    none = SheenTextures.of(None)  # named, because a texture that Python lets go of is unbound at once
    none.bind(shader)
    quad_batch(shader).draw_instanced(shader, instance_count=count)
    gpu.state.depth_test_set("NONE")
    gpu.state.depth_mask_set(False)


def _draw_layer(
    splats: SplatTextures,
    sheen: SheenTextures,
    count: int,
    view3d: bpy.types.RegionView3D,
    width: int,
    height: int,
) -> gpu.types.GPUTexture:
    """The splats [height, width] as a layer of their own, blended in sRGB as they were fitted; the viewport blends in linear."""
    meshes = _depth_texture(width, height)
    layer = gpu.types.GPUTexture((width, height), format="RGBA16F")
    target = gpu.types.GPUFrameBuffer(color_slots=[layer])
    shader = viewport_shader()
    with target.bind():
        gpu.state.viewport_set(0, 0, width, height)
        target.clear(color=(0.0, 0.0, 0.0, 0.0))
        gpu.state.blend_set("ALPHA_PREMULT")
        gpu.state.depth_test_set("NONE")
        gpu.state.depth_mask_set(False)
        shader.bind()
        set_view(shader, view3d.view_matrix, view3d.window_matrix, width, height)
        splats.bind(shader)
        shader.uniform_sampler("meshes", meshes)
        sheen.bind(shader)
        quad_batch(shader).draw_instanced(shader, instance_count=count)
    return layer


def _depth_texture(width: int, height: int) -> gpu.types.GPUTexture:
    """Depth in [0, 1] of what Blender drew into the viewport; a framebuffer's own cannot be sampled."""
    depth = gpu.state.active_framebuffer_get().read_depth(0, 0, width, height)
    depth.dimensions = width * height
    return gpu.types.GPUTexture((width, height), format="R32F", data=depth)


def _visible_clouds(
    settings: bpy.types.PropertyGroup, layer: bpy.types.ViewLayer
) -> list[tuple[bpy.types.Object, Matrix]]:
    """The clouds to draw and where. Their own objects are hidden while splats are shown; the tab and the outliner have the switches."""
    chosen = [settings.background] if settings.show_background else []
    if settings.show_splats:
        chosen += [settings.splats, settings.compared_splats]
    placed = [(cloud, cloud.matrix_world) for cloud in chosen if cloud is not None and is_shown(cloud, layer)]
    placed += visitors.drawn(settings.id_data)
    return [pair for pair in placed if pair[0].type == "POINTCLOUD" and is_splats(pair[0].data)]


def _packed_cloud(cloud: bpy.types.Object, place: Matrix, density: float, round_: bool) -> Packed:
    matrix = np.array(place)
    thinned = -1.0 if round_ else round(density, 4)
    made_from = (_versions.get(cloud.session_uid, 0), matrix.tobytes(), thinned)
    kept = _packed.get((cloud.session_uid, round_))
    if kept is None or kept.made_from != made_from:
        a = read_attributes(cloud.data)
        scale = np.repeat(a["scale"].mean(1, keepdims=True), 3, 1) if round_ else a["scale"]
        packed = pack(a["position"], a["rotation"], scale, a["radiance:base"], matrix)
        colours, coefficients = _coefficients_of(cloud)
        splats = Splats(packed)
        if coefficients is not None:
            splats = with_sheen(packed, coefficients, read_turns(cloud.data), matrix)
        if density < 1.0:
            kept_ones = np.random.default_rng(THIN_SEED).random(len(packed)) < density
            splats = replace(splats, packed=packed[kept_ones])
        moves, coloured_from = cloud.get(ROLE) != "background", (cloud.session_uid, colours)
        _packed[cloud.session_uid, round_] = kept = Packed(made_from, splats, moves, coloured_from)
    return kept


def _coefficients_of(cloud: bpy.types.Object) -> tuple[int, Floats | None]:
    """How often a cloud's colours were written, and what they depend on the view by: read once each time."""
    version = _recoloured.get(cloud.session_uid, 0)
    kept = _coefficients.get(cloud.session_uid)
    if kept is None or kept[0] != version:
        _coefficients[cloud.session_uid] = kept = (version, read_sheen(cloud.data))
    return kept


def _sheen(scene: bpy.types.Scene, clouds: list[Packed]) -> SheenTextures:
    """The textures of what colours depend on the view by. Coefficients are sent to the GPU once, turns with each frame."""
    coloured_from = tuple(cloud.coloured_from for cloud in clouds)
    made_from = tuple(cloud.made_from for cloud in clouds)
    kept = _coloured.get(scene.session_uid)
    if kept is None or (kept.coloured_from, kept.made_from) != (coloured_from, made_from):
        splats = [cloud.splats for cloud in clouds]
        if kept is not None and kept.coloured_from == coloured_from:
            textures = kept.textures.turned(turns_of(splats))
        else:
            textures = SheenTextures.of(joined(splats).sheen)
        _coloured[scene.session_uid] = kept = Coloured(coloured_from, made_from, textures)
    return kept.textures


def _textures(scene: bpy.types.Scene, clouds: list[Packed], view: Matrix) -> SplatTextures:
    made_from, key = tuple(cloud.made_from for cloud in clouds), np.array(view, np.float32).tobytes()
    kept = _ordered.get(scene.session_uid)
    if kept is None or kept.made_from != made_from:
        packed = packed_of([cloud.splats for cloud in clouds])
        places = np.ascontiguousarray(packed[:, :3])
        # as in the engine: what moves stands before what does not where both are about as far
        nearer = np.concatenate(
            [np.full(len(cloud.splats), OCCLUSION_TOLERANCE * cloud.moves, np.float32) for cloud in clouds]
        )
        textures = SplatTextures.of(packed, view, nearer)
        _ordered[scene.session_uid] = kept = Ordered(made_from, key, places, nearer, textures)
    elif kept.view != key:
        kept.textures, kept.view = kept.textures.seen_from(kept.places, view, kept.nearer), key
    return kept.textures


def _on_draw() -> None:
    context = bpy.context
    shading = context.space_data.shading if context.space_data else None
    if context.scene.perpetua.display == NATIVE:
        return  # Blender draws them
    if context.scene.perpetua.display != "SPLATS":
        if shading is not None and shading.type == "SOLID":
            draw_scene(context, solid=True)  # over Blender's own, which are grey there
        draw_faint(context)
        return
    if (
        shading is not None
        and shading.type == "RENDERED"
        and context.scene.render.engine == "PERPETUA_SPLATS"
    ):
        return  # the engine's own view_draw has drawn them
    draw_scene(context)


def start() -> None:
    """Draw splats in every 3D viewport from now on."""
    global _handle
    if _handle is None:
        _handle = bpy.types.SpaceView3D.draw_handler_add(_on_draw, (), "WINDOW", "POST_VIEW")


def stop() -> None:
    """Stop drawing and let go of what was kept."""
    global _handle
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    forget()


def forget() -> None:
    """Let go of everything kept between drawings (the file changes)."""
    _versions.clear()
    _packed.clear()
    _ordered.clear()
    _recoloured.clear()
    _coefficients.clear()
    _coloured.clear()
