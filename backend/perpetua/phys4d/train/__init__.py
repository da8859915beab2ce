"""Phys4D's three stages on a video diffusion transformer of diffusers, or on the space_time network (docs/training.md).

heads_stage.py -> sft_stage.py -> rl_stage.py     each reads as the paper's algorithm does

config.py                         their YAML files
assembly.py                       checkpoint + heads + clips -> what a stage works on
backbones/  model.py  heads/      the transformer, features that hooks catch, what the heads read from them (readings.py)
clips.py  batches.py              clips from disk, cut, in an order that follows from the seed
schedules.py  noising.py          noise and the steps from it to a video
losses.py  warp.py                objectives of stages 1 and 2
sampling.py  reward.py  ppo.py    rollouts, their reward, and the objective of stage 3
validation.py                     videos of clips set aside, measured
study.py                          all stages of one network, and what each must beat
run.py  checkpoint.py  logs.py  memory.py    steps, resuming, TensorBoard, NaN and lack of memory: any training may use these
"""

from perpetua.phys4d.train.config import HeadsConfig, RlConfig, SftConfig, StageConfig, load_config
from perpetua.phys4d.train.heads_stage import train_heads
from perpetua.phys4d.train.rl_stage import train_rl
from perpetua.phys4d.train.sft_stage import train_sft

__all__ = [
    "HeadsConfig", "RlConfig", "SftConfig", "StageConfig", "load_config", "train_heads", "train_rl", "train_sft",
]  # fmt: skip
