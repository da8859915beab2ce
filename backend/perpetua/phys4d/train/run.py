"""What every training does around its own algorithm: devices and processes, steps, checkpoints, logs, and stopping at NaN.

    run = Run(model, config, "heads", out, progress)
    for step in run.steps():                    # goes on where the last checkpoint was
        for batch in run.batches(source):
            losses = ...                        # the algorithm
            run.backward(losses, batch)
        run.update()

Everything random is drawn from generators that follow from seed, step and process, so a run that was killed anywhere gives the same losses.
With several processes (torchrun, accelerate launch) gradients are averaged over them, and each has its own clips and draws.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from perpetua.errors import TrainingError
from perpetua.phys4d.train import checkpoint
from perpetua.phys4d.train.batches import Batch, endless
from perpetua.phys4d.train.checkpoint import State
from perpetua.phys4d.train.clips import ClipSource
from perpetua.phys4d.train.config import StageConfig
from perpetua.phys4d.train.logs import Logs
from perpetua.progress import Progress

MAY_CHANGE = {
    "steps", "checkpoint_every", "keep", "validate_every", "patience", "precision", "device", "gradient_checkpointing", "workers",
}  # fmt: skip
"""What of the configuration may be another when a run goes on."""


class Run:
    """One training of what of ``model`` has ``requires_grad``. out: the run's folder, made or gone on with."""

    def __init__(
        self, model: nn.Module, config: StageConfig, stage: str, out: Path, progress: Progress
    ) -> None:
        self.bare = model
        self.config, self.out, self.progress = config, out, progress
        self.accelerator = accelerator_for(config)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, config.learning_rate, weight_decay=config.weight_decay)
        self._config_json = msgspec.json.encode(config).decode()
        self.state = self._resumed(stage, optimizer)
        self.model, self._optimizer = self.accelerator.prepare(model, optimizer)
        self._trained = [p for p in self.bare.parameters() if p.requires_grad]
        self._logs = Logs(out / "logs", self.state.step, self.accelerator.is_main_process)
        self._feeds: dict[int, Iterator[Batch]] = {}
        self._last_step = config.steps
        self._last: tuple[Batch, Mapping[str, Tensor]] | None = None

    @property
    def device(self) -> torch.device:
        return self.accelerator.device

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    def steps(self, count: int | None = None) -> Iterator[int]:
        """The numbers of the steps that are still to do, up to ``count`` or what the configuration says; a checkpoint after
        every so many and after the last."""
        self._last_step = last = self.config.steps if count is None else count
        while self.state.step < last and not self.state.finished:
            self._set_learning_rate()
            yield self.state.step
            self.state.step += 1
            figures = self._logs.step(self.state.step, self.accelerator)
            self.progress(self.state.step / last, f"step {self.state.step} of {last}{_said(figures)}")
            self.state.finished |= self.state.step == last
            if self.state.finished or self.state.step % self.config.checkpoint_every == 0:
                self._save()

    def stop(self) -> None:
        """Let this step be the last."""
        self.state.finished = True

    def batches(
        self, source: ClipSource, size: int | None = None, count: int | None = None
    ) -> Iterator[Batch]:
        """This step's batches of clips, on the device; ``accumulate`` of ``batch`` clips unless said otherwise."""
        size, count = size or self.config.batch, count or self.config.accumulate
        if id(source) not in self._feeds:
            self._feeds[id(source)] = endless(
                source, self.config.data, self.config.seed, size, self.state.step * count, self.config.workers,
                self.accelerator.process_index, self.accelerator.num_processes,
            )  # fmt: skip
        for _ in range(count):
            batch = next(self._feeds[id(source)])
            yield {key: value.to(self.device) for key, value in batch.items()}

    def draw(self, purpose: str, number: int = 0) -> torch.Generator:
        """A generator on the CPU of this step, process, ``purpose`` and ``number``: the same in every run."""
        return generator(
            self.config.seed,
            self.state.step,
            self.accelerator.process_index,
            zlib.crc32(purpose.encode()),
            number,
        )

    def backward(self, losses: Mapping[str, Tensor], batch: Batch, share: float | None = None) -> None:
        """Add the gradient of ``share`` (1 / accumulate unless said) of ``losses['loss']`` and log all of them.

        Raises ``TrainingError`` at a loss that is no number, having saved the batch."""
        self._last = (batch, losses)
        if not all(bool(torch.isfinite(value).all()) for value in losses.values()):
            self._stop_at_nan("a loss")
        share = 1 / self.config.accumulate if share is None else share
        self.accelerator.backward(losses["loss"] * share)
        for name, value in losses.items():
            self.note(f"loss/{name}", float(value.detach()))

    def update(self) -> None:
        """One step of the optimiser with the gradients that were added. Raises ``TrainingError`` as ``backward``."""
        norm = self.accelerator.clip_grad_norm_(self._trained, self.config.clip_gradient)
        if norm is not None and not bool(torch.isfinite(norm)):
            self._stop_at_nan("the gradient")
        self.note("gradient_norm", float(norm or 0))
        self._optimizer.step()
        self._optimizer.zero_grad()

    def note(self, name: str, value: float) -> None:
        """Log a figure; those of one step are averaged."""
        self._logs.note(name, value)

    def spend(self, forward: int = 0, backward: int = 0) -> None:
        """Count clips that passed through the backbone."""
        self.state.forward += forward
        self.state.backward += backward

    def due_for_validation(self) -> bool:
        """Whether the step that is being done ends with a validation."""
        done = self.state.step + 1
        return done % self.config.validate_every == 0 or done == self._last_step

    def validated(self, figures: Mapping[str, float], chosen: str) -> None:
        """Log ``figures``, keep the weights if ``chosen`` is the least so far, and stop if it has not been for long."""
        for name, value in figures.items():
            self.note(f"validation/{name}", value)
        value = figures[chosen]
        if self.state.best is None or value < self.state.best:
            self.state.best, self.state.without = value, 0
            if self.accelerator.is_main_process:
                self._save_weights(self.out / checkpoint.BEST)
            return
        self.state.without += 1
        if self.config.patience and self.state.without >= self.config.patience:
            self.stop()

    def finish(self) -> Path:
        """Write what the run ended with: the best of its validations, or the last weights; returns the file."""
        path, best = self.out / checkpoint.WEIGHTS, self.out / checkpoint.BEST
        if best.is_file():
            weights, _ = checkpoint.read_tensors(best)
            checkpoint.load_weights(self.bare, best, weights)
        if self.accelerator.is_main_process:
            self._save_weights(path)
        self._logs.close()
        return path

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self._logs.flush()  # what is logged must not be behind the checkpoint
        raw = getattr(self._optimizer, "optimizer", self._optimizer)
        checkpoint.save(
            self.out, self.state, self._config_json, checkpoint.trained_weights(self.bare),
            checkpoint.optimizer_tensors(self.bare, raw), self.config.keep,
        )  # fmt: skip

    def _save_weights(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        weights = checkpoint.trained_weights(self.bare)
        checkpoint.save_weights(path, weights, self.state.stage, self._config_json)

    def _resumed(self, stage: str, optimizer: torch.optim.Optimizer) -> State:
        there = checkpoint.finished(self.out)
        if not there:
            return State(stage)
        newest = there[-1]
        state = checkpoint.read_state(newest)
        weights, about = checkpoint.read_tensors(newest / checkpoint.WEIGHTS)
        self._same_run(newest, stage, state, about.get("config", "{}"))
        checkpoint.load_weights(self.bare, newest / checkpoint.WEIGHTS, weights)
        tensors, _ = checkpoint.read_tensors(newest / checkpoint.OPTIMIZER)
        checkpoint.load_optimizer(self.bare, optimizer, tensors)
        if state.step < self.config.steps and not (
            self.config.patience and state.without >= self.config.patience
        ):
            state.finished = False  # more steps are asked for than before
        return state

    def _same_run(self, place: Path, stage: str, state: State, config: str) -> None:
        if state.stage != stage:
            raise TrainingError(
                f"{self.out} holds a run of '{state.stage}', not of '{stage}'; give another --out."
            )
        before, now = (msgspec.json.decode(text) for text in (config, self._config_json))
        for name, value in now.items():
            if name not in MAY_CHANGE and before.get(name) != value:
                raise TrainingError(
                    f"{self.out} holds a run with {name} {before.get(name)!r}, the configuration says {value!r}; give another "
                    "--out, or set it back to go on with that run."
                )

    def _set_learning_rate(self) -> None:
        warm = min(1.0, (self.state.step + 1) / (self.config.warmup + 1))
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.learning_rate * warm

    def _stop_at_nan(self, what: str) -> None:
        assert self._last is not None
        batch, losses = self._last
        folder = self.out / f"nan_step_{self.state.step + 1:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"batch_{self.accelerator.process_index}.safetensors"
        parts = {name: str(float(value.detach())) for name, value in losses.items()}
        save_file({k: v.detach().cpu().contiguous() for k, v in batch.items()}, path, metadata=parts)
        said = ", ".join(f"{name} {value}" for name, value in parts.items())
        raise TrainingError(
            f"In step {self.state.step + 1}, {what} was no number ({said}). The batch is in {path}: look for wrong numbers in its "
            "clips; if it has none, lower learning_rate or clip_gradient. Run again to go on from the last checkpoint."
        )


def accelerator_for(config: StageConfig) -> Any:
    """Device, processes and precision as the configuration and the launcher ask."""
    from accelerate import Accelerator

    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "device is 'cuda', but there is no CUDA GPU here; set it to 'cpu' or leave it out."
        )
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    half = config.precision == "bfloat16" or (config.precision == "auto" and not on_cpu)
    return Accelerator(cpu=on_cpu, mixed_precision="bf16" if half else "no")


def generator(*words: int) -> torch.Generator:
    """A generator on the CPU that follows from ``words``."""
    high, low = np.random.SeedSequence(words).generate_state(2)
    return torch.Generator().manual_seed(int(high) << 31 ^ int(low))


def _said(figures: Mapping[str, float]) -> str:
    return f", loss {figures['loss/loss']:.4g}" if "loss/loss" in figures else ""
