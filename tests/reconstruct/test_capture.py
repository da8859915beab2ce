"""A capture reads back as it was written, and views that do not belong together are refused by name."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from drawn_captures import Ball, capture_of
from PIL import Image

from perpetua.errors import CaptureError
from perpetua.exr import read_exr_depth, write_exr_depth
from perpetua.reconstruct.capture.capture import Capture, CapturedView, check, unprojected
from perpetua.reconstruct.capture.depth_file import read_depth
from perpetua.reconstruct.capture.folder import files_of, read_capture, write_capture
from perpetua.reconstruct.fit.start import start
from perpetua.scene.cameras import Camera

BALL: dict = {"ball": [Ball((0, 0, 0.08), 0.08)]}


@pytest.fixture(scope="module")
def capture() -> Capture:
    return capture_of(BALL, held_out=2)


def test_it_is_read_as_it_was_written(capture: Capture, tmp_path) -> None:
    write_capture(tmp_path, capture)
    again = read_capture(tmp_path)
    assert again.objects == ("ball",)
    assert again.metric
    assert len(again.held_out) == 2
    for view, other in zip(capture.views, again.views, strict=True):
        np.testing.assert_array_equal(view.rgb, other.rgb)
        np.testing.assert_array_equal(view.depth, other.depth)
        np.testing.assert_array_equal(view.objects, other.objects)
        np.testing.assert_allclose(view.camera.world_to_camera, other.camera.world_to_camera, atol=1e-9)
        np.testing.assert_allclose(view.camera.K, other.camera.K)


def test_unprojected_points_lie_where_they_were_seen(capture: Capture) -> None:
    view = capture.views[3]
    points = unprojected(view, np.argwhere(view.objects == 0))
    away = np.linalg.norm(points - [0, 0, 0.08], axis=1)
    np.testing.assert_allclose(away, 0.08, atol=1e-5)


def test_a_capture_can_be_moved(capture: Capture) -> None:
    turn = np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]])
    moved = capture.moved(turn, np.array([1.0, 2, 3]), 2.0)
    for view, other in zip(capture.views, moved.views, strict=True):
        where = np.argwhere(view.objects == 0)[:50]
        np.testing.assert_allclose(
            unprojected(other, where), 2 * unprojected(view, where) @ turn.T + [1, 2, 3], atol=1e-5
        )


def test_a_reduced_capture_sees_the_same(capture: Capture) -> None:
    view = capture.reduced(48).views[3]
    assert view.rgb.shape == (36, 48, 3)
    away = np.linalg.norm(unprojected(view, np.argwhere(view.objects == 0)) - [0, 0, 0.08], axis=1)
    assert np.median(np.abs(away - 0.08)) < 0.003
    assert capture.reduced(96).views[3] is capture.views[3]


def test_depth_is_written_to_exr_and_read_back(tmp_path) -> None:
    depth = np.random.default_rng(0).uniform(0.1, 9, (37, 21)).astype(np.float32)
    write_exr_depth(tmp_path / "d.exr", depth)
    np.testing.assert_array_equal(read_exr_depth(tmp_path / "d.exr"), depth)


def test_depth_is_read_from_png_in_millimetres(tmp_path) -> None:
    Image.fromarray(np.array([[0, 1500], [250, 65535]], np.uint16)).save(tmp_path / "d.png")
    np.testing.assert_allclose(read_depth(tmp_path / "d.png"), [[np.inf, 1.5], [0.25, 65.535]], rtol=1e-6)
    np.testing.assert_allclose(read_depth(tmp_path / "d.png", 0.01)[0, 1], 15.0, rtol=1e-6)


def test_small_gaps_in_depth_are_closed_and_the_sky_stays(tmp_path) -> None:
    true = np.tile(np.linspace(1, 2, 300, dtype=np.float32), (200, 1))
    holed = true.copy()
    holed[::3], holed[:, 7], holed[50:53, 50:55] = 0, np.nan, -1
    holed[:80, 200:] = 0  # no sensor's gap: nothing is there
    write_exr_depth(tmp_path / "d.exr", holed)
    found = read_depth(tmp_path / "d.exr")
    np.testing.assert_allclose(found[:, :197], true[:, :197], atol=0.02)
    assert np.isinf(found[4:70, 205:]).all()


@pytest.mark.parametrize(
    ("mode", "name", "said"),
    [("L", "d.png", "8 bits"), ("RGB", "d.png", "8 bits"), ("L", "d.jpg", "EXR or as 16-bit PNG")],
)
def test_what_is_no_depth_is_refused(tmp_path, mode: str, name: str, said: str) -> None:
    Image.new(mode, (8, 8)).save(tmp_path / name)
    with pytest.raises(CaptureError, match=said):
        read_depth(tmp_path / name)


def mirrored(view: CapturedView) -> CapturedView:
    return replace(view, depth=np.ascontiguousarray(view.depth[:, ::-1]))


def upside_down(view: CapturedView) -> CapturedView:
    return replace(view, depth=np.ascontiguousarray(view.depth[::-1]))


def half_as_deep(view: CapturedView) -> CapturedView:
    return replace(view, depth=view.depth * np.float32(0.5 if view.name in ("3.png", "4.png") else 1.0))


def of_rays(view: CapturedView) -> CapturedView:
    pose = view.camera.world_to_camera.copy()
    if view.name == "5.png":
        pose[:3, 3] += [0.25, 0.1, 0.3]
    return replace(view, camera=replace(view.camera, world_to_camera=pose))


def scaled(view: CapturedView) -> CapturedView:
    pose = view.camera.world_to_camera.copy()
    pose[0] *= -1
    return replace(view, camera=replace(view.camera, world_to_camera=pose))


def smaller(view: CapturedView) -> CapturedView:
    return replace(view, depth=view.depth[::2, ::2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (mirrored, "mirrored left to right"),
        (upside_down, "mirrored upside down"),
        (half_as_deep, r"cameras disagree: .*[34]\.png"),
        (of_rays, r"cameras disagree: .*5\.png"),
        (scaled, "mirrored or scaled"),
        (smaller, "48 x 36 pixels and the picture 96 x 72"),
    ],
)
def test_views_that_contradict_each_other_are_refused(change, said: str) -> None:
    # A ball to one side, so that a mirrored picture is another picture.
    solids: dict = {"ball": [Ball((0.09, 0.03, 0.08), 0.08)]}
    with pytest.raises(CaptureError, match=said):
        check(capture_of(solids, change=change))


def test_a_good_capture_passes(capture: Capture) -> None:
    check(capture)


def test_poses_in_other_axes_are_refused(capture: Capture) -> None:
    """With depth or without, and pictures that all look one way are no such thing."""

    def turned(view: CapturedView) -> CapturedView:
        pose = np.diag([1.0, -1.0, -1.0, 1.0]) @ view.camera.world_to_camera
        return replace(view, camera=replace(view.camera, world_to_camera=pose))

    def blind(view: CapturedView) -> CapturedView:
        return replace(view, depth=None)

    opencv = replace(capture, views=tuple(map(turned, capture.views)))
    for wrong in (opencv, replace(opencv, views=tuple(map(blind, opencv.views)))):
        with pytest.raises(CaptureError, match=r"look away from each other.*Blender's axes"):
            check(wrong)
    front = capture.front_view.camera
    row = [replace(front, world_to_camera=front.world_to_camera + np.eye(4, k=3) * x) for x in (0, 0.1, 0.2)]
    aligned = [blind(replace(capture.front_view, camera=camera, name=str(i))) for i, camera in enumerate(row)]
    check(replace(capture, views=tuple(aligned), held_out=(), front=0))


def test_too_few_views_are_refused(capture: Capture) -> None:
    with pytest.raises(CaptureError, match="2 pictures"):
        check(replace(capture, views=capture.views[:2]))


def test_cameras_in_one_place_are_refused(capture: Capture) -> None:
    pose = capture.views[0].camera
    same = tuple(replace(v, camera=Camera(pose.K, pose.world_to_camera, 96, 72)) for v in capture.views)
    with pytest.raises(CaptureError, match="stand in one place"):
        check(replace(capture, views=same))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("frames"), "no list of cameras"),
        (lambda r: r["frames"][0].pop("fl_x"), "focal length of images/0.png"),
        (lambda r: r["frames"][0]["transform_matrix"].pop(), "no 4 x 4 matrix"),
        (lambda r: r["frames"][0].update(file_path="images/none.png"), r"There is no picture at .*none\.png"),
        (
            lambda r: r["frames"][0].update(depth_file_path="/etc/depth.exr"),
            r"names /etc/depth\.exr, which is outside",
        ),
        (lambda r: r["frames"][0].update(file_path="images/../../0.png"), "outside of its folder"),
        (lambda r: r.update(objects=[]), "holds object number 1"),
        (lambda r: r.update(test_filenames=["images/x.png"]), r"names images/x\.png"),
    ],
)
def test_a_damaged_folder_is_refused(capture: Capture, tmp_path, change, said: str) -> None:
    write_capture(tmp_path, capture)
    record = json.loads((tmp_path / "transforms.json").read_text())
    change(record)
    if "none.png" in said:
        record["train_filenames"] = record["front_filename"] = None
    (tmp_path / "transforms.json").write_text(json.dumps(record))
    with pytest.raises(CaptureError, match=said):
        read_capture(tmp_path)


def test_a_sparse_cloud_comes_with_the_cameras(capture: Capture, tmp_path) -> None:
    write_capture(tmp_path, capture)
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (50, 3))
    colors = np.tile(np.array([[255, 0, 51, 255]], np.uint8), (50, 1))
    trimesh.PointCloud(points, colors).export(tmp_path / "sparse.ply")
    record = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").write_text(json.dumps({**record, "ply_file_path": "sparse.ply"}))
    read = read_capture(tmp_path)
    np.testing.assert_allclose(read.points, points, atol=1e-6)
    np.testing.assert_allclose(read.colors, np.tile([[1.0, 0, 0.2]], (50, 1)), atol=1e-6)
    assert tmp_path / "sparse.ply" in files_of(tmp_path)
    begun = start(replace(read, views=tuple(replace(v, depth=None) for v in read.views)), 200, 0)
    assert len(begun.means) == 200
    np.testing.assert_allclose(begun.means[:50], points, atol=1e-6)
    (tmp_path / "sparse.ply").write_bytes(b"ply nonsense")
    with pytest.raises(CaptureError, match=r"sparse\.ply is no readable cloud"):
        read_capture(tmp_path)


@pytest.mark.parametrize("masks", [True, False])
def test_without_depth_gaussians_start_in_the_hull_and_around(capture: Capture, masks: bool) -> None:
    bare = replace(
        capture,
        views=tuple(replace(v, depth=None, objects=v.objects if masks else None) for v in capture.views),
        objects=capture.objects if masks else (),
    )
    begun = start(bare, 400, 0)
    assert len(begun.means) == 400
    assert ((begun.colors >= 0) & (begun.colors <= 1)).all()
    in_ball = np.linalg.norm(begun.means - [0, 0, 0.08], axis=1) < 0.1
    assert (in_ball.mean() > 0.5) == masks


def test_a_folder_without_cameras_is_refused(tmp_path) -> None:
    with pytest.raises(CaptureError, match=r"no transforms\.json"):
        read_capture(tmp_path)
