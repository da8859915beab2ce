"""Trains the space-time network: at random levels of the bridge, predict the fine signal; pixels that move count more.

    OUT/checkpoint.safetensors      network, its running mean and the optimiser, with the plan and the step in the header
    OUT/logs/                       the losses of every step, as TensorBoard shows them
    OUT/weights.safetensors         the running mean in 16 bits, at the checkpoint: what the refiner takes

Batches, levels and noise follow from the seed and the step, so a run that was stopped anywhere goes on to the same losses.
"""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from perpetua.errors import TrainingError
from perpetua.phys4d.data.store import read_split
from perpetua.phys4d.refiner.config import RefinerPlan, check
from perpetua.phys4d.refiner.pairs import Pair, Pairs
from perpetua.phys4d.train.logs import Logs
from perpetua.phys4d.train.memory import GIB, running_out
from perpetua.phys4d.train.warp import backward_warp
from perpetua.progress import Progress
from perpetua.refine.space_time import weights
from perpetua.refine.space_time.bridge import between, predict
from perpetua.refine.space_time.network import Shape, SpaceTimeUNet
from perpetua.refine.space_time.signal import FLOW, FLOW_PIXELS, NEARNESS, PICTURE

CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"
WHOLLY = 0.99
"""Share of a pixel that must be a thing's in the next frame, for its error to be followed there."""
MAY_CHANGE = ("checkpoint_every", "threads")


def losses(
    network: torch.nn.Module, pair: Pair, generator: torch.Generator, plan: RefinerPlan
) -> dict[str, Tensor]:
    """The objective of one batch and its parts: mean squares of the picture and of how its error changes along the true
    motion of things; mean absolute flicker, what changes from frame to frame where nothing moves, and differences of nearness and flow. (Of the picture these would not do: most pixels need no change, and
    the network would learn to change none.)"""
    count = len(pair.fine)
    level = torch.rand(count, generator=generator).clamp_min(1e-3)
    level = torch.where(torch.rand(count, generator=generator) < plan.at_source, 1.0, level).to(pair.fine)
    noise = torch.randn(pair.fine.shape, generator=generator).to(pair.fine)
    noise *= (torch.rand(count, generator=generator) > plan.without_noise).to(noise)[
        :, None, None, None, None
    ]
    x = between(pair.fine, pair.coarse, noise, level)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
        found = predict(network, x, pair.coarse, pair.condition, level)  # type: ignore[arg-type]
    error = found.float() - pair.fine
    matters = torch.maximum(torch.maximum(pair.moving, pair.things), pair.changing)
    weight = pair.known * (1 + (plan.moving_weight - 1) * matters[:, None])
    parts = {
        "picture": _mean(error[:, PICTURE] ** 2, weight[:, PICTURE]),
        "nearness": _mean(error[:, NEARNESS].abs(), weight[:, NEARNESS]),
        "flow": _mean(error[:, FLOW].abs(), weight[:, FLOW]),
        "flicker": _mean(
            (error[:, PICTURE, 1:] - error[:, PICTURE, :-1]).abs(), 1 - pair.moving[:, None, 1:]
        ),
        "warp": _along_motion(error[:, PICTURE], pair),
    }
    weights_of = {"picture": plan.picture_weight, "flicker": plan.flicker_weight, "warp": plan.warp_weight}
    return {"loss": sum((weights_of.get(k, 1.0) * v for k, v in parts.items()), torch.zeros(())), **parts}


def _along_motion(error: Tensor, pair: Pair) -> Tensor:
    """Mean square of what the picture's error [B, 3, T, H, W] changes by from frame to frame, followed along the true flow of things."""
    known = pair.things * pair.known[:, 0]
    flow = FLOW_PIXELS * pair.fine[:, FLOW, :-1].transpose(1, 2).flatten(0, 1)
    now, after = (part.transpose(1, 2).flatten(0, 1) for part in (error[:, :, :-1], error[:, :, 1:]))
    there = backward_warp(torch.cat([after, known[:, 1:].flatten(0, 1)[:, None]], 1), flow)
    both = known[:, :-1].flatten(0, 1)[:, None] * (there[:, 3:] > WHOLLY)
    return _mean((there[:, :3] - now) ** 2, both)


def train(plan: RefinerPlan, out: Path, progress: Progress) -> Path:
    """Train, or go on where ``out`` was left; returns the weights' file. Raises ``TrainingError`` or ``DataError``."""
    check(plan)
    with running_out(lambda there: _smaller(plan, there)):
        return _train(plan, out, progress)


def _smaller(plan: RefinerPlan, there_bytes: int) -> str:
    """What to change where memory ran out."""
    said = (
        f"Memory ran out: {there_bytes / GIB:.0f} GiB are too little for a batch of {plan.batch} cuts of {plan.frames} frames at "
        f"{plan.width}x{plan.height}."
    )
    if plan.batch > 1:
        return f"{said} Set batch to {plan.batch // 2} and steps to {2 * plan.steps}: as many cuts are seen."
    return f"{said} Set frames to {max(2, plan.frames // 2)}, or width and height to {max(8, plan.width // 2)} and {max(8, plan.height // 2)}."


