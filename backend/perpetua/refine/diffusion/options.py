"""What an artist may set of a diffusion refiner, checked when the take is read, before anything heavy begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from perpetua.errors import RefinerError
from perpetua.refine.api import options_error
from perpetua.weights import leads_out

GUIDES = ("time_to_move", "warped_noise")
OFFLOADS = ("auto", "none", "model", "sequential")
DTYPES = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Options:
    """Options of every diffusion refiner. None stands for what the model's family suggests."""

    model: str = ""
    """Folder of the weights inside the models folder."""
    guide: str = "time_to_move"
    prompt: str = ""
    negative_prompt: str = ""
    strength: float = 0.7
    """How much of the steps is run, 0 (the coarse video) to 1 (from noise alone). With time_to_move: the clock of the surroundings."""
    object_strength: float = 0.5
    """time_to_move: the clock of the objects; not above strength."""
    degradation: float = 0.4
    """warped_noise: 0 follows the flow wholly, 1 not at all."""
    steps: int = 30
    guidance: float | None = None
    seed: int = 0
    width: int | None = None
    """Pixels the picture is wide for the model; None is what the model was made for, if the video is smaller."""
    window: int | None = None
    """Most frames at once; a longer round is made in windows that overlap."""
    overlap: int = 8
    """Frames that windows share at least."""
    control: str = "depth"
    """What the model sees of the coarse video beside the guide, for models that take such a video: depth, grey, colour or none."""
    lora: str = ""
    """A .safetensors file, or a folder that holds one, inside the models folder."""
    lora_scale: float = 1.0
    device: str = "auto"
    dtype: str = "auto"
    offload: str = "auto"
    """Parts of the model in the computer's memory until used: none, model (a part at a time), sequential (a layer at a time, slow)."""
    tiled: bool = False
    """Encode and decode in tiles: less memory, seams possible."""


NAMES = tuple(f.name for f in fields(Options))


def read_options(refiner: str, given: Mapping[str, Any], controls: tuple[str, ...] = ()) -> Options:
    """``given`` as ``Options``. Raises ``RefinerError`` with a sentence for the first that is unknown or out of range."""

    def wrong(name: str, wants: str) -> RefinerError:
        return RefinerError(f"Refiner '{refiner}': {name} is {given[name]!r}; it must be {wants}.")

    known = NAMES if controls else tuple(name for name in NAMES if name != "control")
    if problem := options_error(refiner, given, known):
        raise RefinerError(problem)
    if not given.get("model"):
        raise RefinerError(
            f"Refiner '{refiner}' needs the option `model`: the name of a folder of weights in the models folder "
            "(`perpetua doctor` says where that is and what it should hold)."
        )
    for name, values in (("guide", GUIDES), ("offload", OFFLOADS), ("dtype", DTYPES), ("control", controls)):
        if name in given and given[name] not in values:
            raise wrong(name, f"one of {', '.join(values)}")
    for name in ("model", "lora", "prompt", "negative_prompt", "device"):
        if name in given and not isinstance(given[name], str):
            raise wrong(name, "a text")
    for name in ("model", "lora"):
        if leads_out(given.get(name, "")):
            raise wrong(name, "a name inside the models folder, not a path to elsewhere")
    for name, low, high in (
        ("strength", 0.0, 1.0), ("object_strength", 0.0, 1.0), ("degradation", 0.0, 1.0),
        ("guidance", 0.0, 100.0), ("lora_scale", -10.0, 10.0),
    ):  # fmt: skip
        if name in given and not (_number(given[name]) and low <= given[name] <= high):
            raise wrong(name, f"a number from {low:g} to {high:g}")
    for name, low in (("steps", 1), ("seed", 0), ("width", 32), ("window", 2), ("overlap", 1)):
        if name in given and not (_whole(given[name]) and given[name] >= low):
            raise wrong(name, f"a whole number of {low} or more")
    if "tiled" in given and not isinstance(given["tiled"], bool):
        raise wrong("tiled", "true or false")
    options = Options(**given)
    if options.window is not None and options.overlap >= options.window:
        raise RefinerError(
            f"Refiner '{refiner}': windows of {options.window} frames cannot share {options.overlap}; make overlap smaller."
        )
    return options


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
