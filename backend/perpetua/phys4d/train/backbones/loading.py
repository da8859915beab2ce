"""From a folder of safetensors to a model on a device. Nothing is fetched, nothing is unpickled, no code of a checkpoint is run."""

from __future__ import annotations

from pathlib import Path

import torch

from perpetua.errors import RefinerError, TrainingError
from perpetua.paths import models_home
from perpetua.phys4d.train.backbones.api import VideoTransformer
from perpetua.phys4d.train.backbones.cogvideox import CogVideoX
from perpetua.phys4d.train.backbones.of_diffusers import DiffusersTransformer
from perpetua.phys4d.train.backbones.space_time import SpaceTime
from perpetua.phys4d.train.backbones.wan import Wan
from perpetua.refine.diffusion.loading import INDEX, check_checkpoint, pipeline_of, read_index

FAMILIES: tuple[type[DiffusersTransformer], ...] = (CogVideoX, Wan)
NETWORK = ".safetensors"
"""How the name of a space_time network's file ends; the others are folders."""


def load_backbone(model: str, dtype: torch.dtype) -> VideoTransformer:
    """The checkpoint in the folder ``model`` of the models folder, on the CPU, the autoencoder in float32 where the family wants that; or the
    space_time network in the file ``model``, in float32.

    Raises ``TrainingError`` saying what is wrong with it and what can be trained.
    """
    folder = models_home() / Path(model).expanduser()
    if folder.suffix == NETWORK:
        return SpaceTime.load(folder)
    kind = family_of(folder)
    pipeline = pipeline_of(kind.refiner.card, folder, dtype)
    for part in (pipeline.transformer, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False)
    return kind(pipeline)


def family_of(folder: Path) -> type[DiffusersTransformer]:
    """The family that the checkpoint in ``folder`` is of, checked whole."""
    if not (folder / INDEX).is_file():
        raise TrainingError(
            f"There are no weights at {folder}; put a checkpoint in diffusers' layout there ({INDEX} and a folder for each "
            f"part). {what_can_be_trained()}"
        )
    try:
        index = read_index(folder)
        name = str(index.get("_class_name"))
        for kind in FAMILIES:
            if name in kind.refiner.card.pipelines:
                if why := kind.refusal(index):
                    raise TrainingError(
                        f"The checkpoint at {folder} cannot be trained: {why}. {what_can_be_trained()}"
                    )
                check_checkpoint(kind.refiner, folder)
                return kind
    except RefinerError as error:
        raise TrainingError(f"{error}") from error
    raise TrainingError(
        f"The checkpoint at {folder} is a {name}, which cannot be trained. {what_can_be_trained()}"
    )


def what_can_be_trained() -> str:
    """A sentence."""
    known = "; ".join(kind.refiner.card.checkpoints for kind in FAMILIES)
    return f"These can be trained: {known}; the weights.safetensors of a space_time refiner."


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
