"""A set of clips from folders to figures, intervals and page, through the command."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from perpetua.cli.main import run
from perpetua.errors import ClipError
from perpetua.evaluate.video.clip_figures import measure
from perpetua.evaluate.video.figures import CURVES, FIGURES
from perpetua.evaluate.video.intervals import bootstrap
from perpetua.evaluate.video.learned import frechet, lpips
from perpetua.evaluate.video.published import TABLES
from perpetua.evaluate.video.suite import matched


def test_the_truth_against_itself_is_perfect(world):
    found = measure(world, replace(world, take_2=world.rgb))
    zero = ("depth.abs_rel", "depth.rmse", "flow.epe", "flow.fl_all", "chamfer_4d.table", "chamfer_4d.reward",
            "worldlines.l2", "worldlines.final_drift", "worldlines.fail_rate", "novel_time.warp", "physics_iq.mse")  # fmt: skip
    for key in zero:
        assert found.figures[key] == 0, key
    for key in (
        "depth.delta1",
        "depth.coverage",
        "depth_scaled.scale",
        "physics_iq.st_iou",
        "physics_iq.ws_iou",
    ):
        assert found.figures[key] == 1, key
    assert found.figures["worldlines.length_percent"] == 100
    assert set(found.unavailable) == {"picture.lpips", "rgb_warp.lpips"}
    assert set(found.figures) == set(FIGURES) - {"picture.lpips", "rgb_warp.lpips"}
    assert set(found.curves) == set(CURVES)


def test_a_picture_alone_is_measured_as_far_as_it_goes(world):
    bare = replace(world, depth=None, flow=None, scene_flow=None, masks=None, cameras=None)
    found = measure(bare, world)
    assert "picture.ssim" in found.figures
    assert "flow.epe" not in found.figures
    assert found.unavailable["flow"] == "the prediction has no flow"
    assert found.unavailable["worldlines"] == "the prediction has no depth"
    assert found.unavailable["physics_iq.score"].endswith("has no second take (take_2.mp4)")
    still = replace(world, flow=replace(world.flow, forward=0 * world.flow.forward))
    assert measure(still, world).unavailable["chamfer_4d.reward"] == "nothing moves in the prediction"


def test_the_shape_of_the_published_tables():
    known = {*FIGURES, "physics_iq.score", "fvd"}
    for table in TABLES:
        assert {c.key for c in table.columns} <= known
        assert all(len(row) == len(table.columns) for row in table.rows.values())


def test_intervals_hold_the_mean_and_shrink():
    rng = np.random.default_rng(0)
    few, many = bootstrap(rng.normal(3, 1, 10)), bootstrap(rng.normal(3, 1, 1000))
    assert few.ci95[0] < few.mean < few.ci95[1]
    low, high = many.ci95
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.1)
    assert bootstrap([2.0]).ci95 is None
    assert bootstrap([]) is None


@pytest.fixture
def folders(world, scaled, write_clip):
    """Two true clips with second takes, a prediction that is a tenth too far away and one that is right but dark."""
    for number, clip in enumerate((world, replace(world, rgb=world.rgb[:, ::-1]))):
        dark = replace(clip, rgb=clip.rgb // 2)
        write_clip(replace(clip, take_2=clip.rgb), f"truth/ball{number}")
        write_clip(replace(clip, depth=scaled.depth), f"pred/ball{number}")
        folder = write_clip(dark, f"base/ball{number}")
    return folder.parents[1]


def test_the_command_measures_compares_and_writes_a_page(folders, capsys):
    page = folders / "report.html"
    asked = [
        "--pred",
        folders / "pred",
        "--truth",
        folders / "truth",
        "--baseline",
        folders / "base",
        "--html",
        page,
    ]
    assert run(["evaluate", "video", *map(str, asked), "--json"]) == 0
    said = capsys.readouterr()
    found = msgspec.json.decode(said.out)
    assert found["means"]["depth.abs_rel"]["mean"] == pytest.approx(0.1, abs=1e-6)
    assert found["paired"]["depth.abs_rel"]["mean"] == pytest.approx(0.1, abs=1e-6)
    assert found["paired"]["picture.psnr"]["ci95"][0] > 50
    assert found["means"]["picture.psnr"]["clips"] == 2
    assert found["physics_iq_score"] == 100
    assert found["clips"]["ball0"]["unavailable"]["picture.lpips"].startswith("no LPIPS weights")
    assert "fvd" in found["unavailable"]
    assert sorted(found["worst_first"]) == ["ball0", "ball1"]
    assert "AbsRel" in said.err
    text = page.read_text()
    assert text.count("data:video/mp4;base64,") == 2
    assert text.count("class='ours'") == 8
    for title in ("Table 2", "Table 3", "Table 4", "Table 5"):
        assert title in text
    assert "src='http" not in text


def test_one_clip_against_one(folders, capsys):
    asked = [
        "evaluate",
        "video",
        "--pred",
        str(folders / "pred/ball0"),
        "--truth",
        str(folders / "truth/ball0"),
    ]
    assert run([*asked, "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["means"]["flow.epe"] == {
        "mean": 0,
        "ci95": None,
        "clips": 1,
    }


@pytest.mark.parametrize(
    ("pred", "truth", "said"),
    [
        ("pred", "nowhere", "There is no folder"),
        ("empty", "truth", "holds no clip"),
        ("more", "truth", "has no clip of the same name"),
    ],
)
def test_folders_that_cannot_be_paired(folders, world, write_clip, capsys, pred, truth, said):
    (folders / "empty").mkdir()
    write_clip(world, "more/other")
    assert run(["evaluate", "video", "--pred", str(folders / pred), "--truth", str(folders / truth)]) == 1
    assert said in capsys.readouterr().err


def test_clips_that_do_not_match(world):
    with pytest.raises(ClipError, match="ball has 5 frames and ball 7; cut"):
        matched(replace(world, rgb=world.rgb[:5]), world)
    with pytest.raises(ClipError, match="is 32x48 pixels and ball 64x48; resize"):
        matched(replace(world, rgb=world.rgb[:, :, :32]), world)
    with pytest.raises(ClipError, match=r"24 frames a second and ball 12; .* --resample"):
        matched(replace(world, fps=24.0), world)
    pred, truth = matched(replace(world, fps=6.0, rgb=world.rgb[::2]), world, resample=True)
    assert pred.frames == truth.frames == 3
    assert truth.depth is None


class Halves(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean([1, 2, 3])


@pytest.mark.filterwarnings(
    "ignore:.torch.jit:DeprecationWarning"
)  # still the form in which such weights are published
def test_learned_measures_take_the_users_model(world, tmp_path):
    pair = (torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    traced = torch.jit.trace(Halves(), pair)
    traced.save(str(tmp_path / "lpips.pt"))
    distance = lpips(tmp_path / "lpips.pt")
    assert distance(world.rgb[0], world.rgb[0]) == 0
    expected = np.abs(world.rgb[0].astype(float) - world.rgb[3]).mean() / 127.5
    assert distance(world.rgb[0], world.rgb[3]) == pytest.approx(expected, rel=1e-5)


def test_the_frechet_distance_of_known_normals():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, (4000, 3))
    b = rng.normal(0, 1, (4000, 3)) * [2, 1, 1] + [0, 3, 0]
    assert frechet(a, b) == pytest.approx(9 + 1, rel=0.05)
    assert frechet(a, rng.permutation(a)) == pytest.approx(0, abs=1e-6)
    few = rng.normal(0, 1, (3, 40))
    assert frechet(few, few + 1) == pytest.approx(40)
