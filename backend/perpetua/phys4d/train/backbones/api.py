"""What a family of video models is to the trainings: latents of clips, a network that takes noise from them, and features for the heads.

Latents are [B, C, t, h, w], scaled as the model sees them; latent 0 is frame 0 and each later one the next ``stride`` frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from perpetua.phys4d.train.heads.tokens import Grid
from perpetua.phys4d.train.schedules import Schedule

Shown = Any
"""What a video is made from: a NamedTuple, of the family's own, of tensors [B, ...]; ``changed`` makes others of it."""
Batch = Mapping[str, Tensor]
"""Of ``clips.cut``."""


class VideoTransformer(ABC):
    """A loaded checkpoint. ``transformer``, the network, is what a LoRA is trained of; all else stays as it is."""

    lora_targets: ClassVar[tuple[str, ...]]
    """Layers of the network that a LoRA changes."""

    def __init__(self, transformer: Any, schedule: Schedule) -> None:
        self.transformer: Any = transformer
        self.schedule = schedule

    @property
    def stride(self) -> int:
        """Frames in a latent."""
        return 1

    @property
    def times_in_token(self) -> int:
        """Latents that a token spans in time."""
        return 1

    @property
    def frames_step(self) -> int:
        """The model takes videos of a multiple of this and one more frames."""
        return self.stride

    @property
    @abstractmethod
    def multiple(self) -> int:
        """Widths and heights must be multiples of so many pixels."""

    @property
    def token_side(self) -> int:
        """Pixels of a token's side."""
        return self.multiple

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers in a token's features."""

    @property
    @abstractmethod
    def blocks(self) -> nn.ModuleList:
        """The blocks whose features the depth head may read, all of the same width; what they return first is for ``tokens``."""

    @property
    @abstractmethod
    def output_layer(self) -> nn.Module:
        """The last layer, whose input the motion head reads."""

    def tokens(self, features: Tensor) -> Tensor:
        """[B, N, width]: of the video, from features that a hook has caught."""
        return features

    @abstractmethod
    def grid(self, latents: Tensor) -> Grid:
        """How the tokens of ``latents`` lie."""

    def generated(self, latents: Tensor) -> Tensor:
        """[t]: which of the latents the model makes; the others are given."""
        return torch.ones(latents.shape[2], dtype=torch.bool)

    @property
    def error_scale(self) -> Tensor:
        """[C] or []: by what errors of a latent's channels are multiplied before they are squared in the objective."""
        return torch.ones(())

    @abstractmethod
    def prepare(self, prompt: str, device: torch.device) -> None:
        """Put what is needed on the device, for clips with this prompt."""

    @abstractmethod
    def spare_memory(self) -> None:
        """Compute activations again in the backward pass, if the family can."""

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """What is held in memory beside the network."""
        return ()

    @abstractmethod
    def latents(self, batch: Batch) -> tuple[Tensor, Shown]:
        """Clean latents of a batch's videos, and what the model is shown of them."""

    @abstractmethod
    def latent_shape(self, shown: Shown, size: tuple[int, int, int]) -> tuple[int, ...]:
        """(B, C, t, h, w) of the latents of videos of ``size`` (T, H, W)."""

    def finished(self, latents: Tensor, shown: Shown) -> Tensor:
        """Latents at the end of a sampling, with those that are given in their places."""
        return latents

    @abstractmethod
    def decode(self, latents: Tensor, shown: Shown) -> Tensor:
        """The video [B, 3, T, H, W] in [-1, 1] of latents."""

    @abstractmethod
    def predict(self, noisy: Tensor, model_time: Tensor, shown: Shown) -> Tensor:
        """The network's output, like ``noisy`` [B, C, t, h, w]. model_time: [B], what the schedule tells it."""

    @abstractmethod
    def export(self, out: Path, adapter: str) -> Path:
        """Write the LoRA ``adapter`` into the folder ``out`` as a refiner takes it; returns the file."""


def changed(shown: Shown, change: Callable[[Tensor], Tensor]) -> Shown:
    """The same named tuple with each of its tensors changed."""
    return type(shown)(*(change(value) for value in shown))
