"""Checkpoints: what is trained, the optimiser, where the run is, and the configuration, in safetensors and JSON.

    OUT/checkpoints/step_00000100/weights.safetensors      trained weights by name; the configuration in the header
                                 /optimizer.safetensors    <kind of state>/<name of weight>
                                 /state.json               State
    OUT/best.safetensors                                   weights of the best validation so far
    OUT/weights.safetensors                                what the run ended with: the best if anything was validated, else the last

A checkpoint is written beside its place and renamed when it is whole, so one that is there is whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from perpetua.errors import TrainingError

FORMAT, VERSION = "perpetua-training", 1
WEIGHTS, OPTIMIZER, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
BEST = "best.safetensors"
UNFINISHED = ".unfinished"


class State(msgspec.Struct):
    """Where a run is. step: steps done.  forward, backward: clips that have passed through the backbone, each way.
    best: the best validation figure so far; without: validations since it.  finished: whether the run has ended."""

    stage: str
    step: int = 0
    forward: int = 0
    backward: int = 0
    best: float | None = None
    without: int = 0
    finished: bool = False
    format: str = FORMAT
    version: int = VERSION


def save(
    out: Path,
    state: State,
    config: str,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    keep: int,
) -> Path:
    """Write a checkpoint and delete all but the newest ``keep``. config: JSON."""
    place = _folder(out) / f"step_{state.step:08d}"
    draft = place.with_name(place.name + UNFINISHED)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_weights(draft / WEIGHTS, weights, state.stage, config)
    save_file(dict(optimizer), draft / OPTIMIZER)
    (draft / STATE).write_bytes(msgspec.json.encode(state))
    if place.exists():  # the same step again, after a run that ended before it was told so
        shutil.rmtree(place)
    os.replace(draft, place)
    for old in finished(out)[:-keep]:
        shutil.rmtree(old)
    return place


def finished(out: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    return sorted(p for p in _folder(out).glob("step_*") if not p.name.endswith(UNFINISHED))


def read_state(checkpoint: Path) -> State:
    """What ``state.json`` says. Raises ``TrainingError`` naming the file that is damaged or of another version."""
    path = checkpoint / STATE
    try:
        state = msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}); delete {checkpoint} to go on from the checkpoint before it."
        ) from error
    if (state.format, state.version) != (FORMAT, VERSION):
        raise TrainingError(
            f"{path} is {state.format} {state.version}, this program reads {FORMAT} {VERSION}; train again into a new folder."
        )
    return state


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and what the header says. Raises ``TrainingError`` naming a file that is damaged or not there."""
    try:
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
        return load_file(path), about
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); copy it again, or train again.") from error


def save_weights(path: Path, weights: Mapping[str, Tensor], stage: str, config: str) -> None:
    """Write weights with the configuration in the header, whole or not at all."""
    about = {"format": FORMAT, "version": str(VERSION), "stage": stage, "config": config}
    draft = path.with_name(path.name + UNFINISHED)
    save_file(dict(weights), draft, metadata=about)
    os.replace(draft, path)


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """What is trained of a model, by name, on the CPU."""
    return {k: p.detach().cpu().contiguous() for k, p in model.named_parameters() if p.requires_grad}


def load_weights(model: nn.Module, path: Path, weights: Mapping[str, Tensor]) -> None:
    """Set parameters by name. Raises ``TrainingError`` if ``weights``, of ``path``, are of another model."""
    parameters = dict(model.named_parameters())
    for name, value in weights.items():
        if name not in parameters or parameters[name].shape != value.shape:
            raise TrainingError(
                f"{path} does not fit the model ('{name}'); train from the same checkpoint with the same `head` and `lora`."
            )
        with torch.no_grad():
            parameters[name].copy_(value)


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by kind and weight."""
    found = {}
    for name, parameter in model.named_parameters():
        for kind, value in optimizer.state.get(parameter, {}).items():
            found[f"{kind}/{name}"] = value.detach().cpu().contiguous()
    return found


def load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The opposite of ``optimizer_tensors``."""
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        parameter = parameters[name]
        where = "cpu" if kind == "step" else parameter.device
        optimizer.state[parameter][kind] = value.to(where)


def _folder(out: Path) -> Path:
    return out / "checkpoints"
