"""What ``perpetua train`` can train, each with its options. Nothing heavy is imported until it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class _Training:
    config: Path
    """A YAML file; docs/training.md describes its fields."""
    out: Path
    """Folder of the run: checkpoints, logs, weights. Run again with the same folder to go on where it stopped."""


@dataclass(frozen=True)
class TrainHeads(_Training):
    """Stage 1: depth and motion heads on a frozen video model."""

    def run(self) -> int:
        from perpetua.cli.train import train
        from perpetua.phys4d.train import HeadsConfig, train_heads

        return train(HeadsConfig, train_heads, self.config, self.out)


@dataclass(frozen=True)
class TrainSft(_Training):
    """Stage 2: a LoRA and the heads on simulated clips, with warp consistency."""

    def run(self) -> int:
        from perpetua.cli.train import train
        from perpetua.phys4d.train import SftConfig, train_sft

        return train(SftConfig, train_sft, self.config, self.out)


@dataclass(frozen=True)
class TrainRl(_Training):
    """Stage 3: reinforcement learning with the 4D Chamfer reward."""

    def run(self) -> int:
        from perpetua.cli.train import train
        from perpetua.phys4d.train import RlConfig, train_rl

        return train(RlConfig, train_rl, self.config, self.out)


@dataclass(frozen=True)
class TrainRefiner(_Training):
    """The small space_time refiner, on simulated pairs (docs/refiners.md has the fields of its YAML file)."""

    def run(self) -> int:
        from perpetua.cli.train_refiner import train_refiner

        return train_refiner(self.config, self.out)


Training = Annotated[
    Annotated[TrainHeads, tyro.conf.subcommand("heads")]
    | Annotated[TrainSft, tyro.conf.subcommand("sft")]
    | Annotated[TrainRl, tyro.conf.subcommand("rl")]
    | Annotated[TrainRefiner, tyro.conf.subcommand("refiner")],
    tyro.conf.arg(name=""),
]
