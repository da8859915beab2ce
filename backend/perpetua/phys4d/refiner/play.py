"""A trained refiner on whole clips of a data set, so that the evaluation can measure it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from perpetua.clips.clip import Clip, Flow
from perpetua.phys4d.data.clip import ClipArrays
from perpetua.phys4d.data.store import About
from perpetua.phys4d.data.unpack import Refine, coarse_clip
from perpetua.progress import Progress
from perpetua.refine.space_time import weights
from perpetua.refine.space_time.refiner import refine_video


def clip_refiner(path: Path, steps: int) -> Refine:
    """Plays the refiner whose weights are in ``path``. It begins with the true first frame, as a bake begins with the picture."""
    network, _ = weights.load(path)

    def refine(about: About, clip: ClipArrays) -> Clip:
        found = refine_video(
            network,
            clip.coarse_rgb / np.float32(255),
            clip.coarse_depth,
            clip.coarse_flow.astype(np.float32),
            clip.coarse_alpha / np.float32(255),
            clip.rgb[0] / np.float32(255),
            steps,
            Progress(),
        )
        rgb = (found.rgb * 255 + 0.5).astype(np.uint8)
        return replace(coarse_clip(about, clip), rgb=rgb, depth=found.depth, flow=Flow(found.flow))

    return refine
