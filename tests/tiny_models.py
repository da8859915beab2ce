"""Real classes of diffusers and transformers at toy sizes with random weights, saved as checkpoints that the loader reads.

Each maker writes a folder in diffusers' layout. A prompt goes through a real tokenizer and text encoder.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

TEXT = 32
"""Width of the text encoders."""
HEADS = {"num_attention_heads": 2, "attention_head_dim": 12}


def wan_ti2v(folder: Path) -> Path:
    """Wan 2.2 TI2V in its own form: 16 x 16 x 4 latents of 48 channels, the picture as the first latent, UniPC with flow sigmas."""
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanImageToVideoPipeline

    vae = AutoencoderKLWan(
        base_dim=4, z_dim=48, in_channels=12, out_channels=12, is_residual=True, patch_size=2,
        latents_mean=[0.0] * 48, latents_std=[1.0] * 48, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        scale_factor_spatial=16, scale_factor_temporal=4, temperal_downsample=[False, True, True],
    )  # fmt: skip
    sampler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0)
    return _saved(
        WanImageToVideoPipeline(
            **_umt5(), vae=vae, transformer=_wan_transformer(48), scheduler=sampler, expand_timesteps=True
        ),
        folder,
    )


def wan_vace(folder: Path) -> Path:
    """Wan VACE: 8 x 8 x 4 latents of 16 channels, a control video and masks."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanVACEPipeline, WanVACETransformer3DModel

    transformer = WanVACETransformer3DModel(
        patch_size=(1, 2, 2), **HEADS, in_channels=16, out_channels=16, text_dim=TEXT, freq_dim=64, ffn_dim=32,
        num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
        vace_layers=[0], vace_in_channels=96,
    )  # fmt: skip
    sampler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    return _saved(
        WanVACEPipeline(**_umt5(), vae=_wan_vae(), transformer=transformer, scheduler=sampler), folder
    )


