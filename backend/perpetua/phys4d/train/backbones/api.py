"""What a family of video transformers is to the trainings. Image to video: the model is shown the first picture, and a text.

Latents are [B, C, t, h, w], scaled as the model sees them; latent 0 is frame 0 and each later one the next ``stride`` frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from perpetua.phys4d.train.heads.tokens import Grid
from perpetua.phys4d.train.schedules import Schedule
from perpetua.refine.diffusion.backbones.api import Backbone

LATENT_PATCH = 2
"""Rows and columns of latents in a token, in every family here."""


class Conditions(NamedTuple):
    """What a video is made from. first: latents of the picture it begins with [B, C, 1, h, w].  text: [B, L, D]."""

    first: Tensor
    text: Tensor


class VideoTransformer(ABC):
    """A loaded checkpoint. ``transformer`` is what is trained; all else stays as it is."""

    refiner: ClassVar[type[Backbone]]
    """The family as it refines videos, whose card says what checkpoints it has."""
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    """Layers of the transformer's attention that a LoRA changes; what LoRAs of diffusers' own scripts have."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.transformer: Any = pipeline.transformer
        self.vae: Any = pipeline.vae
        self.schedule = self._schedule()

    @classmethod
    def refusal(cls, index: dict[str, Any]) -> str | None:
        """Why the checkpoint that ``model_index.json`` describes cannot be trained, or None."""
        return None

    @property
    def stride(self) -> int:
        """Frames in a latent."""
        return int(self.pipeline.vae_scale_factor_temporal)

    @property
    def frames_step(self) -> int:
        """The model takes videos of a multiple of this and one more frames."""
        return self.stride

    @property
    def multiple(self) -> int:
        """Pixels of a token's side: widths and heights must be multiples of it."""
        return int(self.pipeline.vae_scale_factor_spatial) * LATENT_PATCH

    @property
    def times_in_token(self) -> int:
        """Latents that a token spans in time."""
        return 1

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers in a token's features."""

    @property
    @abstractmethod
    def blocks(self) -> nn.ModuleList:
        """The transformer's blocks; the tokens of the video are the first thing that they return."""

    @property
    def output_layer(self) -> nn.Module:
        """The last layer, which is given the tokens after the modulation by time."""
        layer = self.transformer.proj_out
        assert isinstance(layer, nn.Module)
        return layer

    def grid(self, latents: Tensor) -> Grid:
        """How the tokens of ``latents`` lie."""
        times = -(-latents.shape[2] // self.times_in_token)
        rows, columns = (side // LATENT_PATCH for side in latents.shape[3:])
        return Grid(times, rows, columns, self.stride * self.times_in_token)

    def generated(self, latents: Tensor) -> Tensor:
        """[t]: which of the latents the model makes; the others are given."""
        return torch.ones(latents.shape[2], dtype=torch.bool)

    @torch.no_grad()
    def text(self, prompts: list[str], device: torch.device) -> Tensor:
        """[B, L, D]: prompts as the transformer takes them."""
        self.pipeline.text_encoder.to(device)
        embedded, _ = self.pipeline.encode_prompt(
            prompt=prompts,
            do_classifier_free_guidance=False,
            max_sequence_length=self._text_length,
            device=device,
        )
        return embedded

    @abstractmethod
    def encode(self, video: Tensor) -> Tensor:
        """Latents of a video [B, 3, T, H, W] in [-1, 1]."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """The video of latents."""

    @abstractmethod
    def predict(self, noisy: Tensor, model_time: Tensor, conditions: Conditions) -> Tensor:
        """The transformer's output, like ``noisy`` [B, C, t, h, w]. model_time: [B], what the schedule tells it."""

    @property
    @abstractmethod
    def _text_length(self) -> int: ...

    @abstractmethod
    def _schedule(self) -> Schedule: ...
