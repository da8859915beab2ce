"""The benchmark of the backward pass runs and reports; it asserts no times."""

from __future__ import annotations

import json

import numpy as np
import pytest

from perpetua.evaluate.backward import BackwardPlan, run
from perpetua.evaluate.backward.world import SIMULATED, TRUE, backward_world
from perpetua_protocol.errors import InvalidTake

SMALL = BackwardPlan(frames=7, views=2, width=64, gaussians=400, renders=60, compare=True, passes=2)


def test_json_and_table(capsys: pytest.CaptureFixture[str]) -> None:
    run(SMALL, json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["views"], found["width"], found["height"]) == (7, 2, 64, 36)
    assert abs(found["gaussians"] - 400) < 120
    ours, before, theirs = (found[name] for name in ("ours", "uncorrected", "perpetualwonder"))
    assert ours["renders"] <= 120
    assert theirs["renders"] == 2 * 6 * 2
    assert ours["error_mm"] < 0.9 * before["error_mm"]
    assert ours["psnr_db"] > before["psnr_db"] + 1
    assert {"register videos", "move splats", "render", "differentiate"} <= set(found["stages_s"])
    assert sum(found["stages_s"].values()) <= ours["wall_s"]


def test_motions_start_at_rest() -> None:
    world = backward_world(SMALL)
    assert [camera.role for camera in world.cameras] == ["front", "side"]
    rest = world.scene.particles.positions.astype(np.float64)
    for sway in (SIMULATED, TRUE):
        moved = sway(rest, 1e-4) - sway(rest, 0.0)
        assert np.abs(moved).max() < 1e-6  # a speed would have moved it by 1e-4 of it
        assert np.abs(sway(rest, 0.5) - rest).max() > 0.005


def test_too_little_to_measure_is_refused() -> None:
    with pytest.raises(InvalidTake, match="at least 3 frames"):
        BackwardPlan(frames=2)
