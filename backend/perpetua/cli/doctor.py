"""``perpetua doctor``: what this machine can do, and what each missing extra would bring."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perpetua import __version__, registry
from perpetua.cli.blender import blender_python
from perpetua.cli.console import table
from perpetua.errors import PerpetuaError, RefinerError
from perpetua.paths import cache_home, models_home
from perpetua.weights import gigabytes
from perpetua_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from perpetua.refine.diffusion.refiner import DiffusionRefiner

GIB = 2**30
ENOUGH_MEMORY_GIB = 6
ENOUGH_DISK_GIB = 5


class Finding(msgspec.Struct, frozen=True):
    """A line of the report. state: 'ok', 'missing' (needed) or 'extra' (not there, and not needed to begin with)."""

    topic: str
    state: str
    text: str


CORE = (
    "torch",
    "genesis-world",
    "gsplat",
    "numba",
    "opencv-python",
    "pycolmap",
    "imageio-ffmpeg",
    "msgspec",
    "pyzmq",
    "usd-core",
    "diffusers",
    "transformers",
    "accelerate",
    "peft",
    "tensorboardX",
)

LIBRARIES = {"GL": "Genesis and Blender", "EGL": "Genesis and Blender", "X11": "Blender"}
"""System libraries without which these do not start."""


def report(as_json: bool) -> int:
    """Print the findings; exit code 1 if something needed is missing."""
    findings = examine()
    if as_json:
        print(msgspec.json.encode(findings).decode())
    else:
        print(f"Perpetua {__version__}\n")
        print(table(["", "", ""], [[f.topic, f.state, f.text] for f in findings]))
    return int(any(f.state == "missing" for f in findings))


def examine() -> list[Finding]:
    """Look at everything a bake needs, and at what would make it better."""
    return [*_machine(), *_libraries(), *_system_libraries(), _cuda(), _blender(), _backend(), *_parts()]


def _machine() -> list[Finding]:
    import psutil

    memory = psutil.virtual_memory().total / GIB
    home = cache_home()
    home.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(home).free / GIB
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [
        Finding("python", "ok" if sys.version_info[:2] == (3, 11) else "missing", platform.python_version()),
        Finding("cores", "ok", str(cores)),
        Finding(
            "memory",
            "ok" if memory >= ENOUGH_MEMORY_GIB else "missing",
            f"{memory:.0f} GiB; a bake at default quality wants {ENOUGH_MEMORY_GIB}",
        ),
        Finding(
            "disk",
            "ok" if disk >= ENOUGH_DISK_GIB else "missing",
            f"{disk:.0f} GiB free at {home}; keep {ENOUGH_DISK_GIB} for stages and caches",
        ),
    ]


def _libraries() -> list[Finding]:
    found = []
    for name in CORE:
        try:
            found.append(Finding(name, "ok", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(name, "missing", "not installed; run `make setup` again"))
    return found


def _system_libraries() -> list[Finding]:
    if sys.platform != "linux":
        return []
    return [
        Finding(f"lib{name}", "ok", "found")
        if ctypes.util.find_library(name)
        else Finding(
            f"lib{name}",
            "missing",
            f"not found; {user} need it: install lib{name.lower()} with your system's packages",
        )
        for name, user in LIBRARIES.items()
    ]


def _cuda() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", "ok", f"{torch.cuda.get_device_name(0)}: physics and splats run on it")
    return Finding(
        "GPU", "extra", "none; everything runs on the CPU. A CUDA GPU brings speed and the large video models"
    )


def _blender() -> Finding:
    if python := blender_python():
        asked = subprocess.run(
            [str(python), "-c", "import importlib.metadata as m; print(m.version('bpy'))"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if asked.returncode == 0:
            return Finding("Blender", "ok", f"bpy {asked.stdout.strip()} in {python.parents[1]}")
    if program := shutil.which("blender"):
        return Finding("Blender", "ok", f"{program}; install the add-on's zip in it")
    return Finding(
        "Blender", "extra", "none here; needed to place forces and play caches, not to bake (`perpetua run`)"
    )


def _backend() -> Finding:
    from perpetua_protocol.client import Client

    try:
        with Client.connect() as client:
            client.hello()
        return Finding("backend", "ok", "one is running and answers")
    except ProtocolError as error:
        return Finding("backend", "extra", f"{error}")
    except PerpetuaError as error:
        return Finding("backend", "extra", f"{error}")


def _parts() -> list[Finding]:
    found = [
        Finding(kind, "ok", ", ".join(registry.names(kind))) for kind in registry.PARTS if kind != "refiner"
    ]
    return [*found, *_providers(), *_refiners(), _training()]


def _providers() -> list[Finding]:
    """Which providers of reconstruction have their weights, and what the others need."""
    from perpetua.reconstruct.learned.checkpoint import Learned, usable

    found = []
    for kind in ("segmenter", "depth_estimator"):
        for name in registry.names(kind):
            provider = registry.load(kind, name)
            if not issubclass(provider, Learned):
                continue
            card = provider.card
            if folders := usable(provider):
                sizes = [f"model: {folder.name} ({gigabytes(folder):.1f} GB)" for folder in folders]
                about = f"{'; '.join(sizes)}. Memory: {card.memory}. Licence: {card.licence}"
                found.append(Finding(f"{kind} {name}", "ok", about))
            else:
                text = (
                    f"no weights. It takes {card.checkpoints}; put them in a folder of {models_home()}. Memory: {card.memory}. "
                    f"Licence: {card.licence}"
                )
                found.append(Finding(f"{kind} {name}", "extra", text))
    return found


def _refiners() -> list[Finding]:
    """Which refiners work as they are, and what the others need: licence, memory, and where the weights go."""
    from perpetua.refine.diffusion.refiner import FAMILIES

    heavy = {family.name for family in FAMILIES} | {"space_time"}
    light = ", ".join(name for name in registry.names("refiner") if name not in heavy)
    home = models_home()
    return [
        Finding("refiner", "ok", f"{light}; none of these needs weights"),
        Finding("models", "ok", f"weights are looked for in {home}, each checkpoint in a folder of its own"),
        *(_refiner(family, home) for family in FAMILIES),
        _space_time(),
    ]


def _space_time() -> Finding:
    """Whether the network that comes with Perpetua is there and whole."""
    from perpetua.refine.space_time import weights

    try:
        network, _ = weights.load(weights.SHIPPED)
    except RefinerError as error:
        return Finding("refiner space_time", "missing", f"{error} Install Perpetua again.")
    count = sum(parameter.numel() for parameter in network.parameters())
    return Finding(
        "refiner space_time",
        "ok",
        f"its weights come with Perpetua ({count / 1e6:.1f} million numbers, {weights.SHIPPED.stat().st_size / 1e6:.1f} MB); any machine "
        "does. `perpetua train refiner` makes others",
    )


def _refiner(family: type[DiffusionRefiner], home: Path) -> Finding:
    from perpetua.refine.diffusion.loading import usable

    card = family.backbone.card
    if folders := usable(family.backbone, home):
        sizes = [f"model: {folder.name} ({gigabytes(folder):.1f} GB)" for folder in folders]
        return Finding(
            f"refiner {family.name}",
            "ok",
            f"{'; '.join(sizes)}. Memory: {card.memory}. Licence: {card.licence}",
        )
    text = (
        f"no weights. It takes {card.checkpoints}; put one in a folder of {home}, in diffusers' layout: model_index.json, and "
        f"scheduler, text_encoder, tokenizer, transformer and vae with .safetensors. Memory: {card.memory}. "
        f"Licence: {card.licence}"
    )
    return Finding(f"refiner {family.name}", "extra", text)


def _training() -> Finding:
    """Which checkpoints `perpetua train` can train, and what that takes."""
    from perpetua.phys4d.train.backbones.loading import FAMILIES, trainable, what_can_be_trained

    takes = (
        "a GPU: by the size of weights, gradients and activations about 40 GB for 5 billion numbers at 49 frames of 720x480 (not "
        "measured); heads need less, a CPU does for toy sizes"
    )
    if folders := trainable(models_home()):
        return Finding("train", "ok", f"model: {', '.join(folder.name for folder in folders)}. Takes {takes}")
    licences = "; ".join(f"{kind.refiner.card.family}: {kind.refiner.card.licence}" for kind in FAMILIES)
    return Finding(
        "train",
        "extra",
        f"no weights in {models_home()}. {what_can_be_trained()} Takes {takes}. Licences: {licences}",
    )
