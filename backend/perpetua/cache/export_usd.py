"""A cache as one OpenUSD file (``.usdc``): metres, Z up, frame n of the take at time code n.

    /Perpetua/Splats              ParticleField3DGaussianSplat, the moving splats
    /Perpetua/Background          the same, without time samples
    /Perpetua/SplatPoints         Points: their twin for programs that do not know splats, such as Blender 4.5 to 5.2
    /Perpetua/BackgroundPoints    the same, without time samples
    /Perpetua/Cameras/<name>      Camera

The splat schema came with OpenUSD 26.03; prims and attributes are written by name, so an older library writes the same
file. Blender reads the twins' primvars as point attributes with the names and types of its own splats: ``scale``,
``rotation`` (quatf becomes QUATERNION) and ``radiance:base`` (color4f: the degree-0 SH coefficients, and opacity). A
float4[] primvar instead would make Blender 4.5 drop every later one.

Colours that depend on the view are in the splat prims alone: the coefficients of all degrees, turned with their matter in every frame.

Frames are saved as they are written: memory does not grow with the length of the take.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pxr import Gf, Sdf, Tf, Usd, UsdGeom, Vt

from perpetua.cache.arrays import gaussians_of
from perpetua.cache.whole_file import whole_file
from perpetua.errors import CacheError
from perpetua.progress import Progress
from perpetua.scene.harmonics import degree_of
from perpetua_protocol.cache import SH_C0, SHEEN, Cache, CameraRecord

Splats = dict[str, NDArray[np.float32]]
Time = float | None
"""A time code, or None for a value that does not change."""

TYPE = "ParticleField3DGaussianSplat"
SAVE_BYTES = 64 << 20
"""Frames are saved, and their memory given back, each time this much has gathered."""
WIDTH_IN_SCALES = 4.0
"""A twin point's width in mean standard deviations: most of the splat's light is within two of its centre."""
EXTENT_IN_SCALES = 3.0
"""The schema's own figure: 99.7% of a splat's support is within three standard deviations."""
APERTURE_M = 0.036
"""Full frame, Blender's own default; with the field of view it gives the focal length."""
CLIP_M = (0.01, 100.0)
"""Nearest and farthest that a camera sees, as the add-on sets it."""
APERTURE_UNITS_PER_M = 10.0
"""UsdGeomCamera counts focal length and aperture in tenths of the stage's unit."""


def export_usd(folder: Path, out: Path, progress: Progress | None = None) -> Path:
    """Write the cache at ``folder`` as ``out``, a ``.usdc`` (or ``.usd``) file that appears whole. Returns ``out``.

    Raises ``DamagedCache`` if the cache lacks a file, ``CacheError`` if nothing is baked, ``out`` has another ending,
    or it cannot be written.
    """
    if out.suffix not in (".usdc", ".usd"):
        raise CacheError(f"{out.name} must end in .usdc (or .usd); give the USD file such a name.")
    cache = Cache(folder)
    if cache.meta.frames == 0:
        raise CacheError(f"The cache at {folder} has no frames yet; bake a round first.")
    with whole_file(out) as work:
        try:
            _write(cache, work.resolve(), progress or Progress())
        except Tf.ErrorException as error:
            reason = " ".join(str(error).split())
            raise CacheError(
                f"{out} could not be written ({reason}); choose another place or make room."
            ) from error
    cache.close()
    return out


