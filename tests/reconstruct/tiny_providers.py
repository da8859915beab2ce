"""Real classes of transformers at toy sizes with random weights, saved as checkpoints that providers read."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

SAM_SIDE = 64


def sam2(folder: Path) -> Path:
    """SAM 2.1's video model, as it is published."""
    from transformers import (
        Sam2HieraDetConfig,
        Sam2MaskDecoderConfig,
        Sam2PromptEncoderConfig,
        Sam2VideoConfig,
        Sam2VideoModel,
        Sam2VisionConfig,
    )

    encoder = Sam2HieraDetConfig(
        hidden_size=12, num_attention_heads=1, image_size=[SAM_SIDE, SAM_SIDE], query_stride=[2, 2], blocks_per_stage=[1, 2, 2, 1],
        embed_dim_per_stage=[12, 24, 48, 96], num_attention_heads_per_stage=[1, 2, 4, 8], window_size_per_stage=[8, 4, 14, 7],
        global_attention_blocks=[4],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=encoder, backbone_channel_list=[96, 48, 24, 12], backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=128,
    )  # fmt: skip
    prompts = Sam2PromptEncoderConfig(hidden_size=128, image_size=SAM_SIDE, patch_size=16)
    decoder = Sam2MaskDecoderConfig(
        hidden_size=128, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32
    )
    config = Sam2VideoConfig(
        vision_config=vision, prompt_encoder_config=prompts.to_dict(), mask_decoder_config=decoder.to_dict(),
        image_size=SAM_SIDE, memory_attention_hidden_size=128, memory_attention_num_layers=1, memory_attention_num_attention_heads=1,
        memory_attention_feed_forward_hidden_size=32, memory_attention_rope_feat_sizes=[4, 4], memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64, mask_downsampler_embed_dim=128, memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=32, memory_attention_downsample_rate=1, memory_attention_dropout=0.0,
    )  # fmt: skip
    return _saved(Sam2VideoModel, config, folder)


def depth_anything_v2(folder: Path) -> Path:
    """The network for metres, indoors."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    config = DepthAnythingConfig(
        backbone_config=_dino(4, out_indices=[1, 2, 3, 4], reshape_hidden_states=False),
        reassemble_hidden_size=16, neck_hidden_sizes=[4, 4, 8, 8], fusion_hidden_size=8, head_hidden_size=4,
        depth_estimation_type="metric", max_depth=20,
    )  # fmt: skip
    return _saved(DepthAnythingForDepthEstimation, config, folder)


def depth_pro(folder: Path) -> Path:
    """Patches of 28 pixels of a picture of 112."""
    from transformers import DepthProConfig, DepthProForDepthEstimation

    encoder = {"model_type": "dinov2", **_dino(4).to_diff_dict()}
    config = DepthProConfig(
        fusion_hidden_size=8, patch_size=28, intermediate_hook_ids=[3, 1], intermediate_feature_dims=[8, 8], merge_padding_value=0,
        scaled_images_feature_dims=[8, 8, 8], use_fov_model=True,
        image_model_config=encoder, patch_model_config=encoder, fov_model_config=encoder,
    )  # fmt: skip

    def speaks(model: DepthProForDepthEstimation) -> None:
        model.head.layers[-2].bias.data += 0.5
        last = model.fov_model.head.layers[-1]
        last.weight.data *= 0.01
        last.bias.data.fill_(40.0)

    return _saved(DepthProForDepthEstimation, config, folder, speaks)


def depth_anything_3(folder: Path) -> Path:
    """Depth Anything 3 for metres at toy size, by the names and shapes that the package `depth-anything-3` 0.1.1 gives its tensors."""
    wide, blocks, fused, narrow = 64, 4, 16, 32
    neck = (8, 8, 16, 16)
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, wide), "pos_embed": (1, 17, wide)}

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = (shape[1] if name.endswith(("layers.0", "layers.1")) else shape[0],)

    layer("patch_embed.proj", wide, 3, 14, 14)
    for block in (f"blocks.{index}" for index in range(blocks)):
        layer(f"{block}.norm1", wide)
        layer(f"{block}.norm2", wide)
        layer(f"{block}.attn.qkv", 3 * wide, wide)
        layer(f"{block}.attn.proj", wide, wide)
        layer(f"{block}.mlp.fc1", 2 * wide, wide)
        layer(f"{block}.mlp.fc2", wide, 2 * wide)
        shapes[f"{block}.ls1.gamma"] = shapes[f"{block}.ls2.gamma"] = (wide,)
    layer("norm", wide)
    shapes = {f"backbone.pretrained.{name}": shape for name, shape in shapes.items()}
    for index, channels in enumerate(neck):
        layer(f"head.projects.{index}", channels, wide, 1, 1)
        layer(f"head.scratch.layer{index + 1}_rn", fused, channels, 3, 3, bias=False)
        for unit in (1, 2) if index < 3 else (2,):
            for conv in (1, 2):
                layer(f"head.scratch.refinenet{index + 1}.resConfUnit{unit}.conv{conv}", fused, fused, 3, 3)
        layer(f"head.scratch.refinenet{index + 1}.out_conv", fused, fused, 1, 1)
    for index, side in ((0, 4), (1, 2), (3, 3)):
        layer(f"head.resize_layers.{index}", neck[index], neck[index], side, side)
    layer("head.scratch.output_conv1", fused // 2, fused, 3, 3)
    for name in ("output_conv2", "sky_output_conv2"):
        layer(f"head.scratch.{name}.0", narrow, fused // 2, 3, 3)
        layer(f"head.scratch.{name}.2", 1, narrow, 1, 1)
    tensors = {f"model.{name}": waves(f"model.{name}", shape) for name, shape in shapes.items()}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_name": "da3metric-large"}))
    return folder


def waves(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Weights that anyone can make again: a sine whose phase is the name's, as large as networks are begun with."""
    count = math.prod(shape)
    sine = np.sin(1.7 * np.arange(count) + zlib.crc32(name.encode()) % 1000).reshape(shape)
    if name.endswith(("norm1.weight", "norm2.weight", "norm.weight", "gamma")):
        return torch.from_numpy(1 + 0.1 * sine).float()
    if name.endswith("output_conv2.2.bias"):
        return torch.full(shape, 0.5)  # of depth and of sky: so that there is some of both
    size = 0.1 if len(shape) == 1 else (2 / max(1, math.prod(shape[1:]))) ** 0.5
    return torch.from_numpy(size * sine).float()


def _dino(layers: int, **more: object) -> object:
    from transformers import Dinov2Config

    return Dinov2Config(
        image_size=28, patch_size=14, hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, mlp_ratio=2, **more
    )  # fmt: skip


def _saved(
    model: type, config: object, folder: Path, change: Callable[[Any], None] = lambda made: None
) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = model(config)
        for (
            value
        ) in made.parameters():  # freshly made weights are so small that nothing depends on the picture
            value.data += 0.05 * torch.randn_like(value)
    change(made)
    made.save_pretrained(folder)
    return folder
