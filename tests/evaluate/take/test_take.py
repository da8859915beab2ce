"""A baked take judged by itself: geometry against known cameras, and a small cache from end to end."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from perpetua.cache.writer import CacheWriter
from perpetua.cli.main import run
from perpetua.evaluate.take.flicker import flicker, flow_return_error
from perpetua.evaluate.take.geometry import camera_error, reprojection_errors
from perpetua.evaluate.take.suite import judge
from perpetua.evaluate.take.views import views_of
from perpetua.mp4 import write_video
from perpetua.scene import Camera
from perpetua_protocol.cache import SH_C0, Cache, CacheMeta, CameraRecord, RoundRecord
from perpetua_protocol.take import Click, ObjectSpec, Take

WIDTH, HEIGHT, FRAMES = 160, 96, 4
SIDE = 60
"""Splats along a side of the wall."""


def record(name: str, x: float) -> CameraRecord:
    """A camera at (x, -2, 0) m that looks along y."""
    matrix = (1.0, 0, 0, x, 0, 0, -1.0, -2.0, 0, 1.0, 0, 0, 0, 0, 0, 1.0)
    return CameraRecord(name, "front" if x == 0 else "side", matrix, 40.0, WIDTH, HEIGHT)


def camera(x: float) -> Camera:
    matrix = np.array(record("c", x).matrix_world).reshape(4, 4)
    return Camera.from_blender(matrix, 40.0, WIDTH, HEIGHT)


def sheet(side: int, half: float, y: float, seed: int) -> dict[str, np.ndarray]:
    """A square of splats that faces the cameras, in soft random colours."""
    rng = np.random.default_rng(seed)
    x, z = (a.ravel() for a in np.meshgrid(*[np.linspace(-half, half, side)] * 2))
    colour = rng.uniform(-0.5, 0.5, (side // 3 + 1, side // 3 + 1, 3)).repeat(3, 0).repeat(3, 1)[:side, :side]
    step = 2 * half / (side - 1)
    return {
        "position": np.stack([x, np.full_like(x, y), z], 1).astype(np.float32),
        "rotation": np.tile(np.float32([1, 0, 0, 0]), (side**2, 1)),
        "scale": np.tile(np.float32([0.6 * step, 0.001, 0.6 * step]), (side**2, 1)),
        "radiance_base": np.concatenate([colour.reshape(-1, 3) / SH_C0, np.full((side**2, 1), 0.95)], 1).astype(np.float32),
    }  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A wall and a plate before it that rises 1 cm a frame, seen by three cameras."""
    folder = tmp_path_factory.mktemp("take") / "cache"
    meta = CacheMeta(
        name="plate", fps=12.0, rounds=[], cameras=[record("front", 0.0), record("left", -0.4), record("right", 0.4)], bodies=[],
        background=SIDE**2, foreground=400, particles=9, particle_spacing=0.01, lower=(0.0, 0.0, 0.0), upper=(1.0, 1.0, 1.0),
        files={}, take=Take("plate", "p.png", (ObjectSpec("plate", (Click(1, 1),)),)), backend="0",
    )  # fmt: skip
    writer = CacheWriter(folder, meta)
    wall = sheet(SIDE, 1.0, 0.6, 0)
    wall["position"][:, 1] += (
        0.3 * np.sin(4 * wall["position"][:, 0]) * np.cos(4 * wall["position"][:, 2])
    )  # a flat one tells little of a camera
    writer.add_background("b" * 64, lambda: wall)
    plate = sheet(20, 0.2, 0.0, 1)

    def frames(first: int, count: int) -> dict[str, np.ndarray]:
        out = {k: np.repeat(v[None], count, 0) for k, v in plate.items() if k != "radiance_base"}
        out["position"] = out["position"].copy()
        out["position"][..., 2] += 0.01 * np.arange(first, first + count)[:, None]
        return {**out, "radiance_base": plate["radiance_base"]}

    writer.add_round(RoundRecord(0, 0, 1, "", "0" * 64, "0" * 64, 0.0), lambda: frames(0, 1))
    writer.add_round(RoundRecord(1, 1, FRAMES, "", "1" * 64, "0" * 64, 0.0), lambda: frames(1, FRAMES))
    writer.finish()
    return folder


@pytest.fixture(scope="module")
def scene(cache):
    """(views, still points, moving points) of the round."""
    opened = Cache(cache)
    round_ = opened.meta.rounds[1]
    moving = np.asarray(opened.array(f"{round_.folder}/position.npy"))
    return views_of(opened, round_, WIDTH, None), np.asarray(opened.background()["position"]), moving


def points_and_pixels(cameras: list[Camera]) -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (40, 3))
    return points, np.stack([c.project(points)[0] for c in cameras])


def test_tracks_of_one_world_reproject_exactly():
    cameras = [camera(x) for x in (-0.4, 0, 0.4)]
    _, pixels = points_and_pixels(cameras)
    pixels[0, :5] = np.nan
    pixels[1:, 5] = np.nan  # one view only
    found = reprojection_errors(cameras, pixels)
    assert np.isnan(found[5])
    assert np.nanmax(found) < 1e-6


