"""What the doctor says of refiners and their weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perpetua.cli.doctor import _refiners
from perpetua.refine.diffusion.refiner import FAMILIES


def test_each_family_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPETUA_MODELS", str(tmp_path))
    findings = {f.topic: f for f in _refiners()}
    assert findings["refiner"].text.startswith("files, none, teacher")
    for family in FAMILIES:
        finding = findings[f"refiner {family.name}"]
        assert finding.state == "extra"
        card = family.backbone.card
        for said in (card.licence, card.memory, card.checkpoints, str(tmp_path), "model_index.json"):
            assert said in finding.text


def test_weights_that_are_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPETUA_MODELS", str(tmp_path))
    parts = ("text_encoder", "transformer", "vae")
    folder = tmp_path / "LTX-Video"
    for part in parts:
        (folder / part).mkdir(parents=True)
        (folder / part / "model.safetensors").write_bytes(bytes(1000))
    index = {"_class_name": "LTXPipeline", **{part: ["diffusers", "X"] for part in parts}}
    (folder / "model_index.json").write_text(json.dumps(index))
    findings = {f.topic: f for f in _refiners()}
    assert (findings["refiner ltx"].state, "model: LTX-Video (0.0 GB)" in findings["refiner ltx"].text) == (
        "ok",
        True,
    )
    assert findings["refiner wan"].state == "extra"
