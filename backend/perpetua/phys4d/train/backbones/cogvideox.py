"""CogVideoX image-to-video, 1.0 and 1.5: the picture's latent lies beside the noisy ones as further channels; velocity on a DDPM schedule."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from perpetua.phys4d.train.backbones.of_diffusers import Conditions, DiffusersTransformer
from perpetua.phys4d.train.schedules import Ddpm, Schedule
from perpetua.refine.diffusion.backbones.api import Backbone
from perpetua.refine.diffusion.backbones.cogvideox import CogVideoX as CogVideoXRefiner

OFFSET_OF_1_5 = 2.0
"""A number that version 1.5 is told beside the time, always this one."""


class CogVideoX(DiffusersTransformer):
    refiner: ClassVar[type[Backbone]] = CogVideoXRefiner

    @property
    def times_in_token(self) -> int:
        return int(self.transformer.config.patch_size_t or 1)

    @property
    def frames_step(self) -> int:
        """The autoencoder decodes latents in pairs after the first, and makes three frames too many of an even number of them."""
        return 2 * self.stride

    @property
    def blocks(self) -> nn.ModuleList:
        blocks = self.transformer.transformer_blocks
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        latents = self.vae.encode(video.to(self.vae.dtype)).latent_dist.mode().float()
        return latents * self.pipeline.vae_scaling_factor_image

    @torch.no_grad()
    def decode(self, latents: Tensor, shown: Conditions) -> Tensor:
        scaled = latents / self.pipeline.vae_scaling_factor_image
        return self.vae.decode(scaled.to(self.vae.dtype)).sample.float()

    def predict(self, noisy: Tensor, model_time: Tensor, shown: Conditions) -> Tensor:
        B, C, t, h, w = noisy.shape
        # version 1.5 takes latents in pairs: an odd number is made even before the first
        padding = -t % self.times_in_token
        first = shown.first.to(noisy)
        picture = torch.cat([first, noisy.new_zeros(B, C, t - 1, h, w)], 2)
        both = torch.cat([noisy, self._picture_scale * picture], 1)
        both = torch.cat([both[:, :, :1].expand(-1, -1, padding, -1, -1), both], 2).transpose(1, 2)
        dtype = self.transformer.dtype
        side = self.pipeline.vae_scale_factor_spatial
        config = self.transformer.config
        rotary = None
        if config.use_rotary_positional_embeddings:
            rotary = self.pipeline._prepare_rotary_positional_embeddings(
                h * side, w * side, both.shape[1], noisy.device
            )
        made = self.transformer(
            hidden_states=both.to(dtype),
            encoder_hidden_states=shown.text.to(dtype),
            timestep=model_time,
            ofs=None if config.ofs_embed_dim is None else noisy.new_full((1,), OFFSET_OF_1_5),
            image_rotary_emb=rotary,
            return_dict=False,
        )[0]
        return made[:, padding:].transpose(1, 2).float()

    @property
    def _picture_scale(self) -> float:
        """The picture's latent by the video's: the autoencoder of 1.5 has them scaled differently."""
        if not self.vae.config.invert_scale_latents:
            return 1.0
        return 1 / self.pipeline.vae_scaling_factor_image**2

    @property
    def _text_length(self) -> int:
        return int(self.transformer.config.max_text_seq_length)

    def _schedule(self) -> Schedule:
        return Ddpm(self.pipeline.scheduler.alphas_cumprod)
