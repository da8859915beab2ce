"""The shader that draws anisotropic Gaussian splats as blended quads, back to front.

Projection and alpha follow 3D Gaussian Splatting (Kerbl et al. 2023) as gsplat computes them, which is how the
backend fits its splats: 0.3 px^2 added to the image covariance, alpha at most 0.999 and dropped below 1/255, the
perspective linearised no further out than 1.3 times the field of view.
"""

from __future__ import annotations

import gpu
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

MESH_SOFTNESS = 0.001
"""Fraction of the depth over which splats fade into a mesh's surface: both are there, and a hard cut would flicker."""

SOLID_OPACITY = 0.25
"""Fainter splats are no bodies: gas, and the picture's own shadows."""
SOLID_NEARER = 0.002
"""Fraction of the depth by which a body is drawn before the grey one that Blender draws in its place."""
SOLID_AMBIENT = 0.55
"""Brightness of a body's edge; its middle has all of its colour."""
CAMERA = ("view_x", "view_y", "view_z", "lens_x", "lens_y", "lens_z")
"""Push constants of ``set_camera``: rows, as with ``frame`` and ``sheen_degree`` it all has to fit into 128 bytes."""

SHEEN_BASES = """
vec3 coefficient(int row, int k) {
  int i = row * ((sheen_degree + 1) * (sheen_degree + 1) - 1) + k, w = textureSize(harmonics, 0).x;
  return texelFetch(harmonics, ivec2(i % w, i / w), 0).rgb;
}

// what is added to the colour of a splat that is seen along d, by the real spherical harmonics of degrees 1 to 3
vec3 sheen(int row, vec3 d) {
  int wide = textureSize(turns, 0).x;
  vec4 q = texelFetch(turns, ivec2(row % wide, row / wide), 0);  // xyzw
  d += 2.0 * cross(-q.xyz, cross(-q.xyz, d) + q.w * d);  // into its matter's own axes
  float x = d.x, y = d.y, z = d.z, xx = x * x, yy = y * y, zz = z * z;
  vec3 sum = 0.48860251190292 * (z * coefficient(row, 1) - y * coefficient(row, 0) - x * coefficient(row, 2));
  if (sheen_degree > 1) {
    sum += 1.0925484305920792 * (x * y * coefficient(row, 3) - y * z * coefficient(row, 4) - x * z * coefficient(row, 6)
      + 0.5 * (xx - yy) * coefficient(row, 7)) + (0.9461746957575601 * zz - 0.3153915652525201) * coefficient(row, 5);
  }
  if (sheen_degree > 2) {
    float c = 0.4570457994644658 - 2.285228997322329 * zz;
    sum += 0.5900435899266435 * (-y * (3.0 * xx - yy) * coefficient(row, 8) - x * (xx - 3.0 * yy) * coefficient(row, 14))
      + 1.445305721320277 * z * (2.0 * x * y * coefficient(row, 9) + (xx - yy) * coefficient(row, 13))
      + c * (y * coefficient(row, 10) + x * coefficient(row, 12))
      + z * (1.865881662950577 * zz - 1.119528997770346) * coefficient(row, 11);
  }
  return sum;
}
"""

