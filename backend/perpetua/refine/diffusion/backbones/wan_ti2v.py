"""Wan 2.2 TI2V: image-to-video whose first latent is the picture; also takes Wan's other image-to-video checkpoints."""

from __future__ import annotations

from typing import Any, ClassVar

from perpetua.refine.diffusion.backbones.api import Card, Shot, picture
from perpetua.refine.diffusion.backbones.wan_latents import WanBackbone


class WanTI2V(WanBackbone):
    """Wan's image-to-video pipeline."""

    card: ClassVar[Card] = Card(
        family="Wan 2.2 TI2V 5B",
        pipelines=("WanImageToVideoPipeline", "WanPipeline"),
        checkpoints="Wan-AI/Wan2.2-TI2V-5B-Diffusers (one picture to video, 1280x704, 24 frames/s)",
        licence="Apache 2.0",
        memory=(
            "24 GB of GPU memory at 1280x704 by its authors' account, less at smaller widths; weights of 11 billion numbers with "
            "the text encoder, which with offload wait in 32 GB of the computer's memory"
        ),
        guides=("time_to_move", "warped_noise"),
        width=1280,
        frames=121,
        guidance=5.0,
        exact_autoencoder=True,
    )

    @classmethod
    def misfit(cls, index: dict[str, Any]) -> str | None:
        if index["_class_name"] == "WanPipeline" and not index.get("expand_timesteps"):
            return "it is a text-to-video checkpoint, which cannot begin with a picture"
        return None

    def _conditions(self, shot: Shot) -> dict[str, Any]:
        return {"image": picture(shot.first)}