def _write(cache: Cache, path: Path, progress: Progress) -> None:
    meta = cache.meta
    stage = Usd.Stage.CreateNew(str(path))
    layer = stage.GetRootLayer()
    layer.documentation = f"{meta.name}: {meta.frames} frames, baked by Perpetua {meta.backend}"
    UsdGeom.SetStageMetersPerUnit(stage, UsdGeom.LinearUnits.meters)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    stage.SetTimeCodesPerSecond(meta.fps)
    stage.SetFramesPerSecond(meta.fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(meta.frames - 1)
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/Perpetua").GetPrim())
    _write_cameras(stage, meta.cameras)

    still = _Pair(stage, "Background", "BackgroundPoints", _degree(cache.background()))
    still.shape(cache.background(), None)
    still.colour(cache.background(), None)
    still.sheen(cache.background(), None)
    moving = _Pair(stage, "Splats", "SplatPoints", _degree(cache.frame(0)))
    colours_move = _colours_move(cache)
    if not colours_move:
        moving.colour(cache.frame(0), None)
    gathered = 0
    for round_ in meta.rounds:
        last = round_.start + round_.frames - 1
        for frame in range(round_.start, last + 1):
            splats = cache.frame(frame)
            gathered += moving.shape(splats, frame) + moving.sheen(splats, frame)
            # at both ends of the round, so that a reader's linear interpolation does not mix two rounds' colours
            if colours_move and (cache.radiance_moves(round_) or frame in (round_.start, last)):
                gathered += moving.colour(splats, frame)
            if gathered > SAVE_BYTES:
                layer.Save()
                gathered = 0
            progress((frame + 1) / meta.frames, f"frame {frame + 1} of {meta.frames}")
    layer.Save()


class _Pair:
    """A splat prim and its twin of points, which share their arrays in the file."""

    def __init__(self, stage: Any, splats: str, points: str, degree: int) -> None:
        self.degree = degree
        field = stage.DefinePrim(f"/Perpetua/{splats}", TYPE)
        types = Sdf.ValueTypeNames

        def attribute(name: str, kind: Any, variability: Any = Sdf.VariabilityVarying) -> Any:
            return field.CreateAttribute(name, kind, custom=False, variability=variability)

        self.positions = attribute("positions", types.Point3fArray)
        self.orientations = attribute("orientations", types.QuatfArray)
        self.scales = attribute("scales", types.Float3Array)
        self.opacities = attribute("opacities", types.FloatArray)
        self.sh = attribute("radiance:sphericalHarmonicsCoefficients", types.Float3Array)
        attribute("radiance:sphericalHarmonicsDegree", types.Int, Sdf.VariabilityUniform).Set(degree)
        attribute("projectionModeHint", types.Token, Sdf.VariabilityUniform).Set("perspective")
        attribute("sortingModeHint", types.Token, Sdf.VariabilityUniform).Set("zDepth")

        twin = UsdGeom.Points.Define(stage, f"/Perpetua/{points}")
        vertex = UsdGeom.Tokens.vertex
        primvars = UsdGeom.PrimvarsAPI(twin)
        self.points = twin.CreatePointsAttr()
        self.widths = twin.CreateWidthsAttr()
        twin.SetWidthsInterpolation(vertex)
        self.rotation = primvars.CreatePrimvar("rotation", types.QuatfArray, vertex)
        self.scale = primvars.CreatePrimvar("scale", types.Float3Array, vertex)
        self.base = primvars.CreatePrimvar("radiance:base", types.Color4fArray, vertex)
        self.display = primvars.CreatePrimvar("displayColor", types.Color3fArray, vertex)
        self.extents = (attribute("extent", types.Float3Array), twin.CreateExtentAttr())

    def shape(self, splats: Splats, time: Time) -> int:
        """Write where N splats are and what form they have. Returns the bytes written."""
        position, scale = splats["position"], splats["scale"]
        where = Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(position))
        form = Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(scale))
        # Gf.Quatf lies in memory as xyzw
        turn = Vt.QuatfArray.FromNumpy(np.ascontiguousarray(splats["rotation"][:, [1, 2, 3, 0]]))
        widths = WIDTH_IN_SCALES * scale.mean(axis=1, dtype=np.float32)
        _set(self.positions, where, time)
        _set(self.points, where, time)
        _set(self.scales, form, time)
        _set(self.scale, form, time)
        _set(self.orientations, turn, time)
        _set(self.rotation, turn, time)
        _set(self.widths, Vt.FloatArray.FromNumpy(widths), time)
        reach = EXTENT_IN_SCALES * scale.max(axis=1, keepdims=True, initial=0)
        if len(position):
            corners = np.stack([(position - reach).min(axis=0), (position + reach).max(axis=0)])
            for extent in self.extents:
                _set(extent, Vt.Vec3fArray.FromNumpy(corners), time)
        return 2 * int(position.nbytes + scale.nbytes + splats["rotation"].nbytes) + int(widths.nbytes)

    def colour(self, splats: Splats, time: Time) -> int:
        """Write the splats' colours and opacities. Returns the bytes written."""
        base = splats["radiance_base"]
        if not self.degree:
            _set(self.sh, Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(base[:, :3])), time)
        _set(self.opacities, Vt.FloatArray.FromNumpy(np.ascontiguousarray(base[:, 3])), time)
        _set(self.base, Vt.Vec4fArray.FromNumpy(np.ascontiguousarray(base)), time)
        _set(self.display, Vt.Vec3fArray.FromNumpy(linear_colour(base)), time)
        return 3 * int(base.nbytes)

    def sheen(self, splats: Splats, time: Time) -> int:
        """Write the coefficients of all degrees where there are higher ones, splat after splat. Returns the bytes written."""
        if not self.degree:
            return 0
        coefficients = gaussians_of(splats).sh.reshape(-1, 3).numpy()
        _set(self.sh, Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(coefficients)), time)
        return int(coefficients.nbytes)


