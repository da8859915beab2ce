"""The benchmark from end to end on a tiny scene, its report, and what it says to wrong input."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from perpetua.cli.main import run
from perpetua.evaluate.catalogue import loop_world
from perpetua.evaluate.report import as_html, as_json, as_rows, curves_svg
from perpetua.evaluate.suite import LoopSettings, RoundFigures, SceneResult, VariantFigures, evaluate_scene
from perpetua.loop.resume import StageStore
from perpetua.progress import Progress


def figures(drift: float, psnr: float = 30.0) -> RoundFigures:
    return RoundFigures(drift, drift, 2 * drift, 10.0, 3 * drift, 4 * drift, psnr, 0.1)


@pytest.fixture
def result(tmp_path) -> SceneResult:
    videos = {}
    for number, label in enumerate(("truth", "full")):
        paths = [tmp_path / f"{label}{r}.npy" for r in range(2)]
        for path in paths:
            np.save(path, np.full((4, 24, 32, 3), 40 * number, np.uint8))
        videos[label] = paths
    rounds = [figures(1.0), figures(3.0, math.inf)]
    found = {
        "full": VariantFigures.of(rounds, None),
        "positions_only": VariantFigures.of(rounds[:1], "It exploded."),
    }
    return SceneResult(loop_world("jelly"), 95.0, 500, found, videos)


def test_the_last_round_is_final_and_the_rest_are_means(result):
    scenes = msgspec.json.decode(as_json([result], LoopSettings()))["scenes"]["jelly"]
    assert scenes["full"]["final_drift_mm"] == 3.0
    assert scenes["full"]["drift_mm"] == 2.0
    assert scenes["full"]["forecast_drift_mm"] == 6.0
    assert scenes["full"]["psnr_db"] is None  # of a picture that equals the truth
    assert len(scenes["full"]["rounds"]) == 2
    assert scenes["positions_only"]["final_drift_mm"] is None
    assert scenes["positions_only"]["failed"] == "It exploded."


def test_the_page_needs_no_other_file(result):
    page = as_html([result], LoopSettings())
    assert "data:video/mp4;base64," in page
    assert "stopped in round 2: It exploded." in page
    assert page.count("<svg") == 3
    assert "src='http" not in page
    assert as_rows(result)[1][0][1] == "3.0"


def test_a_curve_has_a_line_for_each_variant(result):
    assert curves_svg(result.figures, "final_drift_mm").count("<polyline") == 2
    assert curves_svg({}, "final_drift_mm") == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--scene", "cheese"], "no scene called 'cheese'"),
        (["--variant", "magic"], "no variant called 'magic'"),
        (["--rounds", "0"], "at least one round"),
        (["--renders", "0"], "at least one render"),
        (["--out", __file__], "cannot be made"),
        (["--html", f"{__file__}/page.html"], "cannot be made"),
    ],
)
def test_wrong_input_is_said_in_one_sentence(arguments, sentence, capsys, tmp_path):
    assert run(["evaluate", "loop", "--out", str(tmp_path), *arguments]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_a_tiny_scene_from_end_to_end(tmp_path):
    settings = LoopSettings(rounds=1, frames=4, width=96, height=64, renders=40)
    variants = ("simulator", "full", "true_state")
    first = evaluate_scene("jelly", variants, settings, StageStore(tmp_path), Progress())
    again = evaluate_scene("jelly", ("full",), settings, StageStore(tmp_path), Progress())
    assert again.figures["full"] == first.figures["full"]
    alone, corrected, told = (first.figures[name] for name in variants)
    assert alone.final_drift_mm > 1.0
    assert corrected.final_drift_mm < 0.7 * alone.final_drift_mm
    assert corrected.psnr_db > alone.psnr_db
    assert told.final_drift_mm == alone.final_drift_mm  # it is told after the round
    assert told.velocity_error_mm_s == pytest.approx(0.0, abs=1e-6)
    assert told.forecast_drift_mm < alone.forecast_drift_mm
    assert np.load(first.videos["truth"][0]).shape == (5, 64, 96, 3)
