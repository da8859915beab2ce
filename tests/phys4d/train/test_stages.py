"""The three stages, each from a tiny random checkpoint to weights, on every family."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
import yaml
from safetensors.torch import load_file

from perpetua.errors import TrainingError
from perpetua.phys4d.train import HeadsConfig, RlConfig, SftConfig, train_heads, train_rl, train_sft
from perpetua.phys4d.train.checkpoint import finished, read_state
from perpetua.phys4d.train.config import LoraPlan, Weights
from perpetua.phys4d.train.sft_stage import steps_of

FAMILIES = ["cogvideox", "cogvideox15", "wan"]
LORA = LoraPlan(rank=2, alpha=2)


def _changed(before: Path, after: Path, part: str) -> bool:
    old, new = load_file(before), load_file(after)
    names = [name for name in new if part in name]
    assert names
    return any(not torch.equal(old[name], new[name]) for name in names if name in old)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stages_follow_each_other(family, checkpoint, settings, silent, see_motion, tmp_path):
    model, plan = checkpoint(family), settings["data"]
    common = settings | {
        "model": model,
        "validation": plan,
        "validation_clips": 1,
        "steps": 2,
        "validate_every": 2,
    }
    heads = train_heads(HeadsConfig(**common), tmp_path / "heads", silent)
    assert set(load_file(heads)) == {n for n in load_file(heads) if n.startswith(("motion.", "depth."))}

    sft_config = SftConfig(**common, start=str(heads.parent), lora=LORA, weights=Weights(rgb_warp=0.05))
    sft = train_sft(sft_config, tmp_path / "sft", silent)
    assert _changed(heads, sft, "depth.")
    assert any(v.abs().max() > 0 for k, v in load_file(sft).items() if "lora_B" in k)

    see_motion(sft)
    hopeless = RlConfig(
        **common, start=str(sft.parent), scenes=1, group=3, rollout_steps=3, updates=2, worst_reward=-1e-3
    )
    with pytest.raises(TrainingError, match="All 3 videos of the first step got the worst reward"):
        train_rl(hopeless, tmp_path / "hopeless", silent)
    rl_config = msgspec.structs.replace(hopeless, worst_reward=-50.0)
    rl = train_rl(rl_config, tmp_path / "rl", silent)
    trained = load_file(finished(rl.parent)[-1] / "weights.safetensors")
    kept = load_file(sft)
    assert all("lora" in name for name in trained)
    assert any(not torch.equal(trained[name], kept[name]) for name in trained)

    # as many passes through the backbone as stage 3 took, and not one step more
    control = SftConfig(**common, start=str(sft.parent), lora=LORA, same_compute_as=str(rl.parent))
    spent = read_state(finished(rl.parent)[-1])
    cost = 3 * settings["batch"]
    assert (steps_of(control) - 1) * cost < spent.forward + 2 * spent.backward <= steps_of(control) * cost


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cogvideox15", "wan"])
def test_the_stages_run_in_half_precision(family, checkpoint, settings, silent, see_motion, tmp_path):
    common = settings | {"model": checkpoint(family), "steps": 1, "precision": "bfloat16"}
    heads = train_heads(HeadsConfig(**common), tmp_path / "heads", silent)
    sft = train_sft(SftConfig(**common, start=str(heads.parent), lora=LORA), tmp_path / "sft", silent)
    see_motion(sft)
    config = RlConfig(
        **common, start=str(sft.parent), scenes=1, group=2, rollout_steps=2, updates=1, worst_reward=-50.0
    )
    train_rl(config, tmp_path / "rl", silent)
    assert all(
        value.dtype == torch.float32 for value in load_file(sft).values()
    )  # what is trained stays exact


@pytest.mark.slow
def test_two_processes_train_together(checkpoint, models, settings, tmp_path):
    config = settings | {"model": checkpoint("wan"), "steps": 2, "batch": 1}
    path, out = tmp_path / "heads.yaml", tmp_path / "heads"
    path.write_text(yaml.safe_dump(msgspec.to_builtins(config)))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "perpetua",
    ]
    subprocess.run([*command, "train", "heads", "--config", str(path), "--out", str(out)], check=True)
    (state,) = {read_state(p).step for p in finished(out)[-1:]}
    assert state == 2
    assert load_file(out / "weights.safetensors")


def test_a_trained_lora_is_one_that_refiners_load(checkpoint, settings, silent, tmp_path):
    from perpetua.phys4d.train.backbones.loading import load_backbone

    common = settings | {"model": checkpoint("wan"), "steps": 1}
    heads = train_heads(HeadsConfig(**common), tmp_path / "heads", silent)
    sft = train_sft(SftConfig(**common, start=str(heads.parent), lora=LORA), tmp_path / "sft", silent)
    pipeline = load_backbone("wan", torch.float32).pipeline
    pipeline.load_lora_weights(str(sft.parent), weight_name="lora.safetensors", adapter_name="it")
    trained = load_file(sft)
    loaded = dict(pipeline.transformer.named_parameters())
    names = [name for name in trained if "lora_B" in name]
    assert names
    for name in names:
        there = loaded[name.removeprefix("transformer.").replace(".policy.", ".it.")]
        assert torch.equal(trained[name], there.data)


def test_a_stage_says_what_it_begins_with(checkpoint, settings, silent, tmp_path):
    common = settings | {"model": checkpoint("wan"), "steps": 1}
    with pytest.raises(TrainingError, match="no weights"):
        train_sft(SftConfig(**common, start=str(tmp_path), lora=LORA), tmp_path / "sft", silent)
    heads = train_heads(HeadsConfig(**common), tmp_path / "heads", silent)
    with pytest.raises(TrainingError, match="must be a run of `perpetua train sft`"):
        train_rl(RlConfig(**common, start=str(heads.parent)), tmp_path / "rl", silent)
    with pytest.raises(TrainingError, match="holds a run of 'heads', not of 'sft'"):
        train_sft(SftConfig(**common, start=str(heads.parent), lora=LORA), heads.parent, silent)