def test_a_view_that_is_off_reprojects_as_far():
    cameras = [camera(x) for x in (-0.4, 0.4)]
    _, pixels = points_and_pixels(cameras)
    pixels[1, :, 1] += 2  # across the epipolar lines: half of it is left in each view
    assert reprojection_errors(cameras, pixels) == pytest.approx(1.0, rel=0.01)
    pixels[1, :, 1] -= 2
    pixels[1, :, 0] += 2  # along them two views cannot tell
    assert reprojection_errors(cameras, pixels).max() < 1e-3


def test_the_camera_that_was_used_is_found():
    asked = camera(0.0)
    points, _ = points_and_pixels([asked])
    angle = math.radians(1.5)
    turn = np.eye(4)
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    shift = np.eye(4)
    shift[:3, 3] = asked.camera_to_world[:3, :3] @ [0.03, 0.0, 0.04]
    place = shift @ asked.camera_to_world @ turn
    used = replace(asked, world_to_camera=np.linalg.inv(place))
    degrees, metres = camera_error(asked, points, used.project(points)[0])
    assert degrees == pytest.approx(1.5, abs=1e-3)
    assert metres == pytest.approx(0.05, abs=1e-5)
    assert camera_error(asked, points[:7], used.project(points[:7])[0]) is None


def test_flicker_is_that_of_still_pixels():
    rgb = np.full((4, 8, 8, 3), 100, np.uint8)
    rgb[1::2] += 6
    rgb[:, :4] = np.random.default_rng(0).integers(0, 255, (4, 4, 8, 3))
    covered = np.zeros((4, 8, 8), bool)
    covered[:, :4] = True
    assert flicker(rgb, covered) == 6
    assert flicker(rgb, np.ones_like(covered)) is None


def test_the_caches_own_pictures_hold_together(scene):
    judged = judge(*scene)
    found = judged.figures
    assert found.tracks > 100
    assert found.reprojection_px < 0.2
    assert found.following_px < 0.3
    assert found.camera_degrees < 0.3
    assert found.flicker < 0.05
    assert found.flow_return_px < 0.5
    for key, curve in judged.curves.items():
        assert len(curve) == FRAMES - 1
        assert np.mean(curve) == pytest.approx(getattr(found, key), rel=0.2, abs=1e-6)


def test_a_view_that_drifts_is_noticed(scene):
    views, still, moving = scene
    fine = judge(*scene).figures
    drifting = np.stack([np.roll(frame, t, 0) for t, frame in enumerate(views[2].rgb)])
    found = judge([*views[:2], replace(views[2], rgb=drifting)], still, moving).figures
    assert found.reprojection_px > 3 * fine.reprojection_px
    assert found.following_px > fine.following_px + 0.3  # 1, 2 and 3 px in one of three views
    assert found.camera_error > 1.5 * fine.camera_error
    assert found.flicker > 1


def test_flow_that_comes_back_and_flow_that_does_not(scene):
    smooth = scene[0][0].rgb
    noise = np.random.default_rng(0).integers(0, 255, smooth.shape).astype(np.uint8)
    assert flow_return_error(noise) > 3 * flow_return_error(smooth)
    assert flow_return_error(smooth[:1]) is None


def test_the_command_judges_the_cache_and_videos_of_it(cache, scene, tmp_path, capsys):
    for view, name in zip(scene[0], ("front", "left", "right")):
        dark = (view.rgb * np.linspace(1, 0.9, FRAMES)[:, None, None, None]).astype(np.uint8)
        write_video(tmp_path / f"round_1_{name}.mp4", dark, 12.0, (WIDTH, HEIGHT))
    page = tmp_path / "page.html"
    assert run(["evaluate", "take", str(cache), "--width", str(WIDTH), "--json", "--html", str(page)]) == 0
    said = capsys.readouterr()
    own = msgspec.json.decode(said.out)
    assert own["rounds"]["1"] == own["mean"]
    assert "reprojection, px" in said.err
    assert run(["evaluate", "take", str(cache), "--videos", str(tmp_path), "--json"]) == 0
    judged = msgspec.json.decode(capsys.readouterr().out)["mean"]
    text = page.read_text()
    assert text.count("<svg") == 4
    assert text.count("<video") == 1
    assert own["worst_first"] == [1]
    assert own["mean"]["flicker"] < 0.05
    assert judged["flicker"] > 1


def test_what_cannot_be_judged_is_said(cache, tmp_path, capsys):
    assert run(["evaluate", "take", str(tmp_path / "nowhere")]) == 1
    assert "There is no cache" in capsys.readouterr().err
    assert run(["evaluate", "take", str(cache), "--videos", str(tmp_path)]) == 1
    assert "round_1_front.mp4; add it" in capsys.readouterr().err
    write_video(
        tmp_path / "round_1_front.mp4", np.zeros((2, HEIGHT, WIDTH, 3), np.uint8), 12.0, (WIDTH, HEIGHT)
    )
    assert run(["evaluate", "take", str(cache), "--videos", str(tmp_path)]) == 1
    assert "has 2 frames and round 1 4" in capsys.readouterr().err
