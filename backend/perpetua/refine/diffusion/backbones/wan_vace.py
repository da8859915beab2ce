"""Wan VACE: generates under the control of a video (depth, grey or colour) and of the frames it is given.

The first frame is given (mask 0), the others are to be made (mask 1) with the control video as what VACE calls their reactive part.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from perpetua.refine.diffusion.backbones.api import Card, Shot, picture
from perpetua.refine.diffusion.backbones.wan_latents import WanBackbone

NO_CONTROL = 0.5
"""Grey: what VACE was trained to take for "nothing is said of this"."""


class WanVACE(WanBackbone):
    """Wan's VACE pipeline."""

    card: ClassVar[Card] = Card(
        family="Wan VACE",
        pipelines=("WanVACEPipeline",),
        checkpoints=(
            "Wan-AI/Wan2.1-VACE-1.3B-diffusers (832x480) or Wan-AI/Wan2.1-VACE-14B-diffusers (up to 1280x720), 81 frames"
        ),
        licence="Apache 2.0",
        memory=(
            "1.3B: 12 GB of GPU memory with offload (its text encoder alone is 11 GB); 14B: 40 GB, or less with sequential "
            "offload; estimated from the size of the weights"
        ),
        guides=("time_to_move", "warped_noise"),
        width=832,
        frames=81,
        guidance=5.0,
        exact_autoencoder=True,
        controls=("depth", "grey", "colour", "none"),
    )

    def _conditions(self, shot: Shot) -> dict[str, Any]:
        told = shot.control
        if told is None:
            told = np.full((shot.frames, shot.height, shot.width, 3), NO_CONTROL, np.float32)
        video = [picture(shot.first), *(picture(frame) for frame in told[1:])]
        blank, white = np.zeros_like(shot.first), np.ones_like(shot.first)
        mask = [picture(blank), *[picture(white)] * (shot.frames - 1)]
        return {"video": video, "mask": mask}
