"""Video transformers of diffusers, with their autoencoder, text encoder and noise schedule. Image to video: the model is shown the first
picture, and a text."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from perpetua.phys4d.train.backbones.api import Batch, VideoTransformer
from perpetua.phys4d.train.heads.tokens import Grid
from perpetua.phys4d.train.schedules import Schedule
from perpetua.refine.diffusion.backbones.api import Backbone

LATENT_PATCH = 2
"""Rows and columns of latents in a token, in every family here."""
LORA = "lora.safetensors"
"""What the refiner's option `lora` takes."""


class Conditions(NamedTuple):
    """What a video is made from. first: latents of the picture it begins with [B, C, 1, h, w].  text: [B, L, D]."""

    first: Tensor
    text: Tensor


class DiffusersTransformer(VideoTransformer):
    """A pipeline's transformer."""

    refiner: ClassVar[type[Backbone]]
    """The family as it refines videos, whose card says what checkpoints it has."""
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    """Of the attention; what LoRAs of diffusers' own scripts have."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.vae: Any = pipeline.vae
        self._prompt: Tensor | None = None
        super().__init__(pipeline.transformer, self._schedule())

    @classmethod
    def refusal(cls, index: dict[str, Any]) -> str | None:
        """Why the checkpoint that ``model_index.json`` describes cannot be trained, or None."""
        return None

    @property
    def stride(self) -> int:
        return int(self.pipeline.vae_scale_factor_temporal)

    @property
    def multiple(self) -> int:
        """Pixels of a token's side."""
        return int(self.pipeline.vae_scale_factor_spatial) * LATENT_PATCH

    @property
    def width(self) -> int:
        config = self.transformer.config
        return int(config.num_attention_heads * config.attention_head_dim)

    @property
    def output_layer(self) -> nn.Module:
        """It is given the tokens after the modulation by time."""
        layer = self.transformer.proj_out
        assert isinstance(layer, nn.Module)
        return layer

    def grid(self, latents: Tensor) -> Grid:
        times = -(-latents.shape[2] // self.times_in_token)
        rows, columns = (side // LATENT_PATCH for side in latents.shape[3:])
        return Grid(times, rows, columns, self.stride * self.times_in_token)

    def prepare(self, prompt: str, device: torch.device) -> None:
        """The text encoder is let go: it is of no more use, and large."""
        self._prompt = self.text([prompt], device).float()
        self.pipeline.text_encoder = None
        self.vae.to(device)

    def spare_memory(self) -> None:
        self.transformer.enable_gradient_checkpointing()

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        return (self.vae,)

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

    def latents(self, batch: Batch) -> tuple[Tensor, Conditions]:
        """The model is shown the first picture and the prompt that was prepared."""
        assert self._prompt is not None
        video = batch["rgb"]
        first = self.encode(video[:, :, :1])
        return self.encode(video), Conditions(first, self._prompt.expand(len(video), -1, -1))

    def latent_shape(self, shown: Conditions, size: tuple[int, int, int]) -> tuple[int, ...]:
        B, C, _, h, w = shown.first.shape
        return B, C, (size[0] - 1) // self.stride + 1, h, w

    def finished(self, latents: Tensor, shown: Conditions) -> Tensor:
        given = (~self.generated(latents))[:, None, None].to(latents.device)
        return torch.where(given, shown.first, latents)

    def export(self, out: Path, adapter: str) -> Path:
        """As diffusers' pipelines load it."""
        from peft import get_peft_model_state_dict

        found = get_peft_model_state_dict(self.transformer, adapter_name=adapter)
        named = {f"transformer.{key}": value.detach().cpu().contiguous() for key, value in found.items()}
        save_file(named, out / LORA)
        return out / LORA

    @abstractmethod
    def encode(self, video: Tensor) -> Tensor:
        """Latents of a video [B, 3, T, H, W] in [-1, 1]."""

    @abstractmethod
    def predict(self, noisy: Tensor, model_time: Tensor, shown: Conditions) -> Tensor: ...

    @property
    @abstractmethod
    def _text_length(self) -> int: ...

    @abstractmethod
    def _schedule(self) -> Schedule: ...
