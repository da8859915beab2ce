"""Depth Anything V2 (Yang et al. 2024), the checkpoints that were trained for metres."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.reconstruct.api import DepthEstimate
from perpetua.reconstruct.learned.checkpoint import Card, Learned, pretrained
from perpetua.reconstruct.learned.sam2 import wrong_kind

LONGEST = 770
"""Pixels of the longer side that the network looks at: 518 of the shorter for a picture of 3:2."""
PATCH = 14


class DepthAnythingV2(Learned):
    """A ``DepthEstimator``. It says nothing of the lens."""

    card = Card(
        "Depth Anything V2 metric",
        "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf (or -Base-hf, -Large-hf, or Outdoor): config.json and model.safetensors",
        "Apache 2.0 for Small, CC BY-NC 4.0 (no commercial use) for Base and Large",
        "0.1 to 1.3 GB of weights by size; about 2 GB while it works, on a CPU too",
    )

    @classmethod
    def misfit(cls, config: dict[str, Any]) -> str | None:
        if config.get("depth_estimation_type", "relative") != "metric":
            return wrong_kind(config, ("depth_anything",)) or "it gives depth in no unit"
        return wrong_kind(config, ("depth_anything",))

    def estimate(self, rgb: NDArray[np.uint8], focal: float | None) -> DepthEstimate:
        """As ``DepthEstimator``."""
        import torch

        from perpetua.reconstruct.learned.pixels import at_size, prepared, size_in_patches

        height, width = rgb.shape[:2]
        image = prepared(rgb, size_in_patches(height, width, LONGEST, PATCH))
        with torch.no_grad():
            seen = self._model(image.to(self._model.device)).predicted_depth[0]
        return DepthEstimate(at_size(seen, height, width), None)

    @cached_property
    def _model(self) -> Any:
        from transformers import DepthAnythingForDepthEstimation

        return pretrained(DepthAnythingForDepthEstimation, self.folder)