def _train(plan: RefinerPlan, out: Path, progress: Progress) -> Path:
    from accelerate import Accelerator

    torch.set_num_threads(plan.threads)
    entries = read_split(Path(plan.data).expanduser(), "train")
    pairs = Pairs(entries, plan)
    torch.manual_seed(plan.seed)
    pixels = max(e.about.width * e.about.height for e in entries)
    network = SpaceTimeUNet(Shape(plan.widths, plan.blocks, pixels))
    mean = copy.deepcopy(network)
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    optimizer = torch.optim.AdamW(network.parameters(), plan.learning_rate, weight_decay=0.01)
    begun = _resume(out, plan, network, mean, optimizer)
    model, optimizer = accelerator.prepare(network, optimizer)
    mean.to(accelerator.device)
    logs = Logs(out / "logs", begun, accelerator.is_main_process)
    for step in range(begun, plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * learning_rate_share(step, plan)
        pair = Pair(*(t.to(accelerator.device) for t in pairs.batch(step).named().values()))
        found = losses(model, pair, torch.Generator().manual_seed(plan.seed * 1_000_003 + step), plan)
        if not bool(torch.isfinite(found["loss"])):
            _stop_at_nan(out, step, pair, found)
        optimizer.zero_grad()
        accelerator.backward(found["loss"])
        accelerator.clip_grad_norm_(model.parameters(), plan.clip_gradient)
        optimizer.step()
        _follow(mean, network, min(plan.average, (step + 1) / (step + 10)))
        for name, value in found.items():
            logs.note(f"loss/{name}", float(value.detach()))
        logs.step(step + 1, accelerator)
        progress(
            (step + 1) / plan.steps,
            f"step {step + 1} of {plan.steps}, loss {float(found['loss'].detach()):.4f}",
        )
        if (step + 1) % plan.checkpoint_every == 0 or step + 1 == plan.steps:
            logs.flush()  # what is logged must not be behind the checkpoint
            _save(out, plan, step + 1, network, mean, optimizer)
            about = msgspec.json.encode({"plan": plan, "clips": len(entries), "steps": step + 1}).decode()
            weights.save(out / WEIGHTS, mean, about, half=True)
    logs.close()
    return out / WEIGHTS


def learning_rate_share(step: int, plan: RefinerPlan) -> float:
    """Of the learning rate: a rise over the warm-up, then half a cosine down to 0."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return 0.5 * (1 + math.cos(math.pi * done))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(values)
    return (weight * values).sum() / weight.sum().clamp_min(1.0)


@torch.no_grad()
def _follow(mean: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    for kept, now in zip(mean.parameters(), network.parameters(), strict=True):
        kept.lerp_(now.detach(), 1 - decay)


def _save(
    out: Path, plan: RefinerPlan, step: int, network: SpaceTimeUNet, mean: SpaceTimeUNet, optimizer: Any
) -> None:
    tensors = {f"network/{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"mean/{k}": v for k, v in mean.state_dict().items()}
    state = getattr(optimizer, "optimizer", optimizer).state
    for name, parameter in network.named_parameters():
        tensors |= {f"optimizer/{kind}/{name}": value for kind, value in state[parameter].items()}
    out.mkdir(parents=True, exist_ok=True)
    unfinished = out / f"{CHECKPOINT}.unfinished"
    header = {"plan": msgspec.json.encode(plan).decode(), "step": str(step)}
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, unfinished, metadata=header)
    os.replace(unfinished, out / CHECKPOINT)


def _resume(
    out: Path,
    plan: RefinerPlan,
    network: SpaceTimeUNet,
    mean: SpaceTimeUNet,
    optimizer: torch.optim.Optimizer,
) -> int:
    """Put what ``out`` holds into the three, and return the steps done; 0 if it holds nothing."""
    path = out / CHECKPOINT
    if not path.is_file():
        return 0
    try:
        with safe_open(path, "pt") as file:
            header = dict(file.metadata() or {})
        tensors = load_file(path)
        before = msgspec.json.decode(header["plan"], type=RefinerPlan)
    except (OSError, SafetensorError, KeyError, msgspec.MsgspecError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); delete it to begin anew.") from error
    for name in RefinerPlan.__struct_fields__:
        was, is_now = getattr(before, name), getattr(plan, name)
        if was != is_now and name not in MAY_CHANGE:
            raise TrainingError(
                f"{out} holds a run with {name} {was!r}, the plan says {is_now!r}; give another --out, or set it back."
            )
    for prefix, module in (("network/", network), ("mean/", mean)):
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    for name, parameter in network.named_parameters():
        optimizer.state[parameter] = {
            kind: tensors[f"optimizer/{kind}/{name}"] for kind in ("step", "exp_avg", "exp_avg_sq")
        }
    return int(header["step"])


def _stop_at_nan(out: Path, step: int, pair: Pair, found: dict[str, Tensor]) -> None:
    path = out / f"nan_step_{step + 1}.safetensors"
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().cpu().contiguous() for k, v in pair.named().items()}, path)
    said = ", ".join(f"{name} {float(value.detach()):g}" for name, value in found.items())
    raise TrainingError(
        f"In step {step + 1} the loss was no number ({said}). The batch is in {path}: look for wrong numbers in it; if it has none, lower "
        "learning_rate. Run again to go on from the last checkpoint."
    )
