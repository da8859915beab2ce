"""What the doctor says of refiners and their weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perpetua.cli.doctor import _providers, _refiners, _training
from perpetua.refine.diffusion.refiner import FAMILIES
from perpetua.refine.space_time import weights


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


def test_what_can_be_trained_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPETUA_MODELS", str(tmp_path))
    finding = _training()
    assert finding.state == "extra"
    for said in ("Wan2.2-TI2V-5B", "CogVideoX-5b-I2V", str(tmp_path), "Apache 2.0"):
        assert said in finding.text
    parts = ("text_encoder", "transformer", "vae")
    for name, more in (("ti2v", {"expand_timesteps": True}), ("text only", {})):
        for part in parts:
            (tmp_path / name / part).mkdir(parents=True)
            (tmp_path / name / part / "model.safetensors").write_bytes(bytes(10))
        index = {"_class_name": "WanPipeline", **more, **{part: ["diffusers", "X"] for part in parts}}
        (tmp_path / name / "model_index.json").write_text(json.dumps(index))
    finding = _training()
    assert (finding.state, finding.text.startswith("model: ti2v. ")) == ("ok", True)


def test_each_provider_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPETUA_MODELS", str(tmp_path))
    findings = {f.topic: f for f in _providers()}
    for topic, said in {
        "segmenter sam2": ("facebook/sam2.1-hiera-large", "Apache 2.0"),
        "depth_estimator depth_anything_v2": ("Metric-Indoor-Small", "CC BY-NC"),
        "depth_estimator depth_anything_3": ("DA3METRIC-LARGE", "Apache 2.0"),
        "depth_estimator depth_pro": ("apple/DepthPro-hf", "research only"),
        "depth_estimator moge": ("pip install git+", "MIT"),
    }.items():
        assert findings[topic].state == "extra"
        for words in (*said, str(tmp_path), "GB of weights", "config.json"):
            assert words in findings[topic].text
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps({"model_name": "da3metric-large"}))
    (tmp_path / "mine" / "model.safetensors").write_bytes(bytes(1000))
    finding = next(f for f in _providers() if f.topic == "depth_estimator depth_anything_3")
    assert (finding.state, finding.text.startswith("model: mine (0.0 GB)")) == ("ok", True)


def test_the_network_that_comes_with_perpetua_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {f.topic: f for f in _refiners()}["refiner space_time"]
    assert (found.state, "come with Perpetua" in found.text) == ("ok", True)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "weights.safetensors")
    weights.SHIPPED.write_bytes(b"cut off")
    found = {f.topic: f for f in _refiners()}["refiner space_time"]
    assert (found.state, str(tmp_path) in found.text, "Install" in found.text) == ("missing", True, True)
