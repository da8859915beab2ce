"""The benchmark runs and reports; it asserts no times."""

from __future__ import annotations

import json

import pytest
import torch

from perpetua.render.bench import run


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    run(json=True, gaussians=[200])
    report = json.loads(capsys.readouterr().out)
    assert (report["width"], report["height"], report["threads"]) == (640, 360, 1)
    (timing,) = report["timings"]
    assert timing["gaussians"] == 200
    assert 0 < timing["forward_ms"] <= timing["forward_backward_ms"]
    assert torch.get_num_threads() == threads


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    run(gaussians=[100, 200])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2].split()[0] == "100"