VERTEX = (
    SHEEN_BASES
    + """
vec4 texel(int i) { int w = textureSize(splats, 0).x; return texelFetch(splats, ivec2(i % w, i / w), 0); }

void main() {
  int wide = textureSize(order, 0).x;
  int first = int(texelFetch(order, ivec2(gl_InstanceID % wide, gl_InstanceID / wide), 0).r + 0.5) * 4;
  vec4 place = texel(first), low = texel(first + 1), high = texel(first + 2), colour = texel(first + 3);
  vec4 world = vec4(place.xyz, 1.0);
  vec4 eye = vec4(dot(view_x, world), dot(view_y, world), dot(view_z, world), 1.0);
  bool perspective = lens_z.z > 0.5;
  vec4 clip = vec4(
    dot(lens_x.xyz, vec3(eye.x, eye.z, 1.0)),
    dot(lens_y.xyz, vec3(eye.y, eye.z, 1.0)),
    dot(lens_z.xy, vec2(eye.z, 1.0)),
    perspective ? -eye.z : 1.0);
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);  // outside: nothing is drawn
  tint = vec4(colour.rgb, place.w);
  int row = int(colour.w + 0.5);
  offset = vec2(0.0);
  eye_depth = surface_depth = -eye.z;
#ifdef SOLID
  if (place.w < SOLID_OPACITY) return;
#else
  if (place.w < 1.0 / 255.0) return;
#endif
  if (perspective && eye.z > -0.01) return;

  mat3 spread_world = mat3(low.x, low.y, low.z, low.y, low.w, high.x, low.z, high.x, high.y);
  mat3 turn = transpose(mat3(view_x.xyz, view_y.xyz, view_z.xyz));
  if (row > 0 && sheen_degree > 0) {
    tint.rgb = max(tint.rgb + sheen(row - 1, transpose(turn) * (perspective ? normalize(eye.xyz) : vec3(0.0, 0.0, -1.0))), 0.0);
  }
  mat3 sigma = turn * spread_world * transpose(turn);
  float fx = lens_x.x * 0.5 * frame.x, fy = lens_y.x * 0.5 * frame.y;
  vec3 du = vec3(fx, 0.0, 0.0), dv = vec3(0.0, fy, 0.0);
  if (perspective) {
    float near = -1.0 / eye.z;
    vec2 edge = 1.3 / vec2(lens_x.x, lens_y.x);
    vec2 slope = clamp(eye.xy * near, -edge, edge);
    du = vec3(fx * near, 0.0, fx * slope.x * near);
    dv = vec3(0.0, fy * near, fy * slope.y * near);
  }
  float a = dot(du, sigma * du) + 0.3, b = dot(du, sigma * dv), c = dot(dv, sigma * dv) + 0.3;
  float middle = 0.5 * (a + c), spread = sqrt(max(0.0, middle * middle - (a * c - b * b)));
  float longer = middle + spread, shorter = max(middle - spread, 0.1);
  vec2 axis = abs(b) > 1e-6 ? normalize(vec2(b, longer - a)) : (a >= c ? vec2(1.0, 0.0) : vec2(0.0, 1.0));
#ifdef SOLID
  float reach = frame.z;
#else
  float reach = sqrt(2.0 * log(255.0 * place.w));  // where alpha falls to 1/255
#endif
  offset = quad * reach;
  vec2 pixels = offset.x * sqrt(longer) * axis + offset.y * sqrt(shorter) * vec2(-axis.y, axis.x);
  // depth of the splat's middle along the ray of a pixel: E[depth | pixel] of the projected Gaussian, linear over the quad
  vec2 tilt = vec2(-dot(sigma[2], du), -dot(sigma[2], dv));
  vec2 slant = vec2(dot(tilt, axis) / sqrt(longer), dot(tilt, vec2(-axis.y, axis.x)) / sqrt(shorter));
  surface_depth += dot(offset, slant);
#ifdef SOLID
  thickness = sqrt(max(0.0, sigma[2].z - dot(slant, slant)));  // standard deviation of the depth at a pixel
#endif
  gl_Position = vec4(clip.xy / clip.w + pixels * 2.0 / frame.xy, clip.z / clip.w, 1.0);
}
"""
)

TO_LINEAR = """
vec3 srgb_to_linear(vec3 c) {
  return mix(pow((max(c, 0.0) + 0.055) / 1.055, vec3(2.4)), c / 12.92, lessThanEqual(c, vec3(0.04045)));
}
"""

