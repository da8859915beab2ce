"""The YAML files of the three stages, checked field by field before anything heavy begins."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from perpetua.errors import TrainingError
from perpetua.yaml_file import load_yaml

Precision = Literal["auto", "float32", "bfloat16"]


class DataPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which clips, and how they are cut. frames, width, height: of what the model sees; longer clips are cut at a random
    frame, other sizes scaled to cover and cropped in the middle."""

    folder: str
    """What `perpetua data generate` wrote, or a folder of clips (docs/evaluation.md says what a clip is)."""
    split: Literal["train", "test", "all"] = "train"
    """Of generated data."""
    frames: int = 49
    width: int = 720
    height: int = 480


class HeadPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """cell: pixels across and down that one predicted depth or motion stands for before it is scaled up."""

    channels: int = 128
    """Of the depth head's maps; a multiple of 4."""
    cell: int = 4


class LoraPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rank: int = 64
    alpha: int = 64


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the terms of the objective of the second stage (paper, eq. 5); the paper gives none. rgb_warp 0 leaves that term out."""

    flow_matching: float = 1.0
    depth: float = 0.1
    motion: float = 0.1
    warp: float = 0.05
    rgb_warp: float = 0.0


class StageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the stages have in common."""

    model: str
    """Folder of the checkpoint in the models folder (`perpetua doctor` says where)."""
    data: DataPlan
    validation: DataPlan | None = None
    """Clips that are never trained on; without them nothing is validated and the last weights are kept."""
    prompt: str = ""
    seed: int = 0
    steps: int = 1000
    batch: int = 1
    """Clips at once on each device."""
    accumulate: int = 1
    """Batches whose gradients make one step."""
    learning_rate: float = 1e-4
    warmup: int = 0
    """Steps over which the learning rate rises from 0."""
    weight_decay: float = 0.0
    clip_gradient: float = 1.0
    """Largest norm of a step's gradient."""
    checkpoint_every: int = 100
    keep: int = 2
    """Checkpoints that are kept, the newest."""
    validate_every: int = 100
    validation_clips: int = 8
    patience: int = 0
    """Validations without a better figure after which the run ends; 0 goes on to the last step."""
    sampling_steps: int = 30
    """Denoising steps of videos made for validation."""
    precision: Precision = "auto"
    """auto: bfloat16 on a GPU, float32 on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gradient_checkpointing: bool = True
    """Computes activations of the backbone again in the backward pass: about a third slower, far less memory."""
    workers: int = 0
    """Processes that read clips ahead."""
    head: HeadPlan = HeadPlan()


class HeadsConfig(StageConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stage 1: heads on the frozen backbone."""


class SftConfig(StageConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stage 2: LoRA and heads on simulated clips."""

    start: str
    """Folder of a finished run of stage 1, or of stage 2 to go on from."""
    lora: LoraPlan = LoraPlan()
    weights: Weights = Weights()
    noise: tuple[float, float] = (0.4, 1.0)
    """Times of the schedule that are trained, 0 clean to 1 noise: its noisy part."""
    same_compute_as: str = ""
    """Folder of a run of stage 3: train for as many passes through the backbone as that run took, whatever `steps` says."""


class RlConfig(StageConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stage 3: PPO on the reward of the world that a video shows."""

    start: str
    """Folder of a finished run of stage 2."""
    scenes: int = 8
    """Clips a step on each device."""
    group: int = 8
    """Videos of each clip; a video is judged against the others of its group."""
    rollout_steps: int = 10
    """Denoising steps of a video; the last one is without noise and is not trained."""
    exploration: float = 0.7
    """a of the noise g = a sqrt(t / (1 - t)); for DDPM schedules the eta of DDIM, at most 1."""
    clip_ratio: float = 1e-3
    kl: float = 1e-3
    """Weight of the divergence from the model that the stage began with."""
    updates: int = 4
    """Optimiser steps in which one step's videos are used."""
    worst_reward: float = -1.5
    """m: reward of a video that is farther off than this, or in which nothing moves."""


Config = TypeVar("Config", bound=StageConfig)


def load_config(path: Path, kind: type[Config]) -> Config:
    """The configuration in a YAML file. Raises ``TrainingError`` naming the field that is wrong."""
    config = load_yaml(path, kind, TrainingError, "docs/training.md")
    check(config)
    return config


def check(config: StageConfig) -> None:
    """Raise ``TrainingError`` for numbers that nothing can be trained with."""
    for name in (
        "steps", "batch", "accumulate", "checkpoint_every", "keep", "validate_every", "validation_clips", "sampling_steps",
    ):  # fmt: skip
        _at_least(name, getattr(config, name), 1)
    for name in ("warmup", "patience", "workers", "weight_decay", "seed"):
        _at_least(name, getattr(config, name), 0)
    for name in ("learning_rate", "clip_gradient"):
        if not getattr(config, name) > 0:
            raise TrainingError(f"{name} is {getattr(config, name):g}; it must be above 0.")
    if config.head.channels < 4 or config.head.channels % 4:
        raise TrainingError(f"head.channels is {config.head.channels}; it must be a multiple of 4.")
    _at_least("head.cell", config.head.cell, 1)
    if isinstance(config, SftConfig):
        low, high = config.noise
        if not 0 <= low < high <= 1:
            raise TrainingError(f"noise is {low:g} to {high:g}; it must rise within 0 (clean) to 1 (noise).")
        _at_least("lora.rank", config.lora.rank, 1)
        for term in Weights.__struct_fields__:
            _at_least(f"weights.{term}", getattr(config.weights, term), 0)
    if isinstance(config, RlConfig):
        _at_least("scenes", config.scenes, 1)
        _at_least("group", config.group, 2)
        _at_least("rollout_steps", config.rollout_steps, 2)
        _at_least("updates", config.updates, 1)
        _at_least("kl", config.kl, 0)
        if not 0 < config.exploration <= 1 or not 0 < config.clip_ratio < 1:
            raise TrainingError("exploration must be above 0 and at most 1, and clip_ratio between 0 and 1.")
        if config.worst_reward >= 0:
            raise TrainingError("worst_reward must be below 0: rewards are distances times -1.")


def _at_least(name: str, value: float, least: int) -> None:
    if not value >= least:
        raise TrainingError(f"{name} is {value:g}; it must be {least} or more.")
