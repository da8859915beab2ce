"""What a provider with weights is, and where its weights lie."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from perpetua import weights
from perpetua.errors import ReconstructionError
from perpetua.paths import models_home

CONFIG = "config.json"


@dataclass(frozen=True)
class Card:
    """A family of checkpoints, in words: what to get, under which licence, and what it takes."""

    family: str
    checkpoints: str
    licence: str
    memory: str


class Learned(ABC):
    """A provider with weights. ``model`` names a folder inside the models folder; empty takes the only one there that fits."""

    card: ClassVar[Card]

    def __init__(self, model: str = "") -> None:
        """Raises ``ReconstructionError`` unless there is one checkpoint that is meant, and whole."""
        self.folder = _meant(type(self), model)

    @classmethod
    @abstractmethod
    def misfit(cls, config: dict[str, Any]) -> str | None:
        """Why the checkpoint that ``config.json`` describes is none of this family, or None."""


def usable(provider: type[Learned]) -> list[Path]:
    """The folders in the models folder that hold a whole checkpoint of the provider's family."""
    return [
        path.parent
        for path in sorted(models_home().glob(f"*/{CONFIG}"))
        if not _why_not(provider, path.parent)
    ]


def pretrained(model: Any, folder: Path) -> Any:
    """A class of transformers with the weights of ``folder``, on the GPU if there is one."""
    import torch
    from transformers.utils import logging

    said, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # a picture's model leaves the weights of the video's, and says so
    logging.disable_progress_bar()
    try:
        made = model.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    finally:
        logging.set_verbosity(said)
        if bars:
            logging.enable_progress_bar()
    return made.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _meant(provider: type[Learned], model: str) -> Path:
    card, home = provider.card, models_home()
    if weights.leads_out(model):
        raise ReconstructionError(
            f"The model '{model}' of {card.family} must be the name of a folder inside {home}, not a path to elsewhere."
        )
    if model:
        if why := _why_not(provider, home / model):
            raise ReconstructionError(why)
        return home / model
    found = usable(provider)
    if len(found) == 1:
        return found[0]
    if not found:
        raise ReconstructionError(
            f"There are no weights of {card.family} in {home}; put {card.checkpoints} in a folder of their own there."
        )
    names = ", ".join(folder.name for folder in found)
    raise ReconstructionError(f"{home} holds several models of {card.family}; name one in `model`: {names}.")


def _why_not(provider: type[Learned], folder: Path) -> str | None:
    """Why ``folder`` holds no whole checkpoint of the family, a sentence, or None."""
    card = provider.card
    if not (folder / CONFIG).is_file():
        return f"There are no weights at {folder}; put {card.checkpoints} there."
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        return f"{folder / CONFIG} cannot be read ({error}); copy the checkpoint again."
    why = provider.misfit(config) if isinstance(config, dict) else "its config.json is no table of settings"
    if why:
        return f"The checkpoint at {folder} cannot be used: {why}. Get {card.checkpoints}."
    return weights.damage(folder)
