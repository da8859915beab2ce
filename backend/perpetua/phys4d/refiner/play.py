"""A trained refiner on whole clips of a data set, so that the evaluation can measure it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.unpack import Refine
from perpetua.progress import Progress
from perpetua.refine.space_time import weights
from perpetua.refine.space_time.refiner import refine_video

SEED = 0


def clip_refiner(path: Path, steps: int) -> Refine:
    """Plays the refiner whose weights are in ``path``. It begins with the true first frame, as a bake begins with the picture."""
    network, _ = weights.load(path)

    def refine(clip: ClipArrays) -> tuple[NDArray[np.uint8], dict[str, dict[str, NDArray]]]:
        found = refine_video(
            network,
            clip.coarse_rgb / np.float32(255),
            clip.coarse_depth,
            clip.coarse_flow.astype(np.float32),
            clip.coarse_alpha / np.float32(255),
            clip.rgb[0] / np.float32(255),
            steps,
            SEED,
            Progress(),
        )
        layers: dict[str, dict[str, NDArray]] = {
            "depth": {"depth": found.depth},
            "flow": {"forward": found.flow},
            "cameras": {"K": clip.K, "world_to_camera": clip.world_to_camera},
        }
        return (found.rgb * 255 + 0.5).astype(np.uint8), layers

    return refine
