"""Puts a stage together: the checkpoint with heads, the clips, and where a run goes on from the one before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from perpetua.errors import TrainingError
from perpetua.phys4d.train import checkpoint
from perpetua.phys4d.train.backbones.api import VideoTransformer
from perpetua.phys4d.train.backbones.loading import load_backbone
from perpetua.phys4d.train.clips import ClipSource, check_plan, source_of
from perpetua.phys4d.train.config import LoraPlan, RlConfig, SftConfig, StageConfig
from perpetua.phys4d.train.model import WorldModel
from perpetua.phys4d.train.run import accelerator_for, generator

INIT_WORD = 0x1217
"""In the seed of the heads' and the LoRA's first weights."""


@dataclass
class Assembly:
    """validation: None if no clips are set aside."""

    backbone: VideoTransformer
    model: WorldModel
    clips: ClipSource
    validation: ClipSource | None

    @property
    def weights_bytes(self) -> int:
        """Of everything that is held in memory."""
        parts = (self.model, *self.backbone.parts)
        return sum(p.numel() * p.element_size() for part in parts for p in part.parameters())


def assemble(config: StageConfig) -> Assembly:
    """Load, check and place what ``config`` names. New weights follow from its seed."""
    clips = source_of(config.data)
    validation = None if config.validation is None else source_of(config.validation)
    accelerator = accelerator_for(config)
    half = accelerator.mixed_precision == "bf16"
    backbone = load_backbone(config.model, torch.bfloat16 if half else torch.float32)
    check_plan(config.data, backbone.frames_step, backbone.multiple)
    if config.validation is not None:
        check_plan(config.validation, backbone.frames_step, backbone.multiple, "validation")
    backbone.prepare(config.prompt, accelerator.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(config.seed, INIT_WORD).initial_seed())
        model = WorldModel(backbone, config.head)
        if isinstance(config, SftConfig):
            model.add_lora(config.lora)
    if isinstance(config, RlConfig):
        plan = lora_of(Path(config.start))
        model.add_lora(plan)
    if isinstance(config, SftConfig | RlConfig):
        start_from(model, Path(config.start), needs_lora=isinstance(config, RlConfig))
    if config.gradient_checkpointing and isinstance(config, SftConfig | RlConfig):
        backbone.spare_memory()
    model.to(accelerator.device)
    return Assembly(backbone, model, clips, validation)


def start_from(model: WorldModel, folder: Path, needs_lora: bool) -> None:
    """Load what another run ended with."""
    path = _ended(folder)
    weights, _ = checkpoint.read_tensors(path)
    if needs_lora and not any("lora" in name for name in weights):
        raise TrainingError(f"{path} has no LoRA: `start` must be a run of `perpetua train sft`.")
    checkpoint.load_weights(model, path, weights)


def lora_of(folder: Path) -> LoraPlan:
    """The LoRA that the run in ``folder`` has trained. Raises ``TrainingError`` if it was no run of stage 2 or 3."""
    path = _ended(folder)
    _, about = checkpoint.read_tensors(path)
    try:
        return msgspec.json.decode(about.get("config", "{}"), type=_WithLora).lora
    except msgspec.MsgspecError as error:
        raise TrainingError(f"{path} has no LoRA: `start` must be a run of `perpetua train sft`.") from error


def _ended(folder: Path) -> Path:
    path = folder / checkpoint.WEIGHTS
    if not path.is_file():
        raise TrainingError(
            f"{folder} has no {checkpoint.WEIGHTS}; set `start` to the folder of a run that has ended (its --out)."
        )
    return path


class _WithLora(msgspec.Struct):
    lora: LoraPlan
