"""The network on disk: one safetensors file, whose header says of what shape it is."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from perpetua.errors import RefinerError
from perpetua.refine.space_time.network import Shape, SpaceTimeUNet

FORMAT, VERSION = "perpetua-space-time", 2
SHIPPED = Path(__file__).with_name("weights.safetensors")
"""The weights that come with Perpetua (docs/model_card.md)."""


@lru_cache(maxsize=4)
def digest(path: Path) -> str:
    """SHA-256 of a file that does not change while the program runs."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save(path: Path, network: SpaceTimeUNet, about: str, half: bool) -> None:
    """Write the network's weights, in 16 bits if ``half``; about: JSON, such as how it was trained. Whole or not at all."""
    kept = {k: (v.half() if half else v).detach().cpu().contiguous() for k, v in network.state_dict().items()}
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "shape": msgspec.json.encode(network.shape).decode(),
        "about": about,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    save_file(kept, unfinished, metadata=header)
    os.replace(unfinished, path)


def load(path: Path) -> tuple[SpaceTimeUNet, str]:
    """The network in 32 bits, for use, and what is said about it. Raises ``RefinerError`` naming the file and what to do."""
    try:
        with safe_open(path, "pt") as file:
            header = dict(file.metadata() or {})
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RefinerError(
            f"{path} cannot be read ({error}); give the safetensors file of a trained space_time refiner."
        ) from error
    if (header.get("format"), header.get("version")) != (FORMAT, str(VERSION)):
        raise RefinerError(
            f"{path} is not {FORMAT} {VERSION}; give the weights.safetensors that `perpetua train refiner` has written."
        )
    try:
        network = SpaceTimeUNet(msgspec.json.decode(header["shape"], type=Shape))
        network.load_state_dict({name: tensor.to(torch.float32) for name, tensor in tensors.items()})
    except (KeyError, RuntimeError, msgspec.MsgspecError) as error:
        raise RefinerError(
            f"{path} does not hold what its header says ({error}); copy it again, or train again."
        ) from error
    return network.eval(), header.get("about", "{}")