def _set(attribute: Any, value: Any, time: Time) -> None:
    attribute.Set(value) if time is None else attribute.Set(value, time)


def _degree(splats: Splats) -> int:
    return degree_of(1 + splats[SHEEN].shape[1]) if SHEEN in splats else 0


def linear_colour(base: NDArray[np.float32]) -> NDArray[np.float32]:
    """radiance_base [N, 4] -> [N, 3] linear Rec. 709 in [0, 1], as displayColor wants it (IEC 61966-2-1)."""
    srgb = np.clip(0.5 + SH_C0 * base[:, :3].astype(np.float64), 0, 1)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.ascontiguousarray(linear, np.float32)


def _colours_move(cache: Cache) -> bool:
    rounds = cache.meta.rounds
    first, *others = (cache.frame(r.start)["radiance_base"] for r in rounds)
    return any(not np.array_equal(first, other) for other in others) or any(map(cache.radiance_moves, rounds))


def _write_cameras(stage: Any, records: list[CameraRecord]) -> None:
    UsdGeom.Scope.Define(stage, "/Perpetua/Cameras")
    for record in records:
        # a prim's name cannot begin with a digit
        name = Tf.MakeValidIdentifier(f"_{record.name}" if record.name[:1].isdigit() else record.name)
        while stage.GetPrimAtPath(f"/Perpetua/Cameras/{name}"):
            name += "_"
        camera = UsdGeom.Camera.Define(stage, f"/Perpetua/Cameras/{name}")
        camera.GetPrim().SetDisplayName(record.name)
        # USD multiplies row vectors, Blender column vectors; both look along -z with y up
        matrix = np.array(record.matrix_world, np.float64).reshape(4, 4)
        camera.AddTransformOp().Set(Gf.Matrix4d(matrix.T.tolist()))
        aperture = APERTURE_M * APERTURE_UNITS_PER_M
        camera.CreateHorizontalApertureAttr(aperture)
        camera.CreateVerticalApertureAttr(aperture * record.height / record.width)
        camera.CreateFocalLengthAttr(aperture / 2 / np.tan(np.radians(record.horizontal_fov_degrees) / 2))
        camera.CreateClippingRangeAttr(Gf.Vec2f(*CLIP_M))
        camera.GetPrim().SetCustomDataByKey("perpetua:role", record.role)
        camera.GetPrim().SetCustomDataByKey("perpetua:resolution", Gf.Vec2i(record.width, record.height))