FRAGMENT = (
    TO_LINEAR
    + """
void main() {
#ifdef SOLID
  float outside = dot(offset, offset) / (frame.z * frame.z);
  if (outside > 1.0) discard;
  float facing = sqrt(1.0 - outside);
  float front = (surface_depth - thickness * frame.z * facing) * (1.0 - SOLID_NEARER);
  float w = lens_z.z > 0.5 ? front : 1.0;
  gl_FragDepth = 0.5 * (lens_z.y - lens_z.x * front) / w + 0.5;
  colour = vec4(srgb_to_linear(tint.rgb) * mix(SOLID_AMBIENT, 1.0, facing), 1.0);
#else
  float alpha = min(0.999, tint.a * exp(-0.5 * dot(offset, offset)));
  if (alpha < 1.0 / 255.0) discard;
#ifdef LAYER
  vec3 other = texelFetch(occluder, ivec2(gl_FragCoord.xy), 0).rgb;  // static layer's depth and alpha, meshes' depth
  if (frame.z > 0.0) {
    alpha *= 1.0 - other.g * smoothstep(0.75, 1.25, (eye_depth - other.r) / (frame.z * eye_depth));
  }
  if (frame.w != 0.0) {
    float hidden = smoothstep(-1.0, 1.0, (surface_depth - other.b) / (MESH_SOFTNESS * eye_depth));
    float shown = alpha * (1.0 - hidden);
    // what lies behind, under what is shown, comes to the whole splat again
    alpha = frame.w > 0.0 ? shown : (alpha - shown) / max(1.0 - shown, 1e-4);
    if (alpha < 1.0 / 255.0) discard;
  }
  colour = vec4(tint.rgb * alpha, alpha);
  depth = vec4(eye_depth * alpha, 0.0, 0.0, alpha);
#else
  if (gl_FragCoord.z > texelFetch(meshes, ivec2(gl_FragCoord.xy), 0).r) discard;
  colour = vec4(tint.rgb * alpha, alpha);
#endif
#endif
}
"""
)

COMPOSITE_VERTEX = "void main() { gl_Position = vec4(corner, 0.0, 1.0); }"
COMPOSITE = (
    TO_LINEAR
    + """
void main() {
  vec4 seen = texelFetch(layer, ivec2(gl_FragCoord.xy), 0);
  if (seen.a <= 0.0) discard;
  colour = vec4(srgb_to_linear(clamp(seen.rgb / seen.a, 0.0, 1.0)) * seen.a, seen.a);
}
"""
)

_shaders: dict[str, gpu.types.GPUShader] = {}


def layer_shader() -> gpu.types.GPUShader:
    """Draws into a layer: slot 0 sRGB colour times alpha, slot 1 depth times alpha [m].

    A ``tolerance`` above 0 hides what lies behind ``occluder`` by that fraction of its depth; a ``side`` keeps what lies before its
    meshes (1) or behind them (-1)."""
    if "layer" not in _shaders:
        info = _description("LAYER")
        info.define("MESH_SOFTNESS", f"{MESH_SOFTNESS:.6f}")
        info.sampler(1, "FLOAT_2D", "occluder")
        info.fragment_out(0, "VEC4", "colour")
        info.fragment_out(1, "VEC4", "depth")
        _shaders["layer"] = gpu.shader.create_from_info(info)
    return _shaders["layer"]


def viewport_shader() -> gpu.types.GPUShader:
    """Draws sRGB colour times alpha, hidden where ``meshes``, a viewport's depth in [0, 1], is nearer."""
    if "viewport" not in _shaders:
        info = _description()
        info.sampler(1, "FLOAT_2D", "meshes")
        info.fragment_out(0, "VEC4", "colour")
        _shaders["viewport"] = gpu.shader.create_from_info(info)
    return _shaders["viewport"]


