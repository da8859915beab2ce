"""The benchmark runs and reports; it asserts no times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from perpetua.errors import RenderError
from perpetua.render import rasterization
from perpetua.render.bench import run
from perpetua.render.bench.fresh import first_draws, memory_above_inputs_mb
from perpetua.render.bench.plot import Curve
from perpetua.render.bench.report import CurvePlan, Plan, against_gsplat
from perpetua.render.bench.scenes import view
from perpetua.render.bench.timing import Way, costs
from perpetua.render.bench.vectors import LEAST, check, vector_share
from perpetua.render.numba_backend.compile import careful_kernel
from perpetua.render.numba_backend.lanes import LANES, load, store

QUICK = Plan(
    gaussians=(100, 200), repetitions=1, slow_gaussians=40, slow_size=(32, 20), fresh_processes=False
)
FEW = CurvePlan(gaussians=(50, 100), sizes=((32, 18), (64, 36)), at_each_size=60, repetitions=1)


def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    run(json=True, plot=tmp_path / "cost.png", plan=QUICK, curves=FEW)
    report = json.loads(capsys.readouterr().out)
    assert (report["width"], report["height"]) == (640, 360)
    assert [(row["gaussians"], row["threads"]) for row in report["cpu"]] == [
        (100, 1),
        (100, 2),
        (200, 1),
        (200, 2),
    ]
    for row in report["cpu"]:
        assert 0 < row["forward"]["cpu_ms"] < row["forward_backward"]["cpu_ms"]
        assert row["threads"] == 2 or row["forward_backward_speed_up"] == 1
    assert report["gsplat_torch"]["forward_ratio"] > 0
    assert set(report["vector_share"]) == set(LEAST)
    assert all(LEAST[name] < share < 1 for name, share in report["vector_share"].items())
    assert [row["gaussians"] for row in report["layers"]] == [100, 200]
    assert all(
        row["everything"]["cpu_ms"] > row["colour_alpha_depth"]["cpu_ms"] > 0 for row in report["layers"]
    )
    assert report["memory_above_inputs_mb"] is report["start"] is None
    assert (report["cuda"] is None) == (not torch.cuda.is_available())
    assert [curve["amount"] for curve in report["curves"]] == [[50, 100], [32 * 18, 64 * 36]]
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    assert torch.get_num_threads() == threads


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    run(plan=QUICK)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["100", "1"],
        ["100", "2"],
        ["200", "1"],
        ["200", "2"],
    ]
    assert "gsplat's torch code at 40 in 32 x 20" in lines[10]


def test_a_kernel_that_lost_its_vectors_is_named() -> None:
    """The same sum, in lanes and number by number (each needs the one before, so no compiler may put them side by side)."""

    @careful_kernel
    def in_lanes(a: np.ndarray, out: np.ndarray) -> None:
        total = load(a, 0)
        for at in range(LANES, a.shape[0], LANES):
            total = total * load(a, at) + load(a, at)
        store(out, 0, total)

    @careful_kernel
    def one_by_one(a: np.ndarray, out: np.ndarray) -> None:
        for at in range(1, a.shape[0]):
            out[0] = out[0] * a[at] + a[at]

    @careful_kernel
    def one_stage_by_itself(a: np.ndarray, out: np.ndarray) -> None:
        total = load(a, 0)
        for at in range(LANES, a.shape[0], LANES):
            total = total * load(a, at) + load(a, at)
            store(out, 0, total)
            for lane in range(1, LANES):
                out[lane] = out[lane - 1] ** out[lane]
            total = load(out, 0)
        store(out, 0, total)

    with pytest.raises(RenderError, match="one_by_one was not called yet"):
        vector_share(one_by_one)
    numbers, out = np.ones(4 * LANES, np.float32), np.ones(LANES, np.float32)
    kernels = (in_lanes, one_by_one, one_stage_by_itself)
    for kernel in kernels:
        kernel(numbers, out)
    shares = {kernel.__name__: vector_share(kernel) for kernel in kernels}
    assert (shares["in_lanes"], shares["one_by_one"]) == (1, 0)
    # A call in a loop of sixteen weighs as much as sixteen lanes at once.
    assert 0 < shares["one_stage_by_itself"] <= 2 / 3
    least = dict.fromkeys(shares, 0.86)
    with pytest.raises(RenderError, match=r"one_by_one \(0%, should be 86%\), one_stage_by_itself \("):
        check(shares, least)
    check({"in_lanes": 1.0}, least)


def test_the_line_of_a_curve() -> None:
    slope, intercept, explained = Curve("x", "", [1000, 2000, 4000], [3.0, 5.0, 9.0]).line()
    np.testing.assert_allclose([slope, intercept, explained], [2e-3, 1.0, 1.0])
    assert Curve("x", "", [1, 2, 3], [1.0, 2.0, 1.0]).line()[2] == pytest.approx(0)


def test_the_same_scene_is_seen_at_another_size() -> None:
    """Twice the pixels across, every splat twice as large: the same picture, sampled finer."""
    with torch.no_grad():
        small = rasterization(**view(500, 160, 90, 12.0))[0]
        large = rasterization(**view(500, 320, 180, 12.0))[0]
    halved = torch.nn.functional.avg_pool2d(large.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    assert small.mean() > 0.05
    assert (halved - small).abs().mean() < 0.01


def test_gradients_are_taken_to_all_inputs() -> None:
    scene = view(300, 64, 36)
    (cost,) = costs(scene, 1, Way())
    assert cost.forward.wall_ms > 0
    for name in ("means", "quats", "scales", "opacities", "colors"):
        assert scene[name].grad.abs().sum() > 0, name


def test_the_report_against_bare_gsplat(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on CUDA, here with our renderer on the CPU in gsplat's place."""
    monkeypatch.setattr("gsplat.rasterization", rasterization)
    rows = against_gsplat(QUICK, "cpu")
    assert [row["gaussians"] for row in rows] == [100, 200]
    for row in rows:
        ours, theirs = row["ours"]["forward_backward"], row["gsplat"]["forward_backward"]
        assert row["forward_backward_speed_of_gsplat"] == theirs["wall_ms"] / ours["wall_ms"]


@pytest.mark.slow
def test_fresh_processes() -> None:
    found = first_draws()
    assert found["first_process"]["draw_cpu_s"] > found["later_process"]["draw_cpu_s"] > 0
    assert found["later_process"]["import_s"] > 0
    memory = memory_above_inputs_mb(50_000)
    # At least the image and the gradients: 56 bytes a Gaussian, and 12 bytes a pixel.
    assert memory is None or memory > (50_000 * 56 + 640 * 360 * 12) / 1e6
