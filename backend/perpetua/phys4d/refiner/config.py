"""``refiner.yaml``: how the space-time refiner is trained."""

from __future__ import annotations

from pathlib import Path

import msgspec

from perpetua.errors import TrainingError
from perpetua.yaml_file import load_yaml


class RefinerPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lengths in frames and pixels are of the cuts that are trained on."""

    data: str
    """Folder of a data set (`perpetua data generate`)."""
    seed: int = 0
    steps: int = 4000
    batch: int = 4
    frames: int = 9
    width: int = 64
    height: int = 64
    learning_rate: float = 3e-4
    warmup: int = 100
    """Steps over which the learning rate rises from 0; it then falls along a half cosine."""
    average: float = 0.998
    """Decay of the running mean of the weights, which is what is kept (Polyak)."""
    moving_weight: float = 3.0
    """Of pixels that move, against 1 of the others."""
    clip_gradient: float = 1.0
    widths: tuple[int, ...] = (64, 128, 256)
    blocks: int = 2
    checkpoint_every: int = 200
    threads: int = 1


def load_plan(path: Path) -> RefinerPlan:
    """The plan in a YAML file. Raises ``TrainingError`` naming the field that is wrong."""
    plan = load_yaml(path, RefinerPlan, TrainingError, "docs/refiners.md")
    check(plan)
    return plan


def check(plan: RefinerPlan) -> None:
    """Raise ``TrainingError`` for numbers that nothing can be trained with."""
    for name, least in (
        ("steps", 1), ("batch", 1), ("frames", 2), ("width", 8), ("height", 8), ("blocks", 1), ("checkpoint_every", 1), ("threads", 1),
        ("warmup", 0), ("seed", 0), ("moving_weight", 0),
    ):  # fmt: skip
        if not getattr(plan, name) >= least:
            raise TrainingError(f"{name} is {getattr(plan, name)}; it must be {least} or more.")
    if not plan.widths or any(width < 8 or width % 8 for width in plan.widths):
        raise TrainingError(f"widths are {list(plan.widths)}; they must be multiples of 8, one a level.")
    if not 0 <= plan.average < 1 or not plan.learning_rate > 0 or not plan.clip_gradient > 0:
        raise TrainingError("average must be from 0 to below 1, learning_rate and clip_gradient above 0.")