def solid_shader() -> gpu.types.GPUShader:
    """Draws splats as solid bodies into the 3D viewport, with their depth; ``tolerance`` is their size in standard deviations."""
    if "solid" not in _shaders:
        info = _description("SOLID")
        info.define("SOLID_OPACITY", f"{SOLID_OPACITY:.6f}")
        info.define("SOLID_NEARER", f"{SOLID_NEARER:.6f}")
        info.define("SOLID_AMBIENT", f"{SOLID_AMBIENT:.6f}")
        info.depth_write("ANY")
        info.fragment_out(0, "VEC4", "colour")
        _shaders["solid"] = gpu.shader.create_from_info(info)
    return _shaders["solid"]


def composite_shader() -> gpu.types.GPUShader:
    """Lays ``layer`` (sRGB colour times alpha) over the viewport, in the linear colours that it blends."""
    if "composite" not in _shaders:
        info = gpu.types.GPUShaderCreateInfo()
        info.sampler(0, "FLOAT_2D", "layer")
        info.vertex_in(0, "VEC2", "corner")
        info.fragment_out(0, "VEC4", "colour")
        info.vertex_source(COMPOSITE_VERTEX)
        info.fragment_source(COMPOSITE)
        _shaders["composite"] = gpu.shader.create_from_info(info)
    return _shaders["composite"]


def quad_batch(shader: gpu.types.GPUShader) -> gpu.types.GPUBatch:
    """The quad every splat is an instance of."""
    return batch_for_shader(shader, "TRI_STRIP", {"quad": [(-1, -1), (1, -1), (-1, 1), (1, 1)]})


def set_view(
    shader: gpu.types.GPUShader,
    view: Matrix,
    projection: Matrix,
    width: int,
    height: int,
    tolerance: float = 0.0,
    side: float = 0.0,
) -> None:
    """Give a bound shader its camera: world to camera [4,4], OpenGL projection [4,4], image size in pixels.

    tolerance, side: see ``layer_shader``.
    """
    set_camera(shader, view, projection)
    shader.uniform_float("frame", (width, height, tolerance, side))


def set_camera(shader: gpu.types.GPUShader, view: Matrix, projection: Matrix) -> None:
    """Give a bound shader world to camera [4,4] and the OpenGL projection [4,4], as the rows that they need."""
    for row, name in zip(view, ("view_x", "view_y", "view_z"), strict=False):
        shader.uniform_float(name, row)
    p = projection  # its other entries are 0, or -1 for perspective
    shader.uniform_float("lens_x", (p[0][0], p[0][2], p[0][3], 0.0))
    shader.uniform_float("lens_y", (p[1][1], p[1][2], p[1][3], 0.0))
    shader.uniform_float("lens_z", (p[2][2], p[2][3], 1.0 if p[3][3] == 0.0 else 0.0, 0.0))


def forget() -> None:
    """Let go of the compiled shaders."""
    _shaders.clear()


def _description(kind: str = "") -> gpu.types.GPUShaderCreateInfo:
    info = gpu.types.GPUShaderCreateInfo()
    if kind:
        info.define(kind)
    for row in CAMERA:
        info.push_constant("VEC4", row)
    info.push_constant("VEC4", "frame")  # width, height [px], tolerance, side
    info.push_constant("INT", "sheen_degree")
    info.sampler(0, "FLOAT_2D", "splats")
    info.sampler(2, "FLOAT_2D", "harmonics")
    info.sampler(3, "FLOAT_2D", "turns")
    info.sampler(4, "FLOAT_2D", "order")
    info.vertex_in(0, "VEC2", "quad")
    between = gpu.types.GPUStageInterfaceInfo("perpetua_splat")
    between.smooth("VEC2", "offset")
    between.flat("VEC4", "tint")
    between.flat("FLOAT", "eye_depth")
    between.smooth("FLOAT", "surface_depth")
    if kind == "SOLID":
        between.flat("FLOAT", "thickness")
    info.vertex_out(between)
    info.vertex_source(VERTEX)
    info.fragment_source(FRAGMENT)
    return info
