"""``perpetua train refiner``: the small refiner that runs on any machine."""

from __future__ import annotations

import sys
from pathlib import Path

from perpetua.cli.console import Console
from perpetua.phys4d.refiner.config import load_plan
from perpetua.phys4d.refiner.train import train


def train_refiner(path: Path, out: Path) -> int:
    """Train, or go on where ``out`` was left, and say where the weights are."""
    plan = load_plan(path)
    console = Console()
    weights = train(plan, out, console.progress.of("refiner"))
    console.close()
    print(f"The weights are in {weights}", file=sys.stderr)
    return 0
