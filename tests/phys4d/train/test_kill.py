"""The second and third stage of a tiny Wan, killed by SIGKILL in the middle of things, end as if they had not been."""

from __future__ import annotations

import signal
import subprocess
import sys

import msgspec
import pytest
import torch
from event_files import scalars
from safetensors.torch import load_file

from perpetua.phys4d.train import HeadsConfig, RlConfig, SftConfig, train_heads, train_rl, train_sft
from perpetua.phys4d.train.checkpoint import finished
from perpetua.phys4d.train.config import LoraPlan

DYING = """
import os, signal, sys
from pathlib import Path
import msgspec
from perpetua.phys4d import train as t
from perpetua.phys4d.train import checkpoint
from perpetua.phys4d.train.run import Run
from perpetua.progress import Progress

stage, config, out, place, call = sys.argv[1:]
calls = []

def dying(whole):
    def run(*args, **kwargs):
        calls.append(0)
        if len(calls) == int(call):
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*args, **kwargs)
    return run

if place == "gradient":
    Run.backward = dying(Run.backward)
else:
    checkpoint.save_file = dying(checkpoint.save_file)
kind = {"sft": t.SftConfig, "rl": t.RlConfig}[stage]
{"sft": t.train_sft, "rl": t.train_rl}[stage](msgspec.json.decode(config, type=kind), Path(out), Progress())
"""


@pytest.mark.slow
def test_a_killed_stage_goes_on_to_the_same_losses_and_weights(
    checkpoint, settings, silent, see_motion, tmp_path
):
    common = settings | {"model": checkpoint("wan"), "steps": 4, "checkpoint_every": 2}
    heads = train_heads(HeadsConfig(**common), tmp_path / "heads", silent)
    sft = SftConfig(**common, start=str(heads.parent), lora=LoraPlan(rank=2, alpha=2), accumulate=2)
    train_sft(sft, tmp_path / "sft", silent)
    see_motion(tmp_path / "sft" / "weights.safetensors")
    rl = RlConfig(
        **common,
        start=str(tmp_path / "sft"),
        scenes=1,
        group=2,
        rollout_steps=3,
        updates=2,
        worst_reward=-50.0,
    )
    train_rl(rl, tmp_path / "rl", silent)
    for stage, config, train in (("sft", sft, train_sft), ("rl", rl, train_rl)):
        out = tmp_path / f"{stage}_killed"
        for place, call in (("gradient", "3"), ("checkpoint", "2"), ("gradient", "6")):
            died = subprocess.run(
                [sys.executable, "-c", DYING, stage, msgspec.json.encode(config).decode(), str(out), place, call], check=False
            )  # fmt: skip
            assert died.returncode == -signal.SIGKILL
        train(config, out, silent)  # type: ignore[operator]
        ended, whole = (finished(tmp_path / name)[-1] / "weights.safetensors" for name in (out.name, stage))
        assert all(torch.equal(value, load_file(whole)[name]) for name, value in load_file(ended).items())
        assert stage == "sft" or max(scalars(out / "logs")["rollout/reward_spread"].values()) > 0
        assert scalars(out / "logs") == scalars(tmp_path / stage / "logs")