def wan_text_to_video(folder: Path) -> Path:
    """A checkpoint that cannot begin with a picture."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline

    sampler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    return _saved(
        WanPipeline(**_umt5(), vae=_wan_vae(), transformer=_wan_transformer(16), scheduler=sampler), folder
    )


def cogvideox(folder: Path, version: float = 1.0) -> Path:
    """CogVideoX image-to-video: 8 x 8 x 4 latents, frames first. Version 1.5 takes latents in pairs."""
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDPMScheduler,
        CogVideoXImageToVideoPipeline,
        CogVideoXTransformer3DModel,
    )  # fmt: skip

    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4,
    )  # fmt: skip
    pairs = {"patch_size_t": 2, "ofs_embed_dim": 2, "patch_bias": False} if version > 1 else {}
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=8, out_channels=4, time_embed_dim=2,
        text_embed_dim=TEXT, num_layers=1, sample_width=12, sample_height=8, sample_frames=9, patch_size=2,
        temporal_compression_ratio=4, max_text_seq_length=16, use_rotary_positional_embeddings=True, **pairs,
    )  # fmt: skip
    sampler = CogVideoXDPMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    _saved(
        CogVideoXImageToVideoPipeline(**_t5(), vae=vae, transformer=transformer, scheduler=sampler), folder
    )
    return _with_sentencepiece(folder)


def ltx(folder: Path) -> Path:
    """LTX-Video: packed latents, a sampler whose shift follows the size."""
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXImageToVideoPipeline,
        LTXVideoTransformer3DModel,
    )  # fmt: skip

    vae = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False), decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
        timestep_conditioning=False, patch_size=1, patch_size_t=1, encoder_causal=True, decoder_causal=False,
    )  # fmt: skip
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=4, attention_head_dim=8, cross_attention_dim=32,
        num_layers=1, caption_channels=TEXT,
    )  # fmt: skip
    sampler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05)
    return _saved(
        LTXImageToVideoPipeline(**_t5(), vae=vae, transformer=transformer, scheduler=sampler), folder
    )


def sana_wm(folder: Path) -> Path:
    """SANA-WM: 32 x 32 x 8 latents, the picture as the first of them, a camera for each frame. One block of either kind of attention."""
    from diffusers import (
        AutoencoderKLLTX2Video,
        FlowMatchEulerDiscreteScheduler,
        SanaWMPipeline,
        SanaWMTransformer3DModel,
    )  # fmt: skip
    from transformers import Gemma2Config, Gemma2ForCausalLM, GemmaTokenizer

    vae = AutoencoderKLLTX2Video(
        latent_channels=8, block_out_channels=(8, 16, 32, 64), decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1),
        spatial_compression_ratio=32, temporal_compression_ratio=8,
    )  # fmt: skip
    transformer = SanaWMTransformer3DModel(
        in_channels=8, num_layers=2, hidden_size=32, num_attention_heads=2, softmax_every_n=2, linear_head_dim=16,
        chunk_plucker_post_attn_blocks=2, image_size=64, caption_channels=TEXT,
    )  # fmt: skip
    # a released checkpoint's camera branch is trained; at random it begins at nothing, and would not be heard
    for embedder in (transformer.plucker_embedder, *(block.plucker_proj for block in transformer.blocks)):
        for weight in embedder.parameters():
            torch.nn.init.normal_(weight, std=0.5)
    text = Gemma2Config(
        vocab_size=24, hidden_size=TEXT, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16, max_position_embeddings=1024,
    )  # fmt: skip
    words = [
        "<pad>",
        "<eos>",
        "<bos>",
        "<unk>",
        *(f"▁{word}" for word in ("a", "clay", "ball", "rolls", "blurry")),
    ]
    tokenizer = GemmaTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[])
    return _saved(
        SanaWMPipeline(
            tokenizer, Gemma2ForCausalLM(text), vae, transformer, FlowMatchEulerDiscreteScheduler(shift=5.0)
        ),
        folder,
    )


MAKERS: dict[str, Callable[[Path], Path]] = {
    "wan": wan_ti2v,
    "wan_vace": wan_vace,
    "cogvideox": cogvideox,
    "ltx": ltx,
    "sana_wm": sana_wm,
    "cogvideox15": lambda folder: cogvideox(folder, 1.5),
    "wan_text": wan_text_to_video,
}
"""Checkpoints by name: that of the refiner, and further versions."""


def _saved(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _wan_vae() -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )


def _wan_transformer(channels: int) -> Any:
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(
        patch_size=(1, 2, 2), **HEADS, in_channels=channels, out_channels=channels, text_dim=TEXT, freq_dim=64,
        ffn_dim=32, num_layers=1, cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    )  # fmt: skip


def _tokenizer() -> Any:
    from transformers import T5Tokenizer

    words = ["<pad>", "</s>", "<unk>", *(f"▁{word}" for word in ("a", "clay", "ball", "rolls", "blurry"))]
    vocabulary = [(word, 0.0 if word.startswith("<") else -1.0 - n) for n, word in enumerate(words)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=16)


def _with_sentencepiece(folder: Path) -> Path:
    """The tokenizer as older checkpoints have it: a SentencePiece model."""
    import sentencepiece

    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a clay ball rolls over a table"] * 8), model_writer=model, vocab_size=24, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer" / "spiece.model").write_bytes(model.getvalue())
    settings = {"tokenizer_class": "T5Tokenizer", "model_max_length": 16, "extra_ids": 0}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _t5() -> dict[str, Any]:
    from transformers import T5Config, T5EncoderModel

    return {"tokenizer": _tokenizer(), "text_encoder": T5EncoderModel(T5Config(**_text_sizes()))}


def _umt5() -> dict[str, Any]:
    from transformers import UMT5Config, UMT5EncoderModel

    return {"tokenizer": _tokenizer(), "text_encoder": UMT5EncoderModel(UMT5Config(**_text_sizes()))}


def _text_sizes() -> dict[str, int]:
    return {"vocab_size": 24, "d_model": TEXT, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}


def seeded(maker: Callable[[Path], Path], folder: Path) -> Path:
    """The checkpoint with the same random weights every time, and without the chatter of saving."""
    torch.manual_seed(0)
    with contextlib.redirect_stderr(io.StringIO()):
        return maker(folder)
