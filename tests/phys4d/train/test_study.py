"""All stages of the small network after each other, and what is held against what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import yaml

from perpetua.cli.evaluate_stages import evaluate_stages
from perpetua.errors import TrainingError
from perpetua.phys4d.train import study
from perpetua.phys4d.train.checkpoint import finished, read_state
from perpetua.phys4d.train.study import load_study, planned, train_study
from perpetua.progress import Progress
from perpetua.refine.space_time import weights
from perpetua.refine.space_time.network import Shape, SpaceTimeUNet

OTHERS = {"coarse", "kept background", "carried first frame", "temporal filter", "rl", "truth"}
"""Rows of the report that are no network."""


@pytest.fixture
def plan(pairs: Path, tmp_path: Path) -> dict[str, Any]:
    """As in YAML; the smallest there can be."""
    torch.manual_seed(0)
    network = SpaceTimeUNet(Shape((8,), 1))
    torch.nn.init.normal_(network.leave.weight, std=0.05)
    weights.save(tmp_path / "run" / "weights.safetensors", network, "{}", half=True)
    return {
        "model": str(tmp_path / "run" / "weights.safetensors"),
        "common": {
            "data": {"folder": str(pairs), "frames": 4, "width": 64, "height": 32},
            "steps": 1, "learning_rate": 1e-3, "head": {"channels": 8, "cell": 8}, "device": "cpu",
        },
        "heads": {"learning_rate": 1.0},  # one step and everything moves: else all videos are judged alike
        "sft": {"lora": {"rank": 2, "alpha": 2}, "weights": {"warp": 0.2}},
        "rl": {"scenes": 1, "group": 2, "rollout_steps": 2, "updates": 1, "worst_reward": -5000},
        "seeds": [0, 4],
        "ablations": {"no_depth": {"depth": 0}},
    }  # fmt: skip


def written(plan: dict[str, Any], folder: Path) -> Path:
    path = folder / "stages.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return path


def test_every_run_differs_in_what_is_compared_and_in_nothing_else(plan, tmp_path) -> None:
    runs = {run.name: run for run in planned(load_study(written(plan, tmp_path)), tmp_path / "out")}
    assert list(runs) == ["heads", "sft", "no_depth", "rl_0", "rl_4", "control"]

    def apart(one: str, other: str) -> dict[str, Any]:
        a, b = (msgspec.to_builtins(runs[name].config) for name in (one, other))
        return {key: (a[key], b[key]) for key in a if a[key] != b[key]}

    out = str(tmp_path / "out")
    assert apart("rl_4", "rl_0") == {"seed": (4, 0)}
    assert runs["rl_0"].config.start == f"{out}/sft"
    (found,) = apart("no_depth", "sft").values()
    assert (found[0]["depth"], found[1]["depth"]) == (0, 0.1)
    assert found[0]["warp"] == found[1]["warp"] == 0.2
    assert apart("control", "sft") == {
        "start": (f"{out}/sft", f"{out}/heads"),
        "same_compute_as": (f"{out}/rl_0", ""),
    }


def test_one_command_trains_all_and_compares(plan, pairs, tmp_path, monkeypatch, capsys) -> None:
    config, out = written(plan, tmp_path), tmp_path / "out"
    page = tmp_path / "page.html"
    assert evaluate_stages(config, out, pairs, "all", 1, 1, page, json=True) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["judged"] == "rl"
    assert {"base", "sft", "no_depth", "rl_0", "rl_4", "control"} < record["refiners"].keys()
    figures = next(iter(record["clips"].values()))["figures"]
    assert figures["rl"]["psnr"] == pytest.approx((figures["rl_0"]["psnr"] + figures["rl_4"]["psnr"]) / 2)
    pairs_of = {(row["of"], row["less"]): row["paired"] for row in record["compared"]}
    assert pairs_of["rl", "control"]["psnr"]["mean"] == pytest.approx(
        figures["rl"]["psnr"] - figures["control"]["psnr"], abs=1e-9
    )
    assert ("sft", "no_depth") in pairs_of
    assert "rl less control" in page.read_text()
    spent, as_much = (read_state(finished(out / name)[-1]) for name in ("rl_0", "control"))
    cost = [state.forward + 2 * state.backward for state in (spent, as_much)]
    assert cost[0] <= cost[1] < cost[0] + 3

    def unwanted(*_: object) -> None:
        raise AssertionError("a run that has ended was trained again")

    monkeypatch.setattr("perpetua.phys4d.train.run.Run.backward", unwanted)
    assert set(train_study(load_study(config), out, Progress())) == set(record["refiners"]) - OTHERS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "rl_1"),
        ({"ablations": {"sft": {"depth": 0}}}, "'sft'"),
        ({"ablations": {"a/b": {"depth": 0}}}, "names a folder"),
        ({"ablations": {"a": {"dept": 0}}}, "no term 'dept'"),
        ({"rl": {"groups": 3}}, "rl: .*groups"),
        ({"sft": {"steps": 0}}, "steps is 0"),
        ({"sft": {"precision": "bfloat16"}}, "under `common`"),
    ],
)
def test_a_wrong_plan_is_refused_by_name(plan, tmp_path, change, said) -> None:
    with pytest.raises(TrainingError, match=said):
        load_study(written(plan | change, tmp_path))


def test_the_recipe_is_a_plan() -> None:
    recipe = Path(study.__file__).parents[4] / "recipes" / "refiner" / "stages.yaml"
    assert [run.name for run in planned(load_study(recipe), Path("out"))][-1] == "control"
