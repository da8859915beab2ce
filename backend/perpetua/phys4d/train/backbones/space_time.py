"""The small space_time network (``perpetua.refine.space_time``): what it makes is not a video from noise but a fine video from a coarse one.

Its bridge leads from the coarse signal with noise, c + sigma n, to the fine one, f. Latents are what lies between, in units of that noise,

    z = (f - c) / sigma,        x_t = c + sigma [(1 - t) z + t n],

so they follow the rectified flow of ``schedules`` from plain noise, and stages 2 and 3, with its SDE, are the same as for any family. A latent is a
frame, at the video's own size.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from perpetua.errors import RefinerError, TrainingError
from perpetua.phys4d.train.backbones.api import Batch, VideoTransformer
from perpetua.phys4d.train.heads.tokens import Grid
from perpetua.phys4d.train.schedules import RectifiedFlow
from perpetua.refine.space_time import weights
from perpetua.refine.space_time.bridge import predict, sigma
from perpetua.refine.space_time.network import PATCH, SpaceTimeUNet
from perpetua.refine.space_time.signal import PICTURE, condition_of, nearness_unit, signal_of

LEAST_TIME = 1e-3
"""The velocity divides by the time; no time that is trained or sampled is smaller."""
REFINER = "refiner.safetensors"
"""What the refiner's option `weights` takes."""


class Coarse(NamedTuple):
    """What a fine video is made from. signal: [B, 6, T, H, W].  condition: [B, 11, T, H, W]."""

    signal: Tensor
    condition: Tensor


class SpaceTime(VideoTransformer):
    """about: what the weights' file says of how they were trained, JSON."""

    lora_targets: ClassVar[tuple[str, ...]] = ("space", "time", "space_again")
    """The convolutions of its blocks."""

    def __init__(self, network: SpaceTimeUNet, about: str) -> None:
        super().__init__(network, RectifiedFlow(train_steps=1))
        self.about = about

    @staticmethod
    def load(path: Path) -> SpaceTime:
        """Raises ``TrainingError`` naming a file that holds no such network."""
        try:
            network, about = weights.load(path)
        except RefinerError as error:
            raise TrainingError(f"{error}") from error
        network.requires_grad_(False)
        return SpaceTime(network, about)

    @property
    def multiple(self) -> int:
        return int(self.transformer.shape.multiple)

    @property
    def token_side(self) -> int:
        return PATCH

    @property
    def width(self) -> int:
        return int(self.transformer.shape.widths[0])

    @property
    def blocks(self) -> nn.ModuleList:
        """Those of the finest level, on the way down and on the way up, which knows what the coarser levels do."""
        up = self.transformer.up[0] if len(self.transformer.up) else ()
        return nn.ModuleList([*self.transformer.down[0], *up])

    @property
    def output_layer(self) -> nn.Module:
        layer = self.transformer.leave
        assert isinstance(layer, nn.Module)
        return layer

    def tokens(self, features: Tensor) -> Tensor:
        """Of maps [B, width, T, H / 2, W / 2]."""
        return features.flatten(2).transpose(1, 2)

    def grid(self, latents: Tensor) -> Grid:
        T, H, W = latents.shape[2:]
        return Grid(T, H // PATCH, W // PATCH, 1)

    @property
    def error_scale(self) -> Tensor:
        """Errors count as they do in the signal, where they are of one size, and not in units of the noise."""
        return sigma(self.transformer.leave.weight)

    def prepare(self, prompt: str, device: torch.device) -> None:
        """Raises ``TrainingError`` if there is a prompt, which this network does not read."""
        if prompt:
            raise TrainingError("The space_time network reads no text; leave prompt out.")

    def spare_memory(self) -> None:
        """It is small: its activations are kept."""

    def latents(self, batch: Batch) -> tuple[Tensor, Coarse]:
        """Raises ``TrainingError`` for clips without a coarse video."""
        if "coarse_rgb" not in batch:
            raise TrainingError(
                "The space_time network refines coarse videos, which these clips lack; set data.folder to what `perpetua data generate` wrote."
            )
        unit = nearness_unit(batch["coarse_depth"])
        coarse, fine = (
            signal_of(
                _pictures(batch[f"{which}rgb"]),
                batch[f"{which}depth"],
                batch[f"{which}flow"].permute(0, 1, 3, 4, 2),
                unit,
            )
            for which in ("coarse_", "")
        )
        first = _pictures(batch["rgb"])[:, 0]
        shown = Coarse(coarse, condition_of(coarse, batch["coarse_alpha"], first))
        return (fine - coarse) / sigma(coarse), shown

    def latent_shape(self, shown: Coarse, size: tuple[int, int, int]) -> tuple[int, ...]:
        return tuple(shown.signal.shape)

    def decode(self, latents: Tensor, shown: Coarse) -> Tensor:
        return (shown.signal + sigma(latents) * latents)[:, PICTURE]

    def predict(self, noisy: Tensor, model_time: Tensor, shown: Coarse) -> Tensor:
        """The velocity n - z, from the network's fine signal."""
        unit, t = sigma(noisy), model_time.clamp_min(LEAST_TIME)
        fine = predict(self.transformer, shown.signal + unit * noisy, shown.signal, shown.condition, t)
        return (noisy - (fine - shown.signal) / unit) / t[:, None, None, None, None]

    def export(self, out: Path, adapter: str) -> Path:
        """The network with the LoRA in its weights, as the refiner loads it."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        merged = {
            name.replace(".base_layer.", "."): value.clone()
            for name, value in self.transformer.state_dict().items()
            if ".lora_" not in name
        }
        for name, module in self.transformer.named_modules():
            if isinstance(module, BaseTunerLayer):
                merged[f"{name}.weight"] += module.get_delta_weight(adapter)  # type: ignore[attr-defined]
        plain = SpaceTimeUNet(self.transformer.shape)
        plain.load_state_dict(merged)
        about = msgspec.json.encode({"begun from": msgspec.Raw(self.about.encode())}).decode()
        weights.save(out / REFINER, plain, about, half=True)
        return out / REFINER


def _pictures(video: Tensor) -> Tensor:
    """[B, T, H, W, 3] in [0, 1] of [B, 3, T, H, W] in [-1, 1]."""
    return (video.permute(0, 2, 3, 4, 1) + 1) / 2
