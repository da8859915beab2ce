"""Depth Pro (Bochkovskii et al. 2024): sharp depth in metres, and the lens."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.reconstruct.api import DepthEstimate
from perpetua.reconstruct.learned.checkpoint import Card, Learned, pretrained
from perpetua.reconstruct.learned.sam2 import wrong_kind

MIDDLE = (0.5, 0.5, 0.5)
"""Mean and deviation of what its pixels are prepared with."""
LEAST_INVERSE = 1e-4
"""1/m; what is farther counts as so far."""


class DepthPro(Learned):
    """A ``DepthEstimator``."""

    card = Card(
        "Depth Pro",
        "apple/DepthPro-hf: config.json and model.safetensors",
        "Apple's (apple-amlr): research only",
        "1.9 GB of weights; about 6 GB while it works: for a GPU, minutes on a CPU",
    )

    @classmethod
    def misfit(cls, config: dict[str, Any]) -> str | None:
        return wrong_kind(config, ("depth_pro",))

    def estimate(self, rgb: NDArray[np.uint8], focal: float | None) -> DepthEstimate:
        """As ``DepthEstimator``. The network draws canonical inverse depth, that of a lens whose focal length is the picture's width."""
        import torch

        from perpetua.reconstruct.learned.pixels import at_size, prepared

        height, width = rgb.shape[:2]
        side = round(self._model.config.patch_size / self._model.config.scaled_images_ratios[0])
        image = prepared(rgb, (side, side), MIDDLE, MIDDLE)
        with torch.no_grad():
            seen = self._model(image.to(self._model.device))
        found = focal
        if found is None and seen.field_of_view is not None:
            found = 0.5 * width / math.tan(0.5 * math.radians(float(seen.field_of_view.reshape(-1)[0])))
        inverse = at_size(seen.predicted_depth[0], height, width) * width / (found or float(width))
        return DepthEstimate((1 / np.maximum(inverse, LEAST_INVERSE)).astype(np.float32), found)

    @cached_property
    def _model(self) -> Any:
        from transformers import DepthProForDepthEstimation

        return pretrained(DepthProForDepthEstimation, self.folder)
