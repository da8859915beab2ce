"""What a run does around its algorithm, on a model of a few numbers: it goes on where it was killed, stops at NaN, and says what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from event_files import scalars
from safetensors.torch import load_file
from torch import nn

from perpetua.errors import TrainingError
from perpetua.phys4d.train import checkpoint, memory
from perpetua.phys4d.train.clips import ClipFolders, ClipSource
from perpetua.phys4d.train.config import DataPlan, HeadsConfig, RlConfig, SftConfig, StageConfig, load_config
from perpetua.phys4d.train.run import Run

STEPS = 7


class Killed(BaseException):
    """Stands for the end of the process: nothing in the program catches it."""


class Shade(nn.Module):
    """Guesses depth from colour."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.mix = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return self.mix(rgb.movedim(1, -1))[..., 0]


@pytest.fixture
def config(clips: Path) -> StageConfig:
    plan = DataPlan(folder=str(clips), frames=3, width=64, height=32)
    return StageConfig(
        model="", data=plan, steps=STEPS, batch=2, accumulate=2, learning_rate=0.01, warmup=2, checkpoint_every=2, keep=2,
        validate_every=3, device="cpu",
    )  # fmt: skip


def train(config: StageConfig, out: Path, silent: Any, source: ClipSource | None = None) -> None:
    run = Run(Shade(), config, "shade", out, silent)
    source = source or ClipFolders(Path(config.data.folder))
    for step in run.steps():
        for number, batch in enumerate(run.batches(source)):
            noise = 0.1 * torch.randn(batch["depth"].shape, generator=run.draw("noise", number))
            error = (run.model(batch["rgb"]) + noise - batch["depth"]).square().mean()
            run.backward({"loss": error, "half": error / 2}, batch)
        run.update()
        if run.due_for_validation():
            run.validated({"error": abs(step - 4.0)}, "error")
    run.finish()


