"""The small space_time network goes through the same three stages as large transformers do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from perpetua.errors import TrainingError
from perpetua.phys4d.train import HeadsConfig, RlConfig, SftConfig, train_heads, train_rl, train_sft
from perpetua.phys4d.train.backbones.loading import load_backbone
from perpetua.phys4d.train.backbones.space_time import SpaceTime
from perpetua.phys4d.train.checkpoint import finished, read_state
from perpetua.phys4d.train.clips import cut, source_of
from perpetua.phys4d.train.config import DataPlan, HeadPlan, LoraPlan
from perpetua.phys4d.train.model import POLICY, WorldModel
from perpetua.phys4d.train.sampling import roll_out
from perpetua.phys4d.train.sft_stage import steps_of
from perpetua.refine.space_time import weights
from perpetua.refine.space_time.bridge import between, refine, sigma
from perpetua.refine.space_time.network import Shape, SpaceTimeUNet
from perpetua.refine.space_time.signal import PICTURE

LORA = LoraPlan(rank=2, alpha=4)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of random weights, which change the video."""
    torch.manual_seed(0)
    plain = SpaceTimeUNet(Shape((8, 16), 2))
    torch.nn.init.normal_(plain.leave.weight, std=0.05)
    path = tmp_path_factory.mktemp("network") / "weights.safetensors"
    weights.save(path, plain, '{"clips": 7}', half=False)
    return str(path)


@pytest.fixture
def backbone(network: str) -> SpaceTime:
    found = load_backbone(network, torch.float32)
    assert isinstance(found, SpaceTime)
    return found


@pytest.fixture
def plan(pairs: Path) -> DataPlan:
    return DataPlan(folder=str(pairs), frames=4, width=64, height=32)


@pytest.fixture
def batch(plan: DataPlan) -> dict[str, torch.Tensor]:
    item = cut(source_of(plan).read(1), plan, np.random.default_rng(0))
    return {key: value[None] for key, value in item.items()}


def test_latents_are_the_bridge_in_units_of_its_noise(backbone, batch) -> None:
    z, shown = backbone.latents(batch)
    assert backbone.decode(z, shown) == pytest.approx(batch["rgb"], abs=1e-5)
    assert not torch.allclose(backbone.decode(0 * z, shown), batch["rgb"], atol=0.1)
    noise, t = torch.randn(z.shape), torch.tensor([0.3])
    fine = shown.signal + sigma(z) * z
    expected = between(fine, shown.signal, noise, t)
    assert torch.allclose(shown.signal + sigma(z) * backbone.schedule.mix(z, noise, t), expected, atol=1e-5)
    # a network that sees the truth has the velocity that the schedule asks for
    backbone.transformer.forward = lambda x, condition, s: fine - shown.signal
    velocity = backbone.predict(backbone.schedule.mix(z, noise, t), backbone.schedule.model_time(t), shown)
    assert torch.allclose(velocity, backbone.schedule.target(z, noise, t), atol=1e-3)


def test_sampling_is_what_the_refiner_does(backbone, batch) -> None:
    z, shown = backbone.latents(batch)
    model = WorldModel(backbone, HeadPlan(channels=8))
    made = roll_out(model, backbone, shown, (4, 32, 64), 3, 0.0, torch.Generator().manual_seed(5))
    refined = refine(backbone.transformer, shown.signal, shown.condition, 3, torch.Generator().manual_seed(5))
    assert torch.allclose(backbone.decode(made.latents, shown), refined[:, PICTURE], atol=1e-4)
    assert made.readings.depth.shape == (1, 4, 32, 64)
    assert made.latents.shape == z.shape


def test_what_the_refiner_takes_is_the_network_with_its_lora(backbone, batch, tmp_path) -> None:
    z, shown = backbone.latents(batch)
    model = WorldModel(backbone, HeadPlan(channels=8))
    t = torch.tensor([0.8])
    before = backbone.predict(z, t, shown)
    model.add_lora(LORA)
    assert torch.allclose(backbone.predict(z, t, shown), before, atol=1e-4)  # it begins as nothing
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    changed = backbone.predict(z, t, shown)
    assert (changed - before).abs().mean() > 1e-2
    merged = load_backbone(str(backbone.export(tmp_path, POLICY)), torch.float32)
    assert (merged.predict(z, t, shown) - changed).abs().mean() < 2e-2 * changed.abs().mean()  # in 16 bits
    assert '"clips":7' in weights.load(tmp_path / "refiner.safetensors")[1].replace(" ", "")


def test_the_stages_follow_each_other(network, plan, settings, silent, see_motion, tmp_path) -> None:
    common: dict[str, Any] = settings | {
        "model": network, "data": plan, "prompt": "", "validation": plan, "validation_clips": 1, "steps": 2, "validate_every": 2,
    }  # fmt: skip
    heads = train_heads(HeadsConfig(**common), tmp_path / "heads", silent)
    assert set(load_file(heads)) == {n for n in load_file(heads) if n.startswith(("motion.", "depth."))}
    sft = train_sft(SftConfig(**common, start=str(heads.parent), lora=LORA), tmp_path / "sft", silent)
    assert any(v.abs().max() > 0 for k, v in load_file(sft).items() if "lora_B" in k)
    see_motion(sft)
    rl_config = RlConfig(
        **common, start=str(sft.parent), scenes=1, group=3, rollout_steps=3, updates=2, worst_reward=-50.0
    )
    rl = train_rl(rl_config, tmp_path / "rl", silent)
    stages = [network, sft.parent / "refiner.safetensors", rl.parent / "refiner.safetensors"]
    made = [weights.load(Path(path))[0].state_dict() for path in stages]
    name = "down.0.0.space.weight"
    assert not torch.allclose(made[0][name], made[1][name], atol=1e-6)
    assert made[1].keys() == made[0].keys()
    trained = load_file(finished(rl.parent)[-1] / "weights.safetensors")
    assert any(not torch.equal(value, load_file(sft)[key]) for key, value in trained.items())

    control = SftConfig(**common, start=str(sft.parent), lora=LORA, same_compute_as=str(rl.parent))
    spent = read_state(finished(rl.parent)[-1])
    cost = 3 * settings["batch"]
    assert (steps_of(control) - 1) * cost < spent.forward + 2 * spent.backward <= steps_of(control) * cost


def test_what_it_cannot_be_trained_with_is_named(network, plan, settings, silent, clips, tmp_path) -> None:
    common: dict[str, Any] = settings | {"model": network, "data": plan, "prompt": "", "steps": 1}

    def refused(says: str, **other: Any) -> None:
        with pytest.raises(TrainingError, match=says):
            train_heads(HeadsConfig(**(common | other)), tmp_path / "run", silent)

    refused("reads no text", prompt="a ball")
    refused("lack", data=msgspec.structs.replace(plan, folder=str(clips)))
    refused("data.width is 62", data=msgspec.structs.replace(plan, width=62))
    refused(r"nothing\.safetensors", model=str(tmp_path / "nothing.safetensors"))
