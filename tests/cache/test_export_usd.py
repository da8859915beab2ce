"""OpenUSD: read back with pxr, frame n of the take stands at time code n, to the bit."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from pxr import Usd, UsdGeom, UsdValidation, UsdVol

from perpetua.cache import export_usd as module
from perpetua.cache.export_usd import export_usd, linear_colour
from perpetua.errors import CacheError, Cancelled
from perpetua.progress import Progress
from perpetua_protocol.cache import SH_C0, Cache

FRAMES = 6


def quaternions(array) -> np.ndarray:
    """wxyz, through the type's own accessors."""
    return np.array([[q.GetReal(), *q.GetImaginary()] for q in array], np.float32)


def assert_splats(prim: Usd.Prim, splats: dict[str, np.ndarray], time: Usd.TimeCode) -> None:
    field = UsdVol.ParticleField3DGaussianSplat(prim)
    assert field, f"{prim.GetPath()} is no splat prim"
    value = lambda name: prim.GetAttribute(name).Get(time)  # noqa: E731
    base = splats["radiance_base"]
    np.testing.assert_array_equal(value("positions"), splats["position"])
    np.testing.assert_array_equal(value("scales"), splats["scale"])
    np.testing.assert_array_equal(quaternions(value("orientations")), splats["rotation"])
    np.testing.assert_array_equal(value("opacities"), base[:, 3])
    np.testing.assert_array_equal(value("radiance:sphericalHarmonicsCoefficients"), base[:, :3])
    assert value("radiance:sphericalHarmonicsDegree") == 0


def assert_points(prim: Usd.Prim, splats: dict[str, np.ndarray], time: Usd.TimeCode) -> None:
    points = UsdGeom.Points(prim)
    assert points
    np.testing.assert_array_equal(points.GetPointsAttr().Get(time), splats["position"])
    np.testing.assert_allclose(points.GetWidthsAttr().Get(time), 4 * splats["scale"].mean(1), rtol=1e-6)
    primvars = UsdGeom.PrimvarsAPI(prim)
    value = lambda name: primvars.GetPrimvar(name).Get(time)  # noqa: E731
    np.testing.assert_array_equal(value("scale"), splats["scale"])
    np.testing.assert_array_equal(quaternions(value("rotation")), splats["rotation"])
    np.testing.assert_array_equal(value("radiance:base"), splats["radiance_base"])
    np.testing.assert_array_equal(value("displayColor"), linear_colour(splats["radiance_base"]))


@pytest.mark.parametrize("colours_move", [False, True])
def test_every_frame_is_the_caches(make_cache, tmp_path, colours_move):
    cache = Cache(make_cache(colours_move))
    stage = Usd.Stage.Open(str(export_usd(cache.folder, tmp_path / "out" / "toy.usdc")))
    at = stage.GetPrimAtPath
    for frame in range(FRAMES):
        assert_splats(at("/Perpetua/Splats"), cache.frame(frame), frame)
        assert_points(at("/Perpetua/SplatPoints"), cache.frame(frame), frame)
    for time in (Usd.TimeCode.Default(), 3):
        assert_splats(at("/Perpetua/Background"), cache.background(), time)
        assert_points(at("/Perpetua/BackgroundPoints"), cache.background(), time)


def test_the_stage_counts_metres_z_up_and_the_takes_frames(make_cache, tmp_path):
    stage = Usd.Stage.Open(str(export_usd(make_cache(), tmp_path / "toy.usdc")))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z
    assert (stage.GetTimeCodesPerSecond(), stage.GetFramesPerSecond()) == (25, 25)
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, FRAMES - 1)
    assert stage.GetDefaultPrim().GetPath() == "/Perpetua"
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".usdc"] == ["toy.usdc"], "debris"


def test_every_attribute_is_one_the_schemas_know(make_cache, tmp_path):
    stage = Usd.Stage.Open(str(export_usd(make_cache(), tmp_path / "toy.usdc")))
    for prim in stage.Traverse():
        known = set(prim.GetPrimDefinition().GetPropertyNames())
        for attribute in prim.GetAuthoredAttributes():
            name = attribute.GetName()
            if name.startswith(("primvars:", "xformOp:")):
                continue
            assert name in known, f"{attribute.GetPath()} is not in the schema"
            assert not attribute.IsCustom()
            schema = prim.GetPrimDefinition().GetAttributeDefinition(name)
            assert attribute.GetTypeName() == schema.GetTypeName()
            assert attribute.GetVariability() == schema.GetVariability()


def test_openusds_own_validators_find_nothing(make_cache, tmp_path):
    stage = Usd.Stage.Open(str(export_usd(make_cache(), tmp_path / "toy.usdc")))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 10
    errors = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [(e.GetName(), e.GetMessage()) for e in errors] == []


