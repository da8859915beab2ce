"""A scene whose truth is known is measured: true scenes get good figures, spoiled ones bad, and the report holds what it promises."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from drawn_captures import Ball, capture_of, looking, seen_by

from perpetua.errors import CaptureError, UnknownNameError
from perpetua.evaluate.reconstruct.measures import measure
from perpetua.evaluate.reconstruct.report import BARS, as_html, as_json, as_rows
from perpetua.evaluate.reconstruct.suite import SceneResult, evaluate_scene
from perpetua.evaluate.reconstruct.truth import TruthScene, read_truth, rendered
from perpetua.evaluate.reconstruct.ways import WaySettings, with_depth
from perpetua.progress import Progress
from perpetua.reconstruct.capture.folder import write_capture
from perpetua.reconstruct.fit.train import FitSettings
from perpetua.scene import Scene

SOLIDS: dict = {"ball": [Ball((0.0, 0.0, 0.05), 0.05)]}
AT = np.array([0.0, 0.0, 0.05])
SETTINGS = WaySettings(FitSettings(1500, 30), particles=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ball")
    capture = capture_of(SOLIDS, 6, (96, 72), at=(0, 0, 0.05), held_out=1)
    front = looking(np.array([0, -0.48, 0.2]), AT, 96, 72)
    sides = [
        seen_by(front.orbited(d, AT, n, "side"), n, SOLIDS)
        for n, d in (("side_left.png", -20), ("side_right.png", 20))
    ]
    views = (seen_by(front, "front.png", SOLIDS), *capture.views)
    write_capture(place, replace(capture, views=views, held_out=(*capture.held_out, *sides)))
    (place / "truth").mkdir()
    ball = trimesh.creation.icosphere(4, 0.05)
    ball.apply_translation([0, 0, 0.05])
    ball.export(place / "truth" / "ball.obj")
    record = {
        "plane": {"normal": [0, 0, 1], "height": 0},
        "centre": [0, 0, 0.05],
        "objects": {"ball": {"mesh": "truth/ball.obj", "material": "clay", "resting": True}},
    }
    (place / "truth.json").write_text(json.dumps(record))
    return place


@pytest.fixture(scope="module")
def truth(folder: Path) -> TruthScene:
    return read_truth(folder)


@pytest.fixture(scope="module")
def scene(truth: TruthScene) -> Scene:
    return with_depth(truth, SETTINGS, Progress())


def test_views_are_sorted(truth: TruthScene) -> None:
    assert [v.name for v in truth.sides] == ["images/side_left.png", "images/side_right.png"]
    assert [v.name for v in truth.tests] == ["images/test_0.png"]
    assert truth.solids["ball"].volume == pytest.approx(4 / 3 * np.pi * 0.05**3, rel=0.01)


def test_a_good_scene_measures_well(truth: TruthScene, scene: Scene) -> None:
    figures = measure(truth, scene, True, 1.0, 1.0)
    assert figures.psnr_sides > 20
    assert figures.mask_iou > 0.9
    assert figures.plane_tilt_deg < 0.5
    assert figures.volume_error < 0.45
    assert figures.centroid_error < 0.2


def test_what_is_spoiled_shows(truth: TruthScene, scene: Scene) -> None:
    good = measure(truth, scene, True, 1.0, 1.0)
    matter = scene.particles.positions
    half = replace(
        scene,
        particles=replace(scene.particles, positions=matter + np.float32([0.02, 0, 0])),
        spacing=0.5 * scene.spacing,
    )
    bad = measure(truth, half, True, 1.0, 1.0)
    assert bad.volume_error > 0.8
    size = (4 / 3 * np.pi) ** (1 / 3) * 0.05
    assert bad.centroid_error == pytest.approx(np.hypot(good.centroid_error, 0.02 / size), abs=0.08)
    a = np.radians(3)
    pose = scene.camera.world_to_camera @ np.array(
        [[1, 0, 0, 0], [0, np.cos(a), -np.sin(a), 0], [0, np.sin(a), np.cos(a), 0], [0, 0, 0, 1]]
    )
    tilted = measure(
        truth, replace(scene, camera=replace(scene.camera, world_to_camera=pose)), True, 1.0, 1.0
    )
    assert tilted.plane_tilt_deg == pytest.approx(3, abs=good.plane_tilt_deg + 0.1)
    assert tilted.psnr_sides < good.psnr_sides - 2


def test_the_report(folder: Path) -> None:
    result = evaluate_scene("ball", folder, ["depth"], SETTINGS, Progress())
    record = json.loads(as_json([result]))["scenes"]["ball"]
    wanted = {
        "psnr_multi_view",
        "psnr_single_view",
        "mask_iou",
        "volume_error",
        "centroid_error",
        "plane_tilt_deg",
    }
    assert set(BARS) == wanted
    assert wanted | {"seconds", "peak_gib", "depth"} == set(record)
    assert record["psnr_multi_view"] is None
    assert record["psnr_single_view"] == record["depth"]["psnr_sides"] > 20
    assert record["seconds"] > 0
    assert record["peak_gib"] > 0.05
    assert result.pictures.shape == (2 * 72, 4 * 96, 3)
    page = as_html([result])
    assert "data:image/png;base64," in page
    assert "20 degrees left" in page
    head, rows = as_rows([SceneResult("ball", {}, result.pictures), result])
    assert len(rows) == 1
    assert len(head) == len(rows[0])


def test_what_cannot_be_rendered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="must be rendered by Blender"):
        rendered("clay_ball", tmp_path, 64, None)
    with pytest.raises(CaptureError, match=r"no truth\.json"):
        read_truth(tmp_path)


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    from perpetua.cli.evaluate_reconstruct import evaluate_reconstruct

    with pytest.raises(UnknownNameError, match="no scene called 'teapot'; choose one of: clay_ball"):
        evaluate_reconstruct(["teapot"], [], SETTINGS, 64, False, None, tmp_path)
    with pytest.raises(UnknownNameError, match="no way called 'magic'; choose one of: views, depth"):
        evaluate_reconstruct([], ["magic"], SETTINGS, 64, False, None, tmp_path)
