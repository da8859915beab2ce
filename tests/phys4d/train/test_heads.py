"""Tokens in their places, and heads that can learn what is in the features."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from perpetua.phys4d.train.config import HeadPlan, LoraPlan
from perpetua.phys4d.train.heads.depth import START_M, DepthHead, TemporalAttention
from perpetua.phys4d.train.heads.motion import MotionHead
from perpetua.phys4d.train.heads.tokens import Grid, maps, unpatchify
from perpetua.phys4d.train.model import POLICY, WorldModel, tapped

GRID = Grid(times=2, rows=3, columns=4, frames=4)


def test_unpatchify_puts_every_number_in_its_frame_and_pixel():
    C, cells = 2, 2
    video = torch.arange(8 * C * 6 * 8, dtype=torch.float32).view(1, 8, C, 6, 8)
    patches = video.view(1, 2, 4, C, 3, cells, 4, cells).permute(0, 1, 4, 6, 2, 3, 5, 7)
    tokens = patches.reshape(1, GRID.tokens, -1)
    assert torch.equal(unpatchify(tokens, GRID, cells, 8), video)
    assert torch.equal(
        unpatchify(tokens, GRID, cells, 5), video[:, 3:]
    )  # the first latent stands for frame 0 alone


def test_maps_put_every_token_in_its_place():
    tokens = torch.arange(GRID.tokens, dtype=torch.float32).view(1, -1, 1)
    assert torch.equal(maps(tokens, GRID), tokens.view(2, 1, 3, 4))


def test_heads_begin_with_a_still_world_at_two_metres():
    features = torch.randn(1, GRID.tokens, 16)
    flow, rise, hidden = MotionHead(16, 4, 2)(features, GRID, (5, 24, 32))
    assert flow.shape == (1, 4, 2, 24, 32)
    assert rise.shape == hidden.shape == (1, 4, 24, 32)
    assert float(flow.detach().abs().max()) == 0
    depth = DepthHead(16, 8, 4, 4)([features] * 4, GRID, (5, 24, 32))
    assert depth.shape == (1, 5, 24, 32)
    assert torch.allclose(depth, torch.tensor(START_M), rtol=0.05)


def test_a_motion_of_one_unit_is_a_hundredth_of_the_width():
    head = MotionHead(16, 4, 2)
    head.project.bias.data = torch.ones_like(head.project.bias)
    flow, rise, _ = head(torch.randn(1, GRID.tokens, 16), GRID, (5, 24, 32))
    assert torch.allclose(flow, torch.tensor(0.32))
    assert torch.allclose(rise, torch.tensor(1.0))


def test_temporal_attention_begins_as_nothing_and_then_sees_other_frames_only_of_the_same_place():
    attend = TemporalAttention(8)
    x = torch.randn(6, 8, 2, 3)
    assert torch.equal(attend(x, 3), x)
    torch.nn.init.normal_(attend.attention.out_proj.weight)
    x.requires_grad_(True)
    attend(x, 3)[0, :, 1, 2].sum().backward()
    assert x.grad is not None
    touched = x.grad.abs().amax(1) > 0
    assert touched[:3, 1, 2].all()  # all frames of the first video
    assert int(touched.sum()) == 3


def _fit(head: torch.nn.Module, loss, steps: int = 50) -> float:
    optimizer = torch.optim.Adam(head.parameters(), 2e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        value: Tensor = loss()
        value.backward()
        optimizer.step()
    return float(value.detach())


def test_heads_learn_what_is_written_in_the_features():
    torch.manual_seed(0)
    features = torch.randn(1, GRID.tokens, 16)
    motion, depth = MotionHead(16, 4, 2), DepthHead(16, 8, 4, 4)
    size = (5, 24, 32)
    speed = features[0, :, 0].view(2, 3, 4)[1].repeat_interleave(8, 0).repeat_interleave(8, 1)
    assert _fit(
        motion, lambda: (motion(features, GRID, size)[0][:, 1:, 0] - speed).abs().mean()
    ) < 0.35 * float(speed.abs().mean())
    far = 2 + features[0, :, 1].view(2, 3, 4)[1].tanh().repeat_interleave(8, 0).repeat_interleave(8, 1)
    start = float((torch.tensor(2.0) - far).abs().mean())
    assert _fit(depth, lambda: (depth([features] * 4, GRID, size)[:, 1:] - far).abs().mean()) < 0.4 * start


@pytest.mark.parametrize(
    ("blocks", "chosen"), [(1, [0]), (2, [0, 1]), (4, [0, 1, 2, 3]), (30, [7, 14, 21, 29])]
)
def test_the_depth_head_reads_blocks_evenly_spread(blocks, chosen):
    found = tapped(blocks)
    assert len(found) == len(chosen)
    assert all(abs(a - b) <= 1 for a, b in zip(found, chosen))
    assert found[-1] == blocks - 1


@pytest.mark.parametrize("family", ["cogvideox15", "wan"])
def test_a_frozen_backbone_gets_no_gradient_and_a_lora_gets_one_through_the_heads(family, checkpoint):
    from perpetua.phys4d.train.backbones.loading import load_backbone
    from perpetua.phys4d.train.backbones.of_diffusers import Conditions

    backbone = load_backbone(checkpoint(family), torch.float32)
    model = WorldModel(backbone, HeadPlan(channels=8))
    model.add_lora(LoraPlan(rank=2, alpha=2))
    video = torch.rand(1, 3, 9, 32, 64) * 2 - 1
    clean = backbone.encode(video)
    shown = Conditions(backbone.encode(video[:, :, :1]), backbone.text(["a ball"], torch.device("cpu")))
    for name, parameter in model.named_parameters():
        if "lora_B" in name or name in ("motion.project.weight", "depth.out.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    t = torch.tensor([0.7])

    def gradients(frozen: bool) -> tuple[float, float, float]:
        model.zero_grad()
        seen = model(clean, t, shown, (9, 32, 64), frozen)
        (seen.readings.depth.sum() + seen.readings.flow.sum()).backward()
        lora = sum(
            float(p.grad.abs().sum())
            for n, p in model.named_parameters()
            if POLICY in n and p.grad is not None
        )
        base = sum(
            float(p.grad.abs().sum())
            for n, p in model.named_parameters()
            if "base_layer" in n and p.grad is not None
        )
        heads = sum(float(p.grad.abs().sum()) for p in model.motion.parameters() if p.grad is not None)
        return lora, base, heads

    lora, base, heads = gradients(frozen=True)
    assert (lora, base) == (0, 0)
    assert heads > 0
    lora, base, heads = gradients(frozen=False)
    assert lora > 0
    assert base == 0
    assert math.isfinite(heads)


def test_our_prediction_is_the_pipelines(checkpoint, monkeypatch):
    """One denoising step of diffusers' own pipelines with the same latents asks the transformer the same."""
    from perpetua.phys4d.train.backbones.loading import load_backbone
    from perpetua.phys4d.train.backbones.of_diffusers import Conditions

    for family in ("cogvideox", "wan"):
        backbone = load_backbone(checkpoint(family), torch.float32)
        pipeline = backbone.pipeline
        pipeline.set_progress_bar_config(disable=True)
        draw = torch.Generator().manual_seed(0)
        video = torch.rand(1, 3, 1, 32, 64, generator=draw) * 2 - 1
        text = backbone.text(["a ball"], torch.device("cpu"))
        shown = Conditions(backbone.encode(video), text)
        x = torch.randn(1, shown.first.shape[1], 3, *shown.first.shape[3:], generator=draw)
        asked = []
        whole = pipeline.transformer.forward

        def spy(*args, whole=whole, asked=asked, **kwargs):
            asked.append(whole(*args, **kwargs))
            return asked[-1]

        with monkeypatch.context() as patch:
            patch.setattr(pipeline.transformer, "forward", spy)
            # the picture's latent is drawn by CogVideoX's pipeline and is the mode here
            kind = type(pipeline.vae.encode(video).latent_dist)
            patch.setattr(kind, "sample", lambda self, generator=None: self.mode())
            latents = x.transpose(1, 2) if family == "cogvideox" else x
            pipeline(
                image=(video[0, :, 0] + 1) / 2, prompt_embeds=text, negative_prompt_embeds=text, height=32, width=64, num_frames=9,
                num_inference_steps=4, guidance_scale=1.0, latents=latents, output_type="latent",
                **({} if family == "wan" else {"max_sequence_length": 16}),
            )  # fmt: skip
        theirs = asked[0][0]
        theirs = theirs.transpose(1, 2) if family == "cogvideox" else theirs
        t = float(pipeline.scheduler.timesteps[0])
        ours = backbone.predict(x, torch.tensor([t]), shown)
        assert torch.allclose(ours, theirs, atol=1e-4), family
