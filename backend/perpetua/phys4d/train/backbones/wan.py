"""Wan 2.2 TI2V: its first latent is the picture itself, with a time of 0; flow matching."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from perpetua.phys4d.train.backbones.of_diffusers import LATENT_PATCH, Conditions, DiffusersTransformer
from perpetua.phys4d.train.schedules import RectifiedFlow, Schedule
from perpetua.refine.diffusion.backbones.api import Backbone
from perpetua.refine.diffusion.backbones.wan_ti2v import WanTI2V

TEXT_LENGTH = 512
"""Tokens that Wan pads every prompt to."""


class Wan(DiffusersTransformer):
    refiner: ClassVar[type[Backbone]] = WanTI2V

    @classmethod
    def refusal(cls, index: dict[str, Any]) -> str | None:
        if not index.get("expand_timesteps"):
            return "of Wan only TI2V, which begins with its first latent, can be trained"
        return None

    @property
    def blocks(self) -> nn.ModuleList:
        blocks = self.transformer.blocks
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def generated(self, latents: Tensor) -> Tensor:
        made = super().generated(latents)
        made[0] = False
        return made

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        mean, std = self._scaling(video)
        latents = self.vae.encode(video.to(self.vae.dtype)).latent_dist.mode().float()
        return (latents - mean) / std

    @torch.no_grad()
    def decode(self, latents: Tensor, shown: Conditions) -> Tensor:
        mean, std = self._scaling(latents)
        return self.vae.decode((latents * std + mean).to(self.vae.dtype), return_dict=False)[0].float()

    def predict(self, noisy: Tensor, model_time: Tensor, shown: Conditions) -> Tensor:
        B, _, t, h, w = noisy.shape
        times = model_time[:, None, None].expand(B, t, (h // LATENT_PATCH) * (w // LATENT_PATCH)).clone()
        times[:, 0] = 0
        seen = torch.cat([shown.first.to(noisy), noisy[:, :, 1:]], 2)
        dtype = self.transformer.dtype
        return self.transformer(
            hidden_states=seen.to(dtype),
            timestep=times.flatten(1),
            encoder_hidden_states=shown.text.to(dtype),
            return_dict=False,
        )[0].float()

    def _scaling(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.vae.config
        mean, std = (torch.tensor(x, device=like.device) for x in (config.latents_mean, config.latents_std))
        return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)

    @property
    def _text_length(self) -> int:
        return TEXT_LENGTH

    def _schedule(self) -> Schedule:
        settings = self.pipeline.scheduler.config
        shift = settings.get("flow_shift", settings.get("shift", 1.0))
        return RectifiedFlow(float(shift), int(settings.num_train_timesteps))
