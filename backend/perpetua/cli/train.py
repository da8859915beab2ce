"""``perpetua train``: a stage of the training of a video model. Under torchrun or accelerate launch, one process of many."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from perpetua.cli.console import Console
from perpetua.phys4d.train import StageConfig, load_config
from perpetua.progress import Progress

Config = TypeVar("Config", bound=StageConfig)


def train(kind: type[Config], stage: Callable[[Config, Path, Progress], Path], path: Path, out: Path) -> int:
    """Read the configuration, train or go on, and say where the weights are; only the first process speaks."""
    config = load_config(path, kind)
    first = os.environ.get("RANK", "0") == "0"
    console = Console()
    weights = stage(config, out, console.progress.of("training") if first else Progress())
    console.close()
    if first:
        print(f"The weights are in {weights}", file=sys.stderr)
    return 0
