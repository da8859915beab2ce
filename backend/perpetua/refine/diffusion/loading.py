"""From a folder of safetensors to a model on a device. Nothing is fetched, nothing is unpickled, no code of a checkpoint is run.

At most one model is held at a time: it is used again by whoever asks for the same one, and let go when another is asked for, or
by ``let_go``.
"""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perpetua import weights
from perpetua.errors import RefinerError
from perpetua.paths import models_home
from perpetua.refine.diffusion.backbones.api import Backbone, Card
from perpetua.refine.diffusion.options import Options

if TYPE_CHECKING:
    import torch

INDEX = "model_index.json"
LIBRARIES = ("diffusers", "transformers", None)
"""Where the parts of a checkpoint may come from: None is a part that is not there, anything else would be code of its own."""
WITHOUT_WEIGHTS = ("tokenizer", "scheduler", "image_processor", "feature_extractor")
LORA = "lora"


@dataclass(frozen=True)
class Load:
    """What of the options decides which model is held."""

    backbone: type[Backbone]
    folder: Path
    lora: Path | None
    lora_scale: float
    device: str
    dtype: str
    offload: str
    tiled: bool


_held: dict[Load, Backbone] = {}


def wanted(backbone: type[Backbone], options: Options) -> Load:
    """What ``options`` ask for. Raises ``RefinerError`` if the folder is not a checkpoint of the family."""
    import torch

    folder = models_home() / options.model
    check_checkpoint(backbone, folder)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise RefinerError(f"The device is '{device}', but there is no CUDA GPU here; use the device 'cpu'.")
    on_cpu = device == "cpu"
    offload = options.offload if options.offload != "auto" else ("none" if on_cpu else "model")
    if on_cpu and offload != "none":
        raise RefinerError(f"offload '{offload}' is for a GPU; on the CPU leave the option out.")
    dtype = options.dtype if options.dtype != "auto" else ("float32" if on_cpu else "bfloat16")
    lora = lora_file(models_home() / options.lora) if options.lora else None
    return Load(backbone, folder, lora, options.lora_scale, device, dtype, offload, options.tiled)


def held(load: Load) -> Backbone:
    """The model that ``load`` describes, loaded if it is not the one that is held."""
    if load not in _held:
        let_go()
        _held[load] = _loaded(load)
    return _held[load]


def let_go() -> None:
    """Give back the memory of the model that is held."""
    import torch

    _held.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def check_checkpoint(backbone: type[Backbone], folder: Path) -> None:
    """Raises ``RefinerError``, saying what is wrong and what the folder should hold, unless the family can be loaded from it."""
    card = backbone.card
    if not (folder / INDEX).is_file():
        raise RefinerError(
            f"There are no weights at {folder}; put a checkpoint in diffusers' layout there ({INDEX} and a folder for each "
            f"part), for instance {card.checkpoints}."
        )
    index = read_index(folder)
    kind = index.get("_class_name")
    why = dict(card.refused).get(str(kind))
    if why is None and kind in card.pipelines:
        why = backbone.misfit(index)
    elif why is None:
        why = f"it is a {kind}, and {card.family} needs a {card.pipelines[0]}"
    if why:
        raise RefinerError(f"The checkpoint at {folder} cannot be used: {why}. Get {card.checkpoints}.")
    parts = {name: value for name, value in index.items() if isinstance(value, list) and len(value) == 2}
    for name, (library, _) in parts.items():
        if library not in LIBRARIES:
            raise RefinerError(
                f"The part '{name}' of {folder} comes with code of its own ({library}), which is not run; "
                f"get {card.checkpoints}."
            )
        if library is not None and name not in WITHOUT_WEIGHTS:
            _check_weights(folder / name)


def read_index(folder: Path) -> dict[str, Any]:
    """What ``model_index.json`` says of the checkpoint in ``folder``. Raises ``RefinerError`` if it cannot be read."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RefinerError(
            f"{folder / INDEX} cannot be read ({error}); copy the checkpoint again."
        ) from error
    if not isinstance(index, dict):
        raise RefinerError(f"{folder / INDEX} is no JSON object; copy the checkpoint again.")
    return index


def usable(backbone: type[Backbone], home: Path) -> list[Path]:
    """The folders of ``home`` that hold a whole checkpoint of the family."""
    folders = []
    for index in sorted(home.glob(f"*/{INDEX}")):
        try:
            check_checkpoint(backbone, index.parent)
        except RefinerError:  # of another family, or damaged: asked for by name it says so
            continue
        folders.append(index.parent)
    return folders


def lora_file(path: Path) -> Path:
    """The .safetensors file at or in ``path``. Raises ``RefinerError`` unless there is exactly one."""
    found = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if len(found) != 1 or found[0].suffix != ".safetensors":
        raise RefinerError(
            f"The LoRA at {path} is not one .safetensors file; name the file in the option `lora`."
        )
    return found[0]


def identity(load: Load) -> dict[str, Any]:
    """Names, sizes and times of a checkpoint's files: other weights in the same folder are another refiner."""
    lora = {} if load.lora is None else weights.stamps(load.lora.parent, [load.lora])
    return {**weights.identity(load.folder), **lora}


def _check_weights(part: Path) -> None:
    if problem := weights.damage(part):
        raise RefinerError(problem)


def pipeline_of(card: Card, folder: Path, dtype: torch.dtype) -> Any:
    """The checkpoint in ``folder`` on the CPU, checked before; the autoencoder in float32 where the family wants that."""
    import diffusers
    import torch
    import transformers

    diffusers.utils.logging.disable_progress_bar()  # progress is ours to say
    transformers.utils.logging.disable_progress_bar()
    dtypes = {"default": dtype, "vae": torch.float32} if card.exact_autoencoder else dtype
    return getattr(diffusers, card.pipelines[0]).from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=dtypes
    )


def _loaded(load: Load) -> Backbone:
    import torch

    pipeline = pipeline_of(load.backbone.card, load.folder, getattr(torch, load.dtype))
    if load.lora is not None:
        pipeline.load_lora_weights(
            str(load.lora.parent), weight_name=load.lora.name, adapter_name=LORA, local_files_only=True
        )
        pipeline.set_adapters([LORA], [load.lora_scale])
    if load.tiled:
        pipeline.vae.enable_tiling()
    if load.offload == "model":
        pipeline.enable_model_cpu_offload(device=load.device)
    elif load.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=load.device)
    else:
        pipeline.to(load.device)
    return load.backbone(pipeline)
