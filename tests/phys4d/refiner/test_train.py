"""Training of the space-time refiner on made-up clips: it learns, goes on where it was, and stops at what is no number."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from event_files import scalars

from perpetua.errors import TrainingError
from perpetua.evaluate.video.suite import Weights, evaluate_set
from perpetua.phys4d.data.clip import ClipArrays, counts_of
from perpetua.phys4d.data.store import About, read_index, write_index, write_shard
from perpetua.phys4d.data.unpack import unpack
from perpetua.phys4d.refiner import train as training
from perpetua.phys4d.refiner.config import RefinerPlan, load_plan
from perpetua.phys4d.refiner.pairs import Cut, Pairs, pair_of
from perpetua.phys4d.refiner.play import clip_refiner
from perpetua.phys4d.refiner.train import train
from perpetua.progress import Progress
from perpetua.refine.space_time import weights

T, H, W = 4, 16, 24


def brightened(seed: int) -> ClipArrays:
    """A clip whose truth is the coarse video, brighter by a tenth of the range, and nearer by a twentieth."""
    random = np.random.default_rng(seed)
    coarse = random.integers(20, 200, (T, H, W, 3), np.uint8)
    depth = np.full((T, H, W), 0.6) + 0.1 * random.uniform(size=(T, 1, 1))
    fine, per_fine = counts_of(depth / 1.05)
    rough, per_rough = counts_of(depth)
    flow = random.normal(0, 1, (T - 1, 1, 1, 2)).repeat(H, 1).repeat(W, 2).astype(np.float16)
    return ClipArrays(
        coarse + 25, fine, flow, np.zeros((T - 1, H, W, 3), np.float16), np.zeros((T - 1, H, W), bool), np.ones((T, H, W), np.uint8),
        np.zeros((T, 2, 3), np.float32), np.ones((T, 2), bool), np.tile(np.eye(3), (T, 1, 1)), np.tile(np.eye(4), (T, 1, 1)),
        coarse, rough, flow, np.full((T, H, W), 255, np.uint8), np.array([per_fine, per_rough], np.float32),
    )  # fmt: skip


def about(scene: str, split: str) -> About:
    return About(
        clip=f"{scene}_fixed_1", scene=scene, category="soft", template="fall", camera="fixed_1", path="fixed", seed=0, split=split,
        held_out="", frames=T, width=W, height=H, fps=24.0, things=1, spec="{}", versions="{}", seconds="{}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number in range(3):
        split = "test" if number == 2 else "train"
        write_shard(folder, f"soft_{number:06d}", [(about(f"soft_{number:06d}", split), brightened(number))])
    write_index(folder)
    return folder


@pytest.fixture
def plan(data: Path) -> RefinerPlan:
    return RefinerPlan(
        data=str(data), steps=30, batch=2, frames=3, width=16, height=16, learning_rate=5e-3, warmup=3, average=0.8, widths=(8,),
        blocks=1, checkpoint_every=5,
    )  # fmt: skip


def logged(out: Path) -> list[float]:
    losses = scalars(out / "logs")["loss/loss"]
    return [losses[step] for step in sorted(losses)]


def test_it_learns_what_is_always_the_same(plan: RefinerPlan, tmp_path: Path) -> None:
    path = train(plan, tmp_path, Progress())
    found = logged(tmp_path)
    assert len(found) == 30
    assert np.mean(found[-5:]) < 0.4 * np.mean(found[:3])
    network, said = weights.load(path)
    assert json.loads(said)["clips"] == 2
    assert network.shape.widths == (8,)
    # what it has learned holds for clips that it has not seen
    chosen = [entry for entry in read_index(Path(plan.data)) if entry.about.split == "test"]
    unpack(chosen, tmp_path / "clips", Progress(), clip_refiner(path, 1))
    found = evaluate_set(
        tmp_path / "clips" / "refined",
        tmp_path / "clips" / "truth",
        tmp_path / "clips" / "coarse",
        Weights(),
        False,
        Progress(),
    )
    assert found.means["picture.psnr"].mean > found.baseline_means["picture.psnr"].mean + 2
    assert found.means["depth.abs_rel"].mean < found.baseline_means["depth.abs_rel"].mean


def test_a_run_that_stopped_goes_on_to_the_same_losses(plan: RefinerPlan, tmp_path: Path) -> None:
    short = msgspec.structs.replace(plan, steps=12)
    train(short, tmp_path / "whole", Progress())

    class Stopped(Exception):
        pass

    def stop_at(step: int) -> Progress:
        def report(stage: str, fraction: float, text: str) -> None:
            if text.startswith(f"step {step} "):
                raise Stopped

        return Progress(report)

    for step in (3, 8):
        with pytest.raises(Stopped):
            train(short, tmp_path / "broken", stop_at(step))
    train(short, tmp_path / "broken", Progress())
    assert logged(tmp_path / "broken") == logged(tmp_path / "whole")
    one, other = (
        weights.load(tmp_path / name / "weights.safetensors")[0].state_dict() for name in ("whole", "broken")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(TrainingError, match="learning_rate"):
        train(msgspec.structs.replace(short, learning_rate=1.0), tmp_path / "broken", Progress())
    (tmp_path / "broken" / "checkpoint.safetensors").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"checkpoint\.safetensors"):
        train(short, tmp_path / "broken", Progress())


def test_a_loss_that_is_no_number_stops_with_its_batch(
    plan: RefinerPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Pairs.batch

    def spoiled(self: Pairs, step: int) -> training.Pair:
        pair = batch(self, step)
        return replace(pair, fine=pair.fine * float("nan")) if step == 6 else pair

    monkeypatch.setattr(Pairs, "batch", spoiled)
    with pytest.raises(TrainingError, match="step 7"):
        train(plan, tmp_path, Progress())
    assert (tmp_path / "nan_step_7.safetensors").is_file()
    assert (tmp_path / "checkpoint.safetensors").is_file()


def test_moving_pixels_count_more_and_unknown_ones_nothing(data: Path, plan: RefinerPlan) -> None:
    pair = Pairs([e for e in read_index(data) if e.about.split == "train"], plan).batch(0)
    assert pair.fine.shape == (2, 6, 3, 16, 16)
    assert not pair.known[:, 4:, -1].any()
    network = torch.nn.Module()
    network.forward = lambda x, condition, s: torch.zeros_like(x)  # type: ignore[method-assign, assignment]
    generator = torch.Generator().manual_seed(0)
    found = training.losses(network, pair, generator, plan)
    assert found["picture"].item() == pytest.approx((2 * 25 / 255) ** 2, rel=1e-3)
    nothing = torch.zeros_like(pair.moving)
    half = replace(pair, moving=nothing.clone(), things=nothing, changing=nothing, coarse=pair.coarse.clone())
    half.moving[:, :, :8] = 1
    half.coarse[:, :3, :, :8] = half.fine[:, :3, :, :8]
    found = training.losses(network, half, generator, plan)
    assert found["picture"].item() == pytest.approx((2 * 25 / 255) ** 2 / 4, rel=1e-3)


def test_a_mirrored_cut_is_the_mirror_image() -> None:
    clip = brightened(5)
    whole = slice(0, 3), slice(0, 16), slice(2, 18)
    plain, turned = pair_of(Cut.of(clip, *whole)), pair_of(Cut.of(clip, *whole, mirrored=True))
    assert torch.equal(turned.fine[:, :4], plain.fine[:, :4].flip(-1))
    assert torch.allclose(turned.fine[:, 4], -plain.fine[:, 4].flip(-1))
    assert torch.equal(turned.condition[:, :4], plain.condition[:, :4].flip(-1))


def test_where_memory_runs_out_a_smaller_batch_is_named(
    plan: RefinerPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Pairs, step: int) -> training.Pair:
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 10000000000000 bytes."
        )

    monkeypatch.setattr(Pairs, "batch", full)
    with pytest.raises(TrainingError, match=r"GiB are too little.*16x16\. Set batch to 1 and steps to 60"):
        train(plan, tmp_path, Progress())
    with pytest.raises(TrainingError, match="Set frames to 2, or width and height to 8 and 8"):
        train(msgspec.structs.replace(plan, batch=1), tmp_path / "one", Progress())


def test_a_wrong_plan_is_refused_by_name(tmp_path: Path, plan: RefinerPlan) -> None:
    path = tmp_path / "refiner.yaml"
    for text, says in (
        ("{}", "data"),
        ("data: d\nsteps: 0", "steps"),
        ("data: d\nwidths: [12]", "multiples of 8"),
        ("data: d\nlr: 1", "lr"),
        ("data: d\ndisguise: {carried: 2}", "carried"),
    ):
        path.write_text(text)
        with pytest.raises(TrainingError, match=says):
            load_plan(path)
    with pytest.raises(TrainingError, match="4 frames of 24x16"):
        train(msgspec.structs.replace(plan, frames=9), tmp_path / "out", Progress())
