"""Drawing splats into images on the GPU module, with the static layer drawn once for each view.

The background of a take is most of its splats and never moves. Its layer (colour and depth) is kept for each view,
and only the moving splats are drawn for each frame, hidden where the background is nearer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import gpu
import numpy as np
from mathutils import Matrix

from .sheen import DEGREES, Sheen, Splats
from .splat_data import Floats, back_to_front
from .splat_shader import layer_shader, quad_batch, set_view

TEXTURE_WIDTH = 4096
"""Texels in a row of the data texture."""
OCCLUSION_TOLERANCE = 0.02
"""Fraction of the depth by which the static layer must be nearer to hide a moving splat, as in the backend's renderer:
both are soft, and bodies touch the table."""
SHEEN_WIDTH = 8192
"""Texels in a row of the textures of sheen, one a coefficient: 8 million splats of degree 3 fit into 16384 rows."""
FARTHEST_M = 1e9
"""Stands for infinity in a texture."""
KEPT_LAYERS = 8
"""Static layers kept, one for each view drawn lately."""


@dataclass(frozen=True)
class View:
    """A camera and an image size. matrix: world to camera [4,4] (looking along -z). projection: [4,4] OpenGL."""

    matrix: Matrix
    projection: Matrix
    width: int
    height: int

    def key(self) -> bytes:
        """Equal for views that draw the same."""
        return np.array(
            [*self.matrix, *self.projection, (self.width, self.height, 0, 0)], np.float32
        ).tobytes()


@dataclass(frozen=True)
class Layer:
    """image: [H,W,4] sRGB colour times alpha, first row at the bottom. depth: [H,W] m along the view, inf where empty."""

    image: Floats
    depth: Floats


_kept: OrderedDict[tuple[bytes, int], Layer] = OrderedDict()


def static_layer(
    digest: int, view: View, splats: Callable[[], Splats], meshes: Floats | None = None, side: int = 0
) -> Layer:
    """The layer of the splats that do not move.

    digest: of everything but the view; a layer drawn before for the same digest and view is returned again. splats: called for
    what is drawn when there is none. meshes, side: see ``draw_layer``.
    """
    key = (view.key(), digest)
    if key not in _kept:
        _kept[key] = draw_layer(splats(), view, None, meshes, side)
        while len(_kept) > KEPT_LAYERS:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def draw_layer(
    drawn: Splats, view: View, behind: Layer | None = None, meshes: Floats | None = None, side: int = 0
) -> Layer:
    """Draw splats; with ``behind`` they are hidden where that layer is nearer.

    meshes: depth of the nearest mesh [H,W] m, inf where there is none; side: 1 draws what lies before it, -1 what lies behind. Needs an active GPU context: inside a render engine, or in Blender's window.
    """
    width, height = view.width, view.height
    if not len(drawn):
        return Layer(np.zeros((height, width, 4), np.float32), np.full((height, width), np.inf, np.float32))
    shader = layer_shader()
    # named, because a texture that Python lets go of is unbound at once
    splats = SplatTextures.of(drawn.packed, view.matrix)
    sheen = SheenTextures.of(drawn.sheen)
    occluder = _occluder_texture(behind, meshes)
    colour = gpu.types.GPUTexture((width, height), format="RGBA32F")
    depth = gpu.types.GPUTexture((width, height), format="RGBA32F")
    target = gpu.types.GPUFrameBuffer(color_slots=[colour, depth])
    with target.bind():
        gpu.state.viewport_set(0, 0, width, height)
        target.clear(color=(0.0, 0.0, 0.0, 0.0))
        gpu.state.blend_set("ALPHA_PREMULT")
        gpu.state.depth_test_set("NONE")
        gpu.state.depth_mask_set(False)
        shader.bind()
        tolerance = 0.0 if behind is None else OCCLUSION_TOLERANCE
        set_view(shader, view.matrix, view.projection, width, height, tolerance, side)
        splats.bind(shader)
        shader.uniform_sampler("occluder", occluder)
        sheen.bind(shader)
        quad_batch(shader).draw_instanced(shader, instance_count=len(drawn))
        image = read_slot(target, width, height, 0)
        weighted = read_slot(target, width, height, 1)
        gpu.state.blend_set("NONE")
    seen = weighted[..., 3] > 0
    nearest = np.full((height, width), np.inf, np.float32)
    nearest[seen] = weighted[..., 0][seen] / weighted[..., 3][seen]
    return Layer(image, nearest)


@dataclass(frozen=True)
class SheenTextures:
    """What the shader reads of ``Sheen``."""

    harmonics: gpu.types.GPUTexture
    turns: gpu.types.GPUTexture
    degree: int

    @staticmethod
    def of(sheen: Sheen | None) -> SheenTextures:
        """The textures of ``sheen``: a coefficient is a texel in half precision."""
        if sheen is None:
            empty = _texture(np.zeros((1, 4), np.float32), 1, "RGBA16F")
            return SheenTextures(empty, empty, 0)
        texels = np.zeros((sheen.coefficients.shape[0] * sheen.coefficients.shape[1], 4), np.float32)
        texels[:, :3] = sheen.coefficients.reshape(-1, 3)
        harmonics = _texture(texels, SHEEN_WIDTH, "RGBA16F")
        return SheenTextures(harmonics, _turns_texture(sheen.turns), DEGREES[sheen.coefficients.shape[1]])

    def turned(self, turns: Floats) -> SheenTextures:
        """The same coefficients on matter that lies otherwise now."""
        return replace(self, turns=_turns_texture(turns)) if self.degree else self

    def bind(self, shader: gpu.types.GPUShader) -> None:
        """Give them to a bound shader."""
        shader.uniform_int("sheen_degree", self.degree)
        shader.uniform_sampler("harmonics", self.harmonics)
        shader.uniform_sampler("turns", self.turns)


def _turns_texture(turns: Floats) -> gpu.types.GPUTexture:
    return _texture(turns[:, [1, 2, 3, 0]], SHEEN_WIDTH, "RGBA32F")


def _texture(texels: Floats, width: int, kind: str) -> gpu.types.GPUTexture:
    """Texels [N, 4], or [N, 1], in rows of ``width``."""
    rows = max(1, -(-len(texels) // width))
    data = np.zeros(rows * width * texels.shape[1], np.float32)
    data[: texels.size] = texels.reshape(-1)
    return gpu.types.GPUTexture((width, rows), format=kind, data=gpu.types.Buffer("FLOAT", data.size, data))


@dataclass(frozen=True)
class SplatTextures:
    """Splats on the GPU, and the order in which they are blended: a view that moves sends the order alone."""

    splats: gpu.types.GPUTexture
    order: gpu.types.GPUTexture

    @staticmethod
    def of(packed: Floats, matrix: Matrix, nearer: Floats | float = 0.0) -> SplatTextures:
        """The textures of packed splats [N,16] for a view matrix. nearer: see ``back_to_front``."""
        return SplatTextures(
            _texture(packed.reshape(-1, 4), TEXTURE_WIDTH, "RGBA32F"), _order_texture(packed, matrix, nearer)
        )

    def seen_from(self, places: Floats, matrix: Matrix, nearer: Floats | float = 0.0) -> SplatTextures:
        """The same for another view matrix. places: [N,3] m, where the splats are."""
        return replace(self, order=_order_texture(places, matrix, nearer))

    def bind(self, shader: gpu.types.GPUShader) -> None:
        """Give them to a bound shader."""
        shader.uniform_sampler("splats", self.splats)
        shader.uniform_sampler("order", self.order)


def _order_texture(places: Floats, matrix: Matrix, nearer: Floats | float) -> gpu.types.GPUTexture:
    order = back_to_front(places, np.array(matrix), nearer).astype(
        np.float32
    )  # whole numbers up to 16 million are exact
    return _texture(order[:, None], TEXTURE_WIDTH, "R32F")


def _occluder_texture(behind: Layer | None, meshes: Floats | None) -> gpu.types.GPUTexture:
    """What a layer's splats are compared with: depth and alpha of the layer behind, depth of the nearest mesh."""
    shape = (
        (1, 1) if behind is None and meshes is None else (meshes if behind is None else behind.depth).shape
    )
    data = np.zeros((*shape, 4), np.float32)
    if behind is not None:
        data[..., 0], data[..., 1] = np.minimum(behind.depth, FARTHEST_M), behind.image[..., 3]
    if meshes is not None:
        data[..., 2] = np.minimum(meshes, FARTHEST_M)
    height, width = shape
    return gpu.types.GPUTexture(
        (width, height), format="RGBA32F", data=gpu.types.Buffer("FLOAT", data.size, data.ravel())
    )


def read_slot(target: gpu.types.GPUFrameBuffer, width: int, height: int, slot: int) -> Floats:
    """A colour attachment as [H,W,4], first row at the bottom."""
    pixels = target.read_color(0, 0, width, height, 4, slot, "FLOAT")
    pixels.dimensions = width * height * 4
    return np.array(pixels, np.float32).reshape(height, width, 4)


def forget() -> None:
    """Let go of the kept layers."""
    _kept.clear()
