"""Depth Anything 3 (Lin et al. 2025), its single-view network for metres.

The package `depth-anything-3` pins NumPy below 2 and brings xformers, Open3D and torchvision, so it cannot be installed beside ours. Of all its
networks the one for metres is a plain DINOv2 with the head of Depth Anything V2, an exponential at its end and a second one for the
sky: transformers has these, and the checkpoint's tensors are given their names here. The shapes say how large the network is.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perpetua.errors import ReconstructionError
from perpetua.reconstruct.api import DepthEstimate
from perpetua.reconstruct.camera import usual_focal_pixels
from perpetua.reconstruct.learned.checkpoint import Card, Learned
from perpetua.reconstruct.learned.pixels import at_size, prepared, size_in_patches

LONGEST = 504
"""Pixels of the longer side that the network was trained for."""
METRES_FOCAL = 300.0
"""Pixels: metres are the network's number times the focal length over this."""
SKY = 0.3
"""Of the sky's number, from which a pixel is sky."""
HEAD_WIDTH = 64
"""Channels of a head of attention, in every DINOv2."""
EPSILON = 1e-6
"""Of its layer norms."""

NAMES: tuple[tuple[str, str], ...] = (
    (r"^model\.", ""),
    (r"^backbone\.pretrained\.(cls_token)", r"backbone.embeddings.\1"),
    (r"^backbone\.pretrained\.pos_embed", "backbone.embeddings.position_embeddings"),
    (r"^backbone\.pretrained\.patch_embed\.proj", "backbone.embeddings.patch_embeddings.projection"),
    (r"^backbone\.pretrained\.norm\.", "backbone.layernorm."),
    (r"^backbone\.pretrained\.blocks\.(\d+)\.", r"backbone.encoder.layer.\1."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.ls([12])\.gamma", r".layer_scale\1.lambda1"),
    (r"^head\.projects\.(\d)\.", r"neck.reassemble_stage.layers.\1.projection."),
    (r"^head\.resize_layers\.(\d)\.", r"neck.reassemble_stage.layers.\1.resize."),
    (r"\.resConfUnit([12])\.conv([12])\.", r".residual_layer\1.convolution\2."),
    (r"\.out_conv\.", ".projection."),
    (r"^head\.scratch\.output_conv1\.", "head.conv1."),
    (r"^head\.scratch\.output_conv2\.0\.", "head.conv2."),
    (r"^head\.scratch\.output_conv2\.2\.", "head.conv3."),
    (r"^head\.scratch\.sky_output_conv2\.", "sky."),
)
"""Names of the checkpoint's tensors, and those of transformers' DepthAnythingForDepthEstimation; ``sky`` is ours."""


class DepthAnything3(Learned):
    """A ``DepthEstimator``. Its metres need the focal length; where nothing is known of the lens they are those of a usual one."""

    card = Card(
        "Depth Anything 3 metric",
        "depth-anything/DA3METRIC-LARGE: config.json and model.safetensors",
        "Apache 2.0",
        "1.3 GB of weights; about 3 GB while it works, on a CPU too",
    )

    @classmethod
    def misfit(cls, config: dict[str, Any]) -> str | None:
        name = config.get("model_name")
        if not isinstance(name, str) or not name.startswith("da3"):
            return "it is no Depth Anything 3"
        return None if name.startswith("da3metric") else f"'{name}' gives depth in no unit"

    def estimate(self, rgb: NDArray[np.uint8], focal: float | None) -> DepthEstimate:
        """As ``DepthEstimator``; the sky is infinite."""
        height, width = rgb.shape[:2]
        network = self._network
        size = size_in_patches(height, width, LONGEST, network.patch)
        with torch.no_grad():
            depth, sky = network(prepared(rgb, size).to(network.device))
        lens = (focal or usual_focal_pixels(width)) * size[1] / width
        metres = at_size(depth, height, width) * lens / METRES_FOCAL
        return DepthEstimate(
            np.where(at_size(sky, height, width) < SKY, metres, np.inf).astype(np.float32), None
        )

    @cached_property
    def _network(self) -> Network:
        return loaded(self.folder)


class Network(nn.Module):
    """body: of Depth Anything V2, whose head ends otherwise; sky: that ends as it does."""

    def __init__(self, body: Any, sky: nn.Sequential) -> None:
        super().__init__()
        self.body, self.sky = body, sky
        self.patch = int(body.config.patch_size)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Depth, for METRES_FOCAL, and sky [H, W] of a picture [1, 3, H, W]."""
        rows, columns = (side // self.patch for side in image.shape[-2:])
        features = self.body.neck(self.body.backbone(image).feature_maps, rows, columns)[-1]
        head = self.body.head
        fine = nn.functional.interpolate(
            head.conv1(features), image.shape[-2:], mode="bilinear", align_corners=True
        )
        depth = head.conv3(head.activation1(head.conv2(fine)))
        return depth[0, 0].exp(), self.sky(fine)[0, 0].relu()


def loaded(folder: Path) -> Network:
    """The network of a checkpoint. Raises ``ReconstructionError`` if its tensors are those of another."""
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    try:
        named = _renamed(tensors)
        network = _of_shapes(named)
        sky = {name.removeprefix("sky."): named.pop(name) for name in list(named) if name.startswith("sky.")}
        network.sky.load_state_dict(sky)
        network.body.load_state_dict(named)
    except (KeyError, RuntimeError) as error:
        raise ReconstructionError(
            f"The tensors in {folder} are not those of {DepthAnything3.card.family} ({str(error)[:200]}); get "
            f"{DepthAnything3.card.checkpoints}."
        ) from error
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for pattern, becomes in NAMES:
            name = re.sub(pattern, becomes, name)
        # Fusion goes from the coarsest features (the fourth) to the finest.
        name = re.sub(
            r"^head\.scratch\.refinenet(\d)", lambda m: f"neck.fusion_stage.layers.{4 - int(m[1])}", name
        )
        name = re.sub(r"^head\.scratch\.layer(\d)_rn", lambda m: f"neck.convs.{int(m[1]) - 1}", name)
        if ".attn.qkv." in name:
            for part, value in zip("qkv", tensor.chunk(3), strict=True):
                named[name.replace(".attn.qkv.", f".attention.{part}_proj.")] = value
        else:
            named[name] = tensor
    return named


def _of_shapes(named: dict[str, Tensor]) -> Network:
    """The network that tensors ``named`` belong to, with other weights."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    width, _, patch, _ = named["backbone.embeddings.patch_embeddings.projection.weight"].shape
    grid = round((named["backbone.embeddings.position_embeddings"].shape[1] - 1) ** 0.5)
    depth = 1 + max(int(name.split(".")[3]) for name in named if name.startswith("backbone.encoder.layer."))
    neck = [len(named[f"neck.reassemble_stage.layers.{index}.projection.weight"]) for index in range(4)]
    fused = len(named["neck.convs.0.weight"])
    narrow = len(named["head.conv2.weight"])
    sizes: dict[str, Any] = {
        "image_size": grid * patch,
        "patch_size": patch,
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "mlp_ratio": len(named["backbone.encoder.layer.0.mlp.fc1.weight"]) // width,
        "out_indices": _looked_at(depth),
    }
    backbone = Dinov2Config(
        layer_norm_eps=EPSILON,
        use_mask_token=False,
        reshape_hidden_states=False,
        apply_layernorm=True,
        **sizes,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=patch, reassemble_hidden_size=width, neck_hidden_sizes=neck, fusion_hidden_size=fused,
        head_hidden_size=narrow,
    )  # fmt: skip
    body = DepthAnythingForDepthEstimation(config)
    # The coarsest features are fused with nothing: their first unit is there, and not used.
    for name, value in body.state_dict().items():
        if name.startswith("neck.fusion_stage.layers.0.residual_layer1."):
            named.setdefault(name, value)
    sky = nn.Sequential(nn.Conv2d(fused // 2, narrow, 3, padding=1), nn.ReLU(), nn.Conv2d(narrow, 1, 1))
    return Network(body, sky)


def _looked_at(depth: int) -> list[int]:
    """Layers, counted from 1, whose features the head takes: 5, 12, 18 and 24 of 24."""
    return [depth * 5 // 24 or 1, depth // 2, depth * 3 // 4, depth]
