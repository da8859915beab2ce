"""MoGe-2 (Wang et al. 2025): points in metres, sharp at edges, and the lens; by the package `moge`, where it is installed.

Its checkpoints are published pickled. ``scripts/moge_to_safetensors.py`` writes one as the folder that is read here: ``config.json``
with the network's settings under ``model_config``, and ``model.safetensors``.
"""

from __future__ import annotations

import importlib.util
import json
import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.api import DepthEstimate
from perpetua.reconstruct.learned.checkpoint import CONFIG, Card, Learned

PACKAGE = "moge"


class MoGe(Learned):
    """A ``DepthEstimator``."""

    card = Card(
        "MoGe-2",
        "Ruicheng/moge-2-vitl (or -vitb, -vits), written by scripts/moge_to_safetensors.py: config.json and model.safetensors. It needs "
        "the package moge: pip install git+https://github.com/microsoft/MoGe.git",
        "MIT",
        "0.1 to 1.3 GB of weights by size; about 3 GB while it works, on a CPU too",
    )

    def __init__(self, model: str = "") -> None:
        if importlib.util.find_spec(PACKAGE) is None:
            raise ReconstructionError(
                "MoGe-2 needs the package moge, which is not installed: pip install git+https://github.com/microsoft/MoGe.git (it "
                "brings torchvision), or choose another depth_estimator."
            )
        super().__init__(model)

    @classmethod
    def misfit(cls, config: dict[str, Any]) -> str | None:
        settings = config.get("model_config")
        if not isinstance(settings, dict) or "encoder" not in settings:
            return "it holds no `model_config` of a MoGe"
        return None if "scale_head" in settings else "it gives depth in no unit"

    def estimate(self, rgb: NDArray[np.uint8], focal: float | None) -> DepthEstimate:
        """As ``DepthEstimator``. What the network takes for sky is infinite."""
        import torch

        width = rgb.shape[1]
        image = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
        fov = None if focal is None else math.degrees(2 * math.atan(0.5 * width / focal))
        seen = self._model.infer(
            image.to(self._model.device), fov_x=fov, use_fp16=self._model.device.type == "cuda"
        )
        depth = seen["depth"].float().cpu().numpy().astype(np.float32)
        return DepthEstimate(depth, float(seen["intrinsics"][0, 0]) * width)

    @cached_property
    def _model(self) -> Any:
        import torch
        from moge.model.v2 import MoGeModel
        from safetensors.torch import load_file

        settings = json.loads((self.folder / CONFIG).read_text(encoding="utf-8"))["model_config"]
        model = MoGeModel(**settings)
        for file in sorted(self.folder.glob("*.safetensors")):
            model.load_state_dict(load_file(file), strict=False)
        return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
