"""What each stage is worth: one network through all of them, and beside each what it must beat.

    model -> heads -> sft -> rl_<seed>, for each of several seeds
                         sft -> control: as much of stage 2 again as stage 3 took
             heads -> one run of stage 2 for each ablation: with other weights of the objective's terms (paper, 6.3 and D.2)

Every run is one that `perpetua train` would make of the same configuration, in a folder of its name, and goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from perpetua.errors import TrainingError
from perpetua.phys4d.train.backbones.space_time import REFINER
from perpetua.phys4d.train.config import HeadsConfig, RlConfig, SftConfig, StageConfig, Weights, check
from perpetua.phys4d.train.heads_stage import train_heads
from perpetua.phys4d.train.rl_stage import train_rl
from perpetua.phys4d.train.sft_stage import train_sft
from perpetua.progress import Progress
from perpetua.yaml_file import load_yaml

BASE, HEADS, SFT, RL, CONTROL = "base", "heads", "sft", "rl", "control"
Train = Callable[[Any, Path, Progress], Path]
"""Trains a stage's configuration in a folder, or goes on."""


class StudyPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The YAML file. common: fields of every stage; heads, sft, rl: those of one, over the common ones."""

    model: str
    """File of the space_time network that the stages begin with."""
    common: dict[str, Any]
    heads: dict[str, Any] = {}
    sft: dict[str, Any] = {}
    rl: dict[str, Any] = {}
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the runs of stage 3."""
    ablations: dict[str, dict[str, float]] = {}
    """By name: which `weights` of stage 2 are others, such as `depth: 0`."""


@dataclass(frozen=True)
class Planned:
    """A run: its folder's name, its configuration, and what trains it."""

    name: str
    config: StageConfig
    train: Train


def load_study(path: Path) -> StudyPlan:
    """The plan in a YAML file. Raises ``TrainingError`` naming the field that is wrong."""
    plan = load_yaml(path, StudyPlan, TrainingError, "docs/training.md")
    runs = list(planned(plan, Path()))
    if len({(run.config.precision, run.config.device) for run in runs}) > 1:
        raise TrainingError(
            f"{path}: one process trains in one precision on one device; set `precision` and `device` under `common`."
        )
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1 or name in (BASE, RL):
            raise TrainingError(f"{path}: two runs would be called '{name}'; give the ablation another name.")
        if not name.replace("_", "").isalnum():
            raise TrainingError(
                f"{path}: '{name}' names a folder; use letters, digits and underscores for ablations."
            )
    if not plan.seeds:
        raise TrainingError(f"{path}: `seeds` is empty; give stage 3 one at least.")
    return plan


def planned(plan: StudyPlan, out: Path) -> Iterator[Planned]:
    """The runs in the order in which they are made, checked field by field. Raises ``TrainingError``."""
    start = {name: {"start": str(out / name)} for name in (HEADS, SFT)}
    yield Planned(HEADS, _config(plan, HEADS, plan.heads, HeadsConfig), train_heads)
    yield Planned(SFT, _config(plan, SFT, plan.sft | start[HEADS], SftConfig), train_sft)
    for name, changed in plan.ablations.items():
        weights = _with(plan.sft.get("weights", {}), changed)
        config = _config(plan, name, plan.sft | start[HEADS] | {"weights": weights}, SftConfig)
        yield Planned(name, config, train_sft)
    for seed in plan.seeds:
        config = _config(plan, RL, plan.rl | start[SFT] | {"seed": seed}, RlConfig)
        yield Planned(seeded(seed), config, train_rl)
    as_much = {"same_compute_as": str(out / seeded(plan.seeds[0]))} if plan.seeds else {}
    yield Planned(CONTROL, _config(plan, CONTROL, plan.sft | start[SFT] | as_much, SftConfig), train_sft)


def seeded(seed: int) -> str:
    """The name of the run of stage 3 with ``seed``."""
    return f"{RL}_{seed}"


def train_study(plan: StudyPlan, out: Path, progress: Progress) -> dict[str, Path]:
    """Make every run that is not there yet; returns the networks' files by name, that of ``base`` first."""
    networks = {BASE: Path(plan.model).expanduser()}
    for run in planned(plan, out):
        run.train(run.config, out / run.name, progress.of(run.name))
        if run.name != HEADS:  # which leaves the network as it is
            networks[run.name] = out / run.name / REFINER
    return networks


def comparisons(plan: StudyPlan) -> list[tuple[str, str]]:
    """What is held against what, by name: each stage against the one before it, stage 3 and its control, the whole objective against those
    with other terms. ``rl`` stands for the mean of its seeds."""
    return [
        (SFT, BASE),
        (RL, SFT),
        (CONTROL, SFT),
        (RL, CONTROL),
        *((seeded(seed), CONTROL) for seed in plan.seeds),
        *((SFT, name) for name in plan.ablations),
    ]


def _config(plan: StudyPlan, name: str, fields: Mapping[str, Any], kind: type[StageConfig]) -> StageConfig:
    whole = {"model": plan.model, **plan.common, **fields}
    try:
        config = msgspec.convert(whole, kind, strict=False)
    except msgspec.ValidationError as cause:
        raise TrainingError(f"{name}: {cause}. The fields are described in docs/training.md.") from cause
    check(config)
    return config


def _with(weights: Mapping[str, float], changed: Mapping[str, float]) -> dict[str, float]:
    for term in changed:
        if term not in Weights.__struct_fields__:
            raise TrainingError(
                f"ablations: there is no term '{term}'; choose one of: {', '.join(Weights.__struct_fields__)}."
            )
    return {**weights, **changed}
