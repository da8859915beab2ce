"""``data.yaml``: how much to make, of what, and what is kept for the test."""

from __future__ import annotations

from pathlib import Path

import msgspec

from perpetua.errors import DataError
from perpetua.phys4d.data.spec import CATEGORIES, MOVING_PATHS, Category
from perpetua.yaml_file import load_yaml

LEAST_SIDE = 16
"""pixels"""


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What clips of the training split never show: a clip with any of these belongs to the test."""

    templates: tuple[str, ...] = ("topple", "flag", "splash", "bump")
    materials: tuple[str, ...] = ("foam", "honey", "denim")
    cameras: tuple[str, ...] = ("crane",)


class DataConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything but the scenes' own draws. particles: of all things of a scene together, about, coarse and fine."""

    scenes: int = 36
    seed: int = 0
    categories: tuple[Category, ...] = CATEGORIES
    frames: int = 17
    fps: float = 24.0
    width: int = 128
    height: int = 80
    coarse_particles: int = 900
    fine_particles: int = 3600
    samples: int = 16
    """Rays a pixel of the fine picture, which is then denoised."""
    held_out: HeldOut = HeldOut()


def load_config(path: Path) -> DataConfig:
    """The configuration in a YAML file. Raises ``DataError`` naming the field that is wrong."""
    config = load_yaml(path, DataConfig, DataError, "docs/data.md")
    check(config)
    return config


def scene_name(config: DataConfig, index: int) -> str:
    """Of scene ``index``: the categories come in turns."""
    return f"{config.categories[index % len(config.categories)]}_{index:06d}"


def check(config: DataConfig) -> None:
    """Raise ``DataError`` for numbers that no data can be made with."""
    if config.scenes < 1 or not config.categories:
        raise DataError("The data would hold no scene; set `scenes` to one or more and name a category.")
    if config.frames < 2 or not 0 < config.fps < 1000:
        raise DataError(
            f"{config.frames} frames at {config.fps:g} a second are no video; use two frames or more."
        )
    if min(config.width, config.height) < LEAST_SIDE or config.width % 2 or config.height % 2:
        raise DataError(
            f"{config.width}x{config.height} pixels cannot be used; take even numbers from {LEAST_SIDE} up."
        )
    if not 20 <= config.coarse_particles < config.fine_particles:
        raise DataError(
            f"The coarse simulation has {config.coarse_particles} particles and the fine one {config.fine_particles}; "
            "the coarse one needs 20 at least, the fine one more than it."
        )
    if config.samples < 1:
        raise DataError("`samples` is below one; the picture needs a ray a pixel at least.")
    unknown = set(config.held_out.cameras) - {"fixed", *MOVING_PATHS}
    if unknown:
        raise DataError(
            f"held_out.cameras names '{sorted(unknown)[0]}'; the paths are fixed, {', '.join(MOVING_PATHS)}."
        )
