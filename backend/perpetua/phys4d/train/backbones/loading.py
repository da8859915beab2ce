"""From a folder of safetensors to a model on a device. Nothing is fetched, nothing is unpickled, no code of a checkpoint is run."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from perpetua.errors import RefinerError, TrainingError
from perpetua.paths import models_home
from perpetua.phys4d.train.backbones.api import VideoTransformer
from perpetua.phys4d.train.backbones.cogvideox import CogVideoX
from perpetua.phys4d.train.backbones.wan import Wan
from perpetua.refine.diffusion.loading import INDEX, check_checkpoint

FAMILIES: tuple[type[VideoTransformer], ...] = (CogVideoX, Wan)


def load_backbone(model: str, dtype: torch.dtype) -> VideoTransformer:
    """The checkpoint in the folder ``model`` of the models folder, on the CPU; the autoencoder in float32 where the family wants that.

    Raises ``TrainingError`` saying what is wrong with the folder and what can be trained.
    """
    import diffusers
    import transformers

    folder = models_home() / model
    kind = family_of(folder)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    card = kind.refiner.card
    dtypes = {"default": dtype, "vae": torch.float32} if card.exact_autoencoder else dtype
    pipeline = getattr(diffusers, card.pipelines[0]).from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=dtypes
    )
    for part in (pipeline.transformer, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False)
    return kind(pipeline)


def family_of(folder: Path) -> type[VideoTransformer]:
    """The family that the checkpoint in ``folder`` is of, checked whole."""
    if not (folder / INDEX).is_file():
        raise TrainingError(
            f"There are no weights at {folder}; put a checkpoint in diffusers' layout there ({INDEX} and a folder for each "
            f"part). {what_can_be_trained()}"
        )
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        name = str(index["_class_name"])
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{folder / INDEX} cannot be read ({error}); copy the checkpoint again."
        ) from error
    for kind in FAMILIES:
        if name in kind.refiner.card.pipelines:
            if why := kind.refusal(index):
                raise TrainingError(
                    f"The checkpoint at {folder} cannot be trained: {why}. {what_can_be_trained()}"
                )
            try:
                check_checkpoint(kind.refiner, folder)
            except RefinerError as error:
                raise TrainingError(f"{error}") from error
            return kind
    raise TrainingError(
        f"The checkpoint at {folder} is a {name}, which cannot be trained. {what_can_be_trained()}"
    )


def what_can_be_trained() -> str:
    """A sentence."""
    return "These can be trained: " + "; ".join(kind.refiner.card.checkpoints for kind in FAMILIES) + "."


def trainable(home: Path) -> list[Path]:
    """The folders of ``home`` that hold a whole checkpoint that can be trained."""
    found = []
    for index in sorted(home.glob(f"*/{INDEX}")):
        try:
            family_of(index.parent)
        except TrainingError:  # of another family, or damaged: asked for by name it says so
            continue
        found.append(index.parent)
    return found