@pytest.fixture(scope="module")
def unbroken(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Losses and weights of a run that nobody killed; filled by the first test that needs it."""
    return {"out": tmp_path_factory.mktemp("unbroken")}


def test_a_run_learns_and_leaves_what_it_should(config, silent, unbroken):
    out = unbroken["out"]
    train(config, out, silent)
    losses = scalars(out / "logs")["loss/loss"]
    assert sorted(losses) == list(range(1, STEPS + 1))
    assert losses[STEPS] < losses[1]
    assert [p.name for p in checkpoint.finished(out)] == ["step_00000006", "step_00000007"]
    best = load_file(out / "best.safetensors")
    assert all(
        torch.equal(best[name], value) for name, value in load_file(out / "weights.safetensors").items()
    )
    last, about = checkpoint.read_tensors(checkpoint.finished(out)[-1] / "weights.safetensors")
    assert any(not torch.equal(best[name], last[name]) for name in best)  # the best was not the last
    assert '"learning_rate":0.01' in about["config"]
    unbroken["losses"], unbroken["weights"] = losses, last


def _kill_in_backward(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    whole, calls = Run.backward, []

    def dying(self: Run, *args: Any, **kwargs: Any) -> None:
        calls.append(0)
        if len(calls) == call:
            raise Killed
        whole(self, *args, **kwargs)

    monkeypatch.setattr(Run, "backward", dying)


def _kill_in_save(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Everything of a checkpoint is written, but it is not in its place yet."""
    whole, calls = os.replace, []

    def dying(source: Any, target: Any) -> None:
        calls.append(0)
        if len(calls) == call:
            raise Killed
        whole(source, target)

    monkeypatch.setattr(checkpoint.os, "replace", dying)


def _kill_after_weights(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """A checkpoint is half written."""
    whole, calls = checkpoint.save_file, []

    def dying(*args: Any, **kwargs: Any) -> None:
        calls.append(0)
        if len(calls) == call:
            raise Killed
        whole(*args, **kwargs)

    monkeypatch.setattr(checkpoint, "save_file", dying)


@pytest.mark.parametrize(
    ("kill", "calls"),
    [(_kill_in_backward, (2, 5, 8)), (_kill_in_save, (2, 4)), (_kill_after_weights, (2, 4))],
    ids=["in a step", "before a checkpoint is in its place", "while one is written"],
)  # fmt: skip
def test_a_run_that_is_killed_anywhere_continues_to_the_same_losses(
    kill, calls, config, silent, unbroken, tmp_path, monkeypatch
):
    if "losses" not in unbroken:
        test_a_run_learns_and_leaves_what_it_should(config, silent, unbroken)
    for call in calls:
        with monkeypatch.context() as patch:
            kill(patch, call)
            with pytest.raises(Killed):
                train(config, tmp_path, silent)
    train(config, tmp_path, silent)
    assert scalars(tmp_path / "logs")["loss/loss"] == unbroken["losses"]
    last, _ = checkpoint.read_tensors(checkpoint.finished(tmp_path)[-1] / "weights.safetensors")
    assert all(torch.equal(last[name], value) for name, value in unbroken["weights"].items())


def test_a_run_that_has_ended_goes_on_if_more_steps_are_asked_for(config, silent, unbroken, tmp_path):
    import msgspec

    if "losses" not in unbroken:
        test_a_run_learns_and_leaves_what_it_should(config, silent, unbroken)
    train(msgspec.structs.replace(config, steps=4), tmp_path, silent)
    train(config, tmp_path, silent)
    assert scalars(tmp_path / "logs")["loss/loss"] == unbroken["losses"]


def test_another_configuration_is_another_run(config, silent, tmp_path):
    import msgspec

    short = msgspec.structs.replace(config, steps=2)
    train(short, tmp_path, silent)
    with pytest.raises(TrainingError, match=r"with learning_rate 0\.01, the configuration says 0\.02"):
        train(msgspec.structs.replace(short, learning_rate=0.02), tmp_path, silent)
    state = checkpoint.finished(tmp_path)[-1] / "state.json"
    state.write_text(state.read_text().replace('"version":1', '"version":9'))
    with pytest.raises(TrainingError, match="is perpetua-training 9, this program reads perpetua-training 1"):
        train(short, tmp_path, silent)


def test_a_run_ends_when_nothing_gets_better(config, silent, tmp_path):
    import msgspec

    plan = msgspec.structs.replace(config, steps=20, validate_every=1, patience=2)
    train(plan, tmp_path, silent)
    # |step - 4| is least in step 4; two validations without a better one end the run
    assert checkpoint.read_state(checkpoint.finished(tmp_path)[-1]).step == 7


def test_nan_stops_with_the_batch_saved(config, silent, tmp_path):
    class Broken(ClipFolders):
        def read(self, number: int) -> Any:
            clip = super().read(number)
            assert clip.depth is not None
            clip.depth[:] = float("nan")
            return clip

    with pytest.raises(
        TrainingError, match=r"In step 1, a loss was no number \(loss nan, half nan\)\. The batch is in"
    ):
        train(config, tmp_path, silent, Broken(Path(config.data.folder)))
    (saved,) = tmp_path.glob("nan_step_00000001/*.safetensors")
    batch = load_file(saved)
    assert bool(torch.isnan(batch["depth"]).all())
    assert batch["rgb"].shape == (2, 3, 3, 32, 64)
    assert not checkpoint.finished(tmp_path)


def test_a_gradient_that_is_no_number_stops_too(config, silent, tmp_path):
    run = Run(Shade(), config, "shade", tmp_path, silent)
    batch = next(run.batches(ClipFolders(Path(config.data.folder))))
    run.backward(
        {"loss": (run.model(batch["rgb"]) * 0).abs().sqrt().sum()}, batch
    )  # 0, with a slope of infinity times 0
    with pytest.raises(TrainingError, match="the gradient was no number"):
        run.update()


def test_out_of_memory_suggests_numbers(config):
    import msgspec

    with (
        pytest.raises(TrainingError, match=r"weights are 10.0, .* batch of 2 of 3 frames at 64x32. Set batch to 1 and accumulate to 4"),
        memory.explained(config, 4, 10 * memory.GIB),
    ):  # fmt: skip
        torch.empty(2**60, dtype=torch.uint8)  # more than there is anywhere: torch's own error
    data = msgspec.structs.replace(config.data, frames=49, width=640, height=352)
    single = msgspec.structs.replace(config, batch=1, data=data)
    said = memory.advice(single, 8, memory.GIB, 24 * memory.GIB)
    assert "24 GiB" in said
    assert "Set data.frames to 25, or data.width and height to 320 and 176" in said
    with pytest.raises(RuntimeError, match="something else"), memory.explained(config, 4, 0):
        raise RuntimeError("something else")


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (HeadsConfig, "model: x", "missing required field `data`"),
        (HeadsConfig, "{model: x, data: {folder: y}, stepz: 3}", "unknown field `stepz`"),
        (HeadsConfig, "{model: x, data: {folder: y}, batch: 0}", "batch is 0; it must be 1 or more"),
        (HeadsConfig, "{model: x, data: {folder: y}, head: {channels: 6}}", "must be a multiple of 4"),
        (
            HeadsConfig,
            "{model: x, data: {folder: y}, learning_rate: .nan}",
            "learning_rate is nan; it must be above 0",
        ),
        (SftConfig, "{model: x, data: {folder: y}, start: z, noise: [0.9, 0.1]}", "it must rise within 0"),
        (RlConfig, "{model: x, data: {folder: y}, start: z, group: 1}", "group is 1; it must be 2 or more"),
        (RlConfig, "{model: x, data: {folder: y}}", "missing required field `start`"),
        (RlConfig, "[1, 2]", "Expected `object`"),
        (RlConfig, "{", "is not readable YAML"),
    ],
)
def test_a_wrong_configuration_is_said_in_one_sentence(kind, text, sentence, tmp_path):
    path = tmp_path / "stage.yaml"
    path.write_text(text)
    with pytest.raises(TrainingError) as said:
        load_config(path, kind)
    assert sentence in str(said.value)


def test_numbers_may_be_written_with_an_exponent(tmp_path):
    path = tmp_path / "stage.yaml"
    path.write_text("{model: x, data: {folder: y}, learning_rate: 1e-4}")
    assert load_config(path, HeadsConfig).learning_rate == 1e-4
