"""LTX-Video image-to-video: strongly compressed latents (32 x 32 x 8), so quick, and coarse for small objects."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from perpetua.refine.diffusion.backbones.api import (
    AfterStep,
    Backbone,
    Card,
    Images,
    Shot,
    images,
    keeping_first,
    picture,
    pixels,
)  # fmt: skip
from perpetua.refine.diffusion.options import Options
from perpetua.refine.diffusion.schedule import NoiseLevels, beginning_at, flow_levels

DECODE_TIMESTEP, DECODE_NOISE = 0.05, 0.025
"""For autoencoders whose decoder finishes the denoising (0.9.1 on): what its authors use."""


class LTX(Backbone):
    """LTX-Video's image-to-video pipeline: packed latents, the first of them the picture itself; flow matching."""

    card: ClassVar[Card] = Card(
        family="LTX-Video",
        pipelines=("LTXImageToVideoPipeline", "LTXPipeline"),
        checkpoints="Lightricks/LTX-Video (704x480, 161 frames)",
        licence="Lightricks' own, which differs from version to version; read the file that comes with the checkpoint",
        memory="12 GB of GPU memory with offload (its text encoder alone is 10 GB); estimated from the size of the weights",
        guides=("time_to_move", "warped_noise"),
        width=704,
        frames=161,
        guidance=3.0,
        refused=(
            ("LTX2Pipeline", "LTX-2 makes sound with its pictures and has other latents"),
            ("LTX2ImageToVideoPipeline", "LTX-2 makes sound with its pictures and has other latents"),
        ),
    )

    @property
    def stride(self) -> int:
        return int(self.pipeline.vae_temporal_compression_ratio)

    @property
    def multiple(self) -> int:
        return max(32, int(self.pipeline.vae_spatial_compression_ratio) * self._patch)

    @property
    def _patch(self) -> int:
        return int(self.pipeline.transformer_spatial_patch_size)

    @torch.no_grad()
    def encode(self, video: Images) -> Tensor:
        vae = self.pipeline.vae
        latents = vae.encode(pixels(video, vae, self.device)).latent_dist.mode().float().cpu()
        return self.pipeline._normalize_latents(latents, vae.latents_mean, vae.latents_std)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Images:
        vae = self.pipeline.vae
        scaled = self.pipeline._denormalize_latents(
            latents.float().cpu(), vae.latents_mean, vae.latents_std, vae.config.scaling_factor
        )
        timestep = None
        if vae.config.timestep_conditioning:
            noise = torch.randn(scaled.shape, generator=torch.Generator().manual_seed(0))
            scaled = (1 - DECODE_NOISE) * scaled + DECODE_NOISE * noise
            timestep = torch.tensor([DECODE_TIMESTEP], device=self.device, dtype=vae.dtype)
        scaled = scaled.to(device=self.device, dtype=vae.dtype)
        return images(vae.decode(scaled, timestep, return_dict=False)[0])

    def levels(self, steps: int, shape: tuple[int, ...], imposes: bool) -> NoiseLevels:
        from diffusers.pipelines.ltx.pipeline_ltx_image2video import calculate_shift

        scheduler, config = self._scheduler(0, imposes), self.scheduler.config
        shift = calculate_shift(
            int(np.prod(shape[-3:])),
            config.get("base_image_seq_len", 256),
            config.get("max_image_seq_len", 4096),
            config.get("base_shift", 0.5),
            config.get("max_shift", 1.15),
        )
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=shift)
        return flow_levels(scheduler)

    def sample(
        self,
        start: Tensor,
        first_step: int,
        imposes: bool,
        shot: Shot,
        options: Options,
        after: AfterStep,
    ) -> Tensor:
        given = self.encode(shot.first[None])

        begun = torch.cat([given, start[:, :, 1:]], 2)
        return super().sample(begun, first_step, imposes, shot, options, keeping_first(given, after))

    def _scheduler(self, first_step: int, imposes: bool) -> Any:
        return beginning_at(self.scheduler, first_step)

    def _conditions(self, shot: Shot) -> dict[str, Any]:
        return {"image": picture(shot.first), "frame_rate": shot.fps}

    def _to_pipeline(self, latents: Tensor) -> Tensor:
        return self.pipeline._pack_latents(
            latents, self._patch, self.pipeline.transformer_temporal_patch_size
        )

    def _from_pipeline(self, latents: Tensor, like: Tensor) -> Tensor:
        return self.pipeline._unpack_latents(
            latents, *like.shape[2:], self._patch, self.pipeline.transformer_temporal_patch_size
        )
