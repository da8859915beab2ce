"""CogVideoX image-to-video, alone or with the Go-with-the-Flow LoRA."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from perpetua.refine.diffusion.backbones.api import (
    Backbone,
    Card,
    Images,
    Shot,
    images,
    picture,
    pixels,
)
from perpetua.refine.diffusion.schedule import NoiseLevels, beginning_at, ddpm_levels


class CogVideoX(Backbone):
    """CogVideoX's image-to-video pipeline: latents frames first, a DDPM schedule, velocity prediction."""

    card: ClassVar[Card] = Card(
        family="CogVideoX I2V",
        pipelines=("CogVideoXImageToVideoPipeline",),
        checkpoints=(
            "zai-org/CogVideoX-5b-I2V (720x480, 49 frames) or zai-org/CogVideoX1.5-5B-I2V (1360x768, 81 frames); for "
            "warped_noise the Go-with-the-Flow LoRA of the former in the option `lora`"
        ),
        licence=(
            "CogVideoX licence of its authors (not Apache: commercial use needs their registration); the LoRA has its own, "
            "read it where you get the file"
        ),
        memory=(
            "5 GB of GPU memory with sequential offload and tiled by its authors' account, about 20 GB with offload"
        ),
        guides=("time_to_move", "warped_noise"),
        width=720,
        frames=49,
        guidance=6.0,
        refused=(
            ("CogVideoXPipeline", "it makes video from text and cannot begin with a picture"),
            ("CogVideoXVideoToVideoPipeline", "it cannot begin with a picture"),
        ),
    )

    @property
    def _patch(self) -> int:
        return int(self.pipeline.transformer.config.patch_size)

    @property
    def _latent_dtype(self) -> torch.dtype:
        return self.pipeline.transformer.dtype

    @property
    def exactly(self) -> tuple[int, int] | None:
        config = self.pipeline.transformer.config
        if not config.use_learned_positional_embeddings:
            return None
        side = self.pipeline.vae_scale_factor_spatial
        return config.sample_height * side, config.sample_width * side

    @torch.no_grad()
    def encode(self, video: Images) -> Tensor:
        vae = self.pipeline.vae
        latents = vae.encode(pixels(video, vae, self.device)).latent_dist.mode()
        return latents.float().cpu() * self.pipeline.vae_scaling_factor_image

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Images:
        vae = self.pipeline.vae
        scaled = (latents / self.pipeline.vae_scaling_factor_image).to(device=self.device, dtype=vae.dtype)
        return images(vae.decode(scaled).sample)

    def levels(self, steps: int, shape: tuple[int, ...], imposes: bool) -> NoiseLevels:
        scheduler = self._scheduler(0, imposes)
        scheduler.set_timesteps(steps)
        return ddpm_levels(scheduler)

    def _scheduler(self, first_step: int, imposes: bool) -> Any:
        """DDIM without noise of its own: the checkpoint's DPM sampler adds fresh noise in every step, which forgets the warped one."""
        from diffusers import CogVideoXDDIMScheduler

        own = CogVideoXDDIMScheduler.from_config(dict(self.scheduler.config))
        return beginning_at(own, first_step)

    def _conditions(self, shot: Shot) -> dict[str, Any]:
        length = self.pipeline.transformer.config.max_text_seq_length
        return {"image": picture(shot.first), "max_sequence_length": length}

    def _padding(self, count: int) -> int:
        """Latents that version 1.5 wants before the first, so that their number fits its patches."""
        patch = self.pipeline.transformer.config.patch_size_t
        return 0 if patch is None else -count % patch

    def _to_pipeline(self, latents: Tensor) -> Tensor:
        first = latents[:, :, :1].expand(-1, -1, self._padding(latents.shape[2]), -1, -1)
        return torch.cat([first, latents], 2).permute(0, 2, 1, 3, 4)

    def _from_pipeline(self, latents: Tensor, like: Tensor) -> Tensor:
        return latents.permute(0, 2, 1, 3, 4)[:, :, -like.shape[2] :]
