"""A video transformer that also tells depth and motion: forward hooks catch its features, heads read them, a LoRA may change it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from perpetua.phys4d.train.backbones.api import Shown, VideoTransformer
from perpetua.phys4d.train.config import HeadPlan, LoraPlan
from perpetua.phys4d.train.heads.depth import SCALES, DepthHead
from perpetua.phys4d.train.heads.motion import MotionHead
from perpetua.phys4d.train.readings import Readings

POLICY, REFERENCE = "policy", "reference"
"""The LoRA that is trained, and the one that it must stay near."""


class Prediction(NamedTuple):
    """output: like the noisy latents.  readings: of the same videos."""

    output: Tensor
    readings: Readings


class WorldModel(nn.Module):
    """Trained are its parameters with ``requires_grad``: the heads, and a LoRA once there is one. The backbone never is."""

    def __init__(self, backbone: VideoTransformer, head: HeadPlan) -> None:
        super().__init__()
        self.transformer = backbone.transformer
        self._backbone = backbone
        frames = backbone.stride * backbone.times_in_token
        cells = max(1, backbone.token_side // head.cell)
        self.motion = MotionHead(backbone.width, frames, cells)
        self.depth = DepthHead(backbone.width, head.channels, frames, cells)
        self._taps: list[Tensor] = []
        self._last: Tensor | None = None
        for number in tapped(len(backbone.blocks)):
            backbone.blocks[number].register_forward_hook(self._tap)
        backbone.output_layer.register_forward_pre_hook(self._tap_last)

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        shown: Shown,
        size: tuple[int, int, int],
        frozen: bool = False,
    ) -> Prediction:
        """noisy: [B, C, t, h, w] at times t [B]; size: (T, H, W) of the video. ``frozen`` keeps no gradient of the transformer."""
        self._taps, self._last = [], None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            output = self._backbone.predict(noisy, self._backbone.schedule.model_time(t), shown)
        grid = self._backbone.grid(noisy)
        assert self._last is not None
        taps = [self._taps[k] for k in _spread(len(self._taps))]
        flow, rise, occluded = self.motion(self._last, grid, size)
        depth = self.depth(taps, grid, size)
        self._taps, self._last = [], None  # let the features go
        return Prediction(output, Readings(depth, flow, rise, occluded))

    def add_lora(self, plan: LoraPlan, name: str = POLICY) -> None:
        """Add a LoRA to the network that changes nothing yet, kept in float32."""
        from peft import LoraConfig, inject_adapter_in_model

        config = LoraConfig(
            r=plan.rank,
            lora_alpha=plan.alpha,
            target_modules=list(self._backbone.lora_targets),
            init_lora_weights=True,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Already found a `peft_config`"
            )  # the reference is meant to be a second one
            inject_adapter_in_model(config, self.transformer, adapter_name=name)
        self._use(name)
        for key, parameter in self.transformer.named_parameters():
            if f".{name}." in key:
                parameter.data = parameter.data.float()

    def add_reference(self, plan: LoraPlan) -> None:
        """Keep a copy of the policy's LoRA, as it is now, for comparison."""
        self.add_lora(plan, REFERENCE)
        parameters = dict(self.transformer.named_parameters())
        for key, parameter in parameters.items():
            if f".{POLICY}." in key:
                parameters[key.replace(f".{POLICY}.", f".{REFERENCE}.")].data.copy_(parameter.data)
        self._use(POLICY)

    @contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Within, the transformer has the LoRA ``name`` and no other; afterwards the policy's again."""
        self._use(name)
        try:
            yield
        finally:
            self._use(POLICY)

    def _use(self, name: str) -> None:
        """peft also takes the gradient from the LoRAs that are not in use."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        for module in self.transformer.modules():
            if isinstance(module, BaseTunerLayer):
                module.set_adapter(name)

    def _tap(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._taps.append(self._backbone.tokens(output[0] if isinstance(output, tuple) else output))

    def _tap_last(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._last = self._backbone.tokens(inputs[0])


def tapped(blocks: int) -> list[int]:
    """The four blocks, evenly spread and the last among them, whose features the depth head reads; fewer where there are fewer."""
    return sorted({max(0, round(blocks * (k + 1) / len(SCALES)) - 1) for k in range(len(SCALES))})


def _spread(count: int) -> list[int]:
    return [min(count - 1, k * count // len(SCALES)) for k in range(len(SCALES))]
