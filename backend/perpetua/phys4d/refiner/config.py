"""``refiner.yaml``: how the space-time refiner is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from perpetua.errors import TrainingError
from perpetua.yaml_file import load_yaml


class Disguise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the clips are changed each time they are seen; 0 leaves them as they are."""

    carried: float = 0.0
    """Share of cuts by standing cameras whose coarse video is the fine first frame carried along (``carried.py``)."""
    colour: float = 0.0
    """Of the natural logarithm of gains and gamma, at most; channels are exchanged too."""
    shimmer: float = 0.0
    """Of brightness, at most, that things flicker by."""


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
    at_source: float = 0.7
    """Share of the draws at level 1, where every refinement begins; the others are even in (0, 1)."""
    without_noise: float = 0.5
    """Share of the draws that begin with the coarse signal itself, as a bake's refinement does."""
    average: float = 0.998
    """Decay of the running mean of the weights, which is what is kept (Polyak)."""
    moving_weight: float = 3.0
    """Of things and of pixels that move or change, against 1 of the others."""
    picture_weight: float = 1.0
    """Of the picture's loss, against 1 of nearness and of flow."""
    flicker_weight: float = 1.0
    """Of the loss on what changes from frame to frame in pixels that do not move."""
    warp_weight: float = 1.0
    """Of the loss on what the error on things changes by along their motion."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's passes; the weights are trained in 32 bits. bfloat16 takes a third of the time on processors that have it."""
    disguise: Disguise = Disguise()
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
        ("warmup", 0), ("seed", 0), ("moving_weight", 0), ("picture_weight", 0), ("flicker_weight", 0), ("warp_weight", 0),
    ):  # fmt: skip
        if not getattr(plan, name) >= least:
            raise TrainingError(f"{name} is {getattr(plan, name)}; it must be {least} or more.")
    if not plan.widths or any(width < 8 or width % 8 for width in plan.widths):
        raise TrainingError(f"widths are {list(plan.widths)}; they must be multiples of 8, one a level.")
    if not 0 <= plan.average < 1 or not plan.learning_rate > 0 or not plan.clip_gradient > 0:
        raise TrainingError("average must be from 0 to below 1, learning_rate and clip_gradient above 0.")
    for name in ("at_source", "without_noise"):
        if not 0 <= getattr(plan, name) <= 1:
            raise TrainingError(f"{name} is {getattr(plan, name)}; it is a share, from 0 to 1.")
    if not 0 <= plan.disguise.carried <= 1 or not plan.disguise.colour >= 0 or not plan.disguise.shimmer >= 0:
        raise TrainingError(
            "disguise.carried must be from 0 to 1, disguise.colour and disguise.shimmer 0 or more."
        )
