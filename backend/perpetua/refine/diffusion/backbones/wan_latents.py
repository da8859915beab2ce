"""What the Wan models have in common: their autoencoder's scaling and their sampler."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from perpetua.errors import RefinerError
from perpetua.refine.diffusion.backbones.api import Backbone, Images, images, pixels
from perpetua.refine.diffusion.schedule import beginning_at


class WanBackbone(Backbone):
    """Latents z = (encode(video) - mean) / std, per channel as the checkpoint says; flow matching."""

    @property
    def _patch(self) -> int:
        transformer = self.pipeline.transformer or self.pipeline.transformer_2
        return int(transformer.config.patch_size[1])

    @torch.no_grad()
    def encode(self, video: Images) -> Tensor:
        vae = self.pipeline.vae
        latents = vae.encode(pixels(video, vae, self.device)).latent_dist.mode().float().cpu()
        mean, std = self._scaling()
        return (latents - mean) / std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Images:
        vae = self.pipeline.vae
        mean, std = self._scaling()
        scaled = (latents.float().cpu() * std + mean).to(device=self.device, dtype=vae.dtype)
        return images(vae.decode(scaled, return_dict=False)[0])

    def _scaling(self) -> tuple[Tensor, Tensor]:
        config = self.pipeline.vae.config
        mean, std = torch.tensor(config.latents_mean), torch.tensor(config.latents_std)
        return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)

    def _scheduler(self, first_step: int, imposes: bool) -> Any:
        """The checkpoint's sampler, or Euler's method where latents are changed between steps.

        UniPC corrects each step from the latents before it, which would undo what a guide has imposed on them since.
        """
        from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

        own, settings = self.scheduler, self.scheduler.config
        if isinstance(own, FlowMatchEulerDiscreteScheduler):
            return beginning_at(own, first_step)
        if not (isinstance(own, UniPCMultistepScheduler) and settings.use_flow_sigmas):
            raise RefinerError(
                f"The checkpoint's scheduler is {type(own).__name__} without flow sigmas, which this refiner does not "
                "know; put the scheduler folder of the original checkpoint back."
            )
        if imposes:
            return beginning_at(FlowMatchEulerDiscreteScheduler(shift=settings.flow_shift), first_step)
        return beginning_at(own, first_step)