def test_the_same_cache_gives_the_same_bytes(make_cache, tmp_path):
    folder = make_cache()
    first, second = (export_usd(folder, tmp_path / name) for name in ("a.usdc", "b.usdc"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("colours_move", [False, True])
def test_only_what_moves_has_time_samples(make_cache, tmp_path, colours_move):
    stage = Usd.Stage.Open(str(export_usd(make_cache(colours_move), tmp_path / "toy.usdc")))
    # the picture, then rounds of three and two frames: a sample at both ends of each, none between
    ends = [0.0, 1.0, 3.0, 4.0, 5.0] if colours_move else []
    samples = {
        attribute.GetName(): attribute.GetTimeSamples()
        for name in ("Splats", "SplatPoints")
        for attribute in stage.GetPrimAtPath(f"/Perpetua/{name}").GetAuthoredAttributes()
    }
    for name in ("positions", "orientations", "scales", "points", "widths", "primvars:rotation", "extent"):
        assert samples[name] == [float(n) for n in range(FRAMES)], name
    for name in ("opacities", "radiance:sphericalHarmonicsCoefficients", "primvars:radiance:base"):
        assert samples[name] == ends, name
    for name in ("Background", "BackgroundPoints", "Cameras/front"):
        for attribute in stage.GetPrimAtPath(f"/Perpetua/{name}").GetAuthoredAttributes():
            assert attribute.GetNumTimeSamples() == 0, attribute.GetPath()


def test_no_primvar_is_one_that_blender_drops_others_after(make_cache, tmp_path):
    stage = Usd.Stage.Open(str(export_usd(make_cache(), tmp_path / "toy.usdc")))
    types = {
        primvar.GetPrimvarName(): primvar.GetTypeName()
        for primvar in UsdGeom.PrimvarsAPI(stage.GetPrimAtPath("/Perpetua/SplatPoints")).GetAuthoredPrimvars()
    }
    assert {name: str(kind) for name, kind in types.items()} == {
        "rotation": "quatf[]", "scale": "float3[]", "radiance:base": "color4f[]", "displayColor": "color3f[]",
    }  # fmt: skip


def test_the_extent_holds_every_splat(make_cache, tmp_path):
    cache = Cache(make_cache())
    stage = Usd.Stage.Open(str(export_usd(cache.folder, tmp_path / "toy.usdc")))
    splats = cache.frame(3)
    reach = 3 * splats["scale"].max(1, keepdims=True)
    for name in ("Splats", "SplatPoints"):
        low, high = np.array(stage.GetPrimAtPath(f"/Perpetua/{name}").GetAttribute("extent").Get(3))
        np.testing.assert_allclose(low, (splats["position"] - reach).min(0), rtol=1e-6)
        np.testing.assert_allclose(high, (splats["position"] + reach).max(0), rtol=1e-6)


def test_cameras_see_what_the_takes_cameras_see(make_cache, tmp_path):
    cache = Cache(make_cache())
    stage = Usd.Stage.Open(str(export_usd(cache.folder, tmp_path / "toy.usdc")))
    prims = stage.GetPrimAtPath("/Perpetua/Cameras").GetChildren()
    assert [p.GetName() for p in prims] == ["front", "_2_left"]
    for record, prim in zip(cache.meta.cameras, prims, strict=True):
        frustum = UsdGeom.Camera(prim).GetCamera(0).frustum
        assert prim.GetDisplayName() == record.name
        world = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(0)).T
        np.testing.assert_allclose(world, np.reshape(record.matrix_world, (4, 4)), atol=1e-7)
        window = frustum.GetWindow().GetSize()  # at distance 1
        fov = np.degrees(2 * np.arctan(window[0] / 2))
        np.testing.assert_allclose(fov, record.horizontal_fov_degrees, rtol=1e-6)
        np.testing.assert_allclose(window[0] / window[1], record.width / record.height, rtol=1e-6)
        near = frustum.GetNearFar().GetMin()
        assert near < 0.05, "a scene on a table lies within a metre of the camera"
    focal_mm = UsdGeom.Camera(prims[0]).GetFocalLengthAttr().Get() / 10 * 1000
    np.testing.assert_allclose(focal_mm, 18 / np.tan(np.radians(20)), rtol=1e-6)


def test_display_colours_are_linear():
    srgb = np.array([0.0, 0.04, 0.5, 1.0, 2.0])
    base = np.repeat(((srgb - 0.5) / SH_C0)[:, None], 4, 1).astype(np.float32)
    expected = [0.0, 0.04 / 12.92, 0.2140411, 1.0, 1.0]
    np.testing.assert_allclose(linear_colour(base)[:, 0], expected, atol=1e-6)


def test_saving_after_every_frame_writes_the_same(make_cache, tmp_path, monkeypatch):
    cache = Cache(make_cache(colours_move=True))
    monkeypatch.setattr(module, "SAVE_BYTES", 0)
    stage = Usd.Stage.Open(str(export_usd(cache.folder, tmp_path / "small.usdc")))
    for frame in range(FRAMES):
        assert_splats(stage.GetPrimAtPath("/Perpetua/Splats"), cache.frame(frame), frame)
        assert_points(stage.GetPrimAtPath("/Perpetua/SplatPoints"), cache.frame(frame), frame)


def test_a_cancelled_export_leaves_the_file_before_it(make_cache, tmp_path):
    folder, out = make_cache(), tmp_path / "out" / "toy.usdc"
    out.parent.mkdir()
    out.write_bytes(b"before")
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        export_usd(folder, out, Progress(cancelled=lambda: next(asked)))
    assert [p.name for p in out.parent.iterdir()] == ["toy.usdc"]
    assert out.read_bytes() == b"before"


def test_another_ending_is_refused(make_cache, tmp_path):
    with pytest.raises(CacheError, match=r"toy\.ply must end in \.usdc"):
        export_usd(make_cache(), tmp_path / "toy.ply")


def test_a_place_that_cannot_be_written_is_named(make_cache, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match=r"toy\.usdc could not be written"):
        export_usd(make_cache(), tmp_path / "file" / "toy.usdc")


def test_nothing_baked_is_said(make_cache, tmp_path):
    folder = make_cache()
    empty = msgspec.structs.replace(Cache(folder).meta, rounds=[])
    (folder / "meta.json").write_bytes(msgspec.json.encode(empty))
    with pytest.raises(CacheError, match="no frames yet"):
        export_usd(folder, tmp_path / "toy.usdc")
