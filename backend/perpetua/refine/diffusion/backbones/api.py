"""What a family of video models is to the refiner: latents in and out, noise levels, and one guided sampling.

Whatever the pipeline's own layout, latents here are [1, C, t, h, w], float32, scaled as the model sees them; latent 0 is frame 0 and each
later one the next ``stride`` frames. The pipelines are those of diffusers, called as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.refine.diffusion.options import Options
from perpetua.refine.diffusion.schedule import NoiseLevels, flow_levels
from perpetua.scene.cameras import Camera

Images = NDArray[np.float32]
"""[T, H, W, 3], sRGB in [0, 1], at the model's size."""


@dataclass(frozen=True)
class Card:
    """A family of checkpoints, for ``perpetua doctor`` and for checks. sizes in pixels, memory in words."""

    family: str
    pipelines: tuple[str, ...]
    """Classes of diffusers that ``model_index.json`` may name."""
    checkpoints: str
    licence: str
    memory: str
    guides: tuple[str, ...]
    width: int
    """Pixels the family was made for."""
    frames: int
    """Most frames it was made for."""
    guidance: float
    controls: tuple[str, ...] = ()
    """Values of the option ``control``; empty if the family sees no such video."""
    refused: tuple[tuple[str, str], ...] = ()
    """Classes of diffusers one might try, and why not."""
    exact_autoencoder: bool = False
    """Whether the autoencoder runs in float32 whatever the rest does."""


@dataclass(frozen=True)
class Shot:
    """What a sampling is conditioned on. first: [H, W, 3], the picture it begins with; control: [T, H, W, 3] or None; seed: of what a
    pipeline draws by itself (CogVideoX draws the picture's latent from its autoencoder); cameras: that of each frame, in the model's pixels."""

    first: Images
    control: Images | None
    frames: int
    height: int
    width: int
    fps: float
    seed: int
    cameras: tuple[Camera, ...]


AfterStep = Callable[[int, Tensor], Tensor]
"""Called with (step, latents before it); returns the latents to go on with. Raises ``Cancelled`` to stop."""


class Backbone(ABC):
    """A loaded model. What the families share: a pipeline of diffusers, called with a scheduler that begins late and with a
    callback after each step."""

    card: ClassVar[Card]

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.scheduler = pipeline.scheduler
        pipeline.set_progress_bar_config(disable=True)

    @property
    def stride(self) -> int:
        """Frames in a latent."""
        return int(self.pipeline.vae_scale_factor_temporal)

    @property
    def multiple(self) -> int:
        """Widths and heights must be multiples of this, pixels."""
        return int(self.pipeline.vae_scale_factor_spatial) * self._patch

    @property
    def exactly(self) -> tuple[int, int] | None:
        """(height, width) if the model takes no other."""
        return None

    @abstractmethod
    def encode(self, video: Images) -> Tensor:
        """The latents of a video."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Images:
        """The video of latents."""

    def levels(self, steps: int, shape: tuple[int, ...], imposes: bool) -> NoiseLevels:
        """Noise levels of a whole sampling of latents of ``shape``. ``imposes``: as in ``Guide``."""
        scheduler = self._scheduler(0, imposes)
        scheduler.set_timesteps(steps)
        return flow_levels(scheduler)

    def sample(
        self,
        start: Tensor,
        first_step: int,
        imposes: bool,
        shot: Shot,
        options: Options,
        after: AfterStep,
    ) -> Tensor:
        """Denoise ``start`` from before ``first_step`` to the end."""
        pipeline = self.pipeline

        def step_ended(_: Any, index: int, timestep: Any, kept: dict[str, Tensor]) -> dict[str, Tensor]:
            before = self._from_pipeline(kept["latents"], start)
            latents = after(first_step + index + 1, before)
            if latents is before:
                return {}
            return {"latents": self._to_pipeline(latents).to(kept["latents"])}

        pipeline.scheduler = self._scheduler(first_step, imposes)
        try:
            made = pipeline(
                prompt=options.prompt,
                negative_prompt=options.negative_prompt,
                height=shot.height,
                width=shot.width,
                num_frames=shot.frames,
                num_inference_steps=options.steps,
                guidance_scale=self.card.guidance if options.guidance is None else options.guidance,
                generator=torch.Generator().manual_seed(shot.seed),
                output_type="latent",
                return_dict=False,
                callback_on_step_end=step_ended,
                **self._beginning(start),
                **self._conditions(shot),
            )[0]
        finally:
            pipeline.scheduler = self.scheduler
        return self._from_pipeline(made, start).float().cpu()

    def rest(self) -> None:
        """Leave the accelerator to others until the next video, if parts of the model may leave it."""
        self.pipeline.maybe_free_model_hooks()

    @classmethod
    def misfit(cls, index: dict[str, Any]) -> str | None:
        """Why the checkpoint that ``model_index.json`` describes is none of this family, or None."""
        return None

    @property
    def device(self) -> Any:
        """Where the model runs."""
        return self.pipeline._execution_device

    # -- what a family says ---------------------------------------------------------------------------------------

    @property
    def _latent_dtype(self) -> torch.dtype:
        """What the pipeline keeps its latents in."""
        return torch.float32

    @property
    @abstractmethod
    def _patch(self) -> int:
        """Latents along one side of what the model takes as one token."""

    @abstractmethod
    def _scheduler(self, first_step: int, imposes: bool) -> Any: ...

    def _beginning(self, start: Tensor) -> dict[str, Any]:
        """The pipeline's argument for the latents that it begins with."""
        return {"latents": self._to_pipeline(start).to(device=self.device, dtype=self._latent_dtype)}

    @abstractmethod
    def _conditions(self, shot: Shot) -> dict[str, Any]:
        """The pipeline's arguments for what is seen."""

    def _to_pipeline(self, latents: Tensor) -> Tensor:
        return latents

    def _from_pipeline(self, latents: Tensor, like: Tensor) -> Tensor:
        return latents


def keeping_first(given: Tensor, after: AfterStep) -> AfterStep:
    """``after``, and the first latent stays ``given`` [1, C, 1, h, w]."""

    def kept(step: int, latents: Tensor) -> Tensor:
        return torch.cat([given.to(latents), after(step, latents)[:, :, 1:]], 2)

    return kept


def pixels(video: Images, vae: Any, device: Any) -> Tensor:
    """[1, 3, T, H, W] in [-1, 1], where and in the type that the autoencoder works."""
    tensor = torch.from_numpy(np.ascontiguousarray(video)).permute(3, 0, 1, 2)[None]
    return (tensor * 2 - 1).to(device=device, dtype=vae.dtype)


def images(tensor: Tensor) -> Images:
    """Back from ``pixels``."""
    made = (tensor[0].float().cpu().permute(1, 2, 3, 0) / 2 + 0.5).clamp(0, 1)
    return np.ascontiguousarray(made.numpy())


def picture(image: Images) -> Any:
    """A PIL image, as every pipeline takes it."""
    from PIL import Image

    return Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
