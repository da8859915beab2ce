"""SANA-WM: a world model that follows a camera. It begins with the picture, and each frame is told where its camera stands.

Its first stage, in LTX-2's latents (32 x 32 x 8). The second, which polishes the first's films, is LTX-2 itself and not used.
"""

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
from perpetua.refine.diffusion.schedule import beginning_at

RELEASED_IMAGE_SIZE = 720
"""The transformer's ``image_size`` in the checkpoint that was made for RELEASED_SIZE alone."""
RELEASED_SIZE = (704, 1280)
"""Height and width, pixels."""
MOST_FRAMES_AT_ONCE, FRAMES_STRIDE = 96, 64
"""Frames that the autoencoder takes at once, and from one lot to the next: what the model was trained with."""


class SanaWM(Backbone):
    """SANA-WM's pipeline: the first latent is the picture and stays clean; flow matching."""

    card: ClassVar[Card] = Card(
        family="SANA-WM",
        pipelines=("SanaWMPipeline",),
        checkpoints="Efficient-Large-Model/SANA-WM_bidirectional-diffusers (1280x704, 161 frames, follows the camera)",
        licence=(
            "code Apache 2.0; the weights', and those of LTX-2 (its autoencoder) and Gemma 2 (its text encoder), are their own: read "
            "what comes with the checkpoint"
        ),
        memory=(
            "12 GB of GPU memory with offload; estimated from the size of the weights, of 2.7 (model), 2.6 (text encoder) and 1.2 billion "
            "numbers (autoencoder)"
        ),
        guides=("time_to_move",),
        width=RELEASED_SIZE[1],
        frames=161,
        guidance=5.0,
        exact_autoencoder=True,
    )

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        vae = pipeline.vae
        vae.use_framewise_encoding = vae.use_framewise_decoding = True
        vae.tile_sample_min_num_frames, vae.tile_sample_stride_num_frames = MOST_FRAMES_AT_ONCE, FRAMES_STRIDE

    @property
    def stride(self) -> int:
        return int(self.pipeline.vae_temporal_compression_ratio)

    @property
    def multiple(self) -> int:
        return int(self.pipeline.vae_spatial_compression_ratio) * self._patch

    @property
    def exactly(self) -> tuple[int, int] | None:
        released = self.pipeline.transformer.config.image_size == RELEASED_IMAGE_SIZE
        return RELEASED_SIZE if released else None

    @torch.no_grad()
    def encode(self, video: Images) -> Tensor:
        vae = self.pipeline.vae
        latents = vae.encode(pixels(video, vae, self.device)).latent_dist.mode().float().cpu()
        mean, std = (_by_channel(values) for values in (vae.latents_mean, vae.latents_std))
        return (latents - mean) * vae.config.scaling_factor / std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Images:
        return images(self.pipeline._decode_latents(latents))

    def sample(
        self,
        start: Tensor,
        first_step: int,
        imposes: bool,
        shot: Shot,
        options: Options,
        after: AfterStep,
    ) -> Tensor:
        """As the base's; the pipeline draws its own noise, so what it draws is replaced by ``start``."""
        given = self.encode(shot.first[None])

        def begun(first: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
            latents = torch.cat([first, start[:, :, 1:].to(first)], 2)
            clean = torch.zeros_like(latents)
            clean[:, :, :1] = 1
            return latents, clean

        self.pipeline.prepare_latents = begun
        try:
            return super().sample(start, first_step, imposes, shot, options, keeping_first(given, after))
        finally:
            del self.pipeline.prepare_latents

    @property
    def _patch(self) -> int:
        return int(self.pipeline.transformer.config.patch_size[-1])

    def _scheduler(self, first_step: int, imposes: bool) -> Any:
        return beginning_at(self.scheduler, first_step)

    def _beginning(self, start: Tensor) -> dict[str, Any]:
        return {}

    def _conditions(self, shot: Shot) -> dict[str, Any]:
        lenses = [(c.K[0, 0], c.K[1, 1], c.K[0, 2], c.K[1, 2]) for c in shot.cameras]
        return {
            "image": picture(shot.first),
            "c2w": np.stack([camera.camera_to_world for camera in shot.cameras]),
            "intrinsics": np.array(lenses),
        }


def _by_channel(values: Tensor) -> Tensor:
    return values.float().cpu().view(1, -1, 1, 1, 1)
