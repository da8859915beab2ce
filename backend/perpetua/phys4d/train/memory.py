"""When memory runs out: says how much of it a batch took, and a batch that fits and trains the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from perpetua.errors import TrainingError
from perpetua.phys4d.train.clips import usable_frames
from perpetua.phys4d.train.config import StageConfig

GIB = 2**30
CPU_WORDS = "can't allocate memory"
"""In the RuntimeError of torch's CPU allocator, which has no class of its own."""


@contextmanager
def running_out(advise: Callable[[int], str]) -> Iterator[None]:
    """Turns running out of memory within into a ``TrainingError`` with the sentence that ``advise`` makes of how many bytes there are."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        there = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        raise TrainingError(advise(there)) from error
    except RuntimeError as error:
        if CPU_WORDS not in str(error):
            raise
        import psutil

        raise TrainingError(advise(psutil.virtual_memory().total)) from error


def explained(config: StageConfig, frames_step: int, weights_bytes: int) -> AbstractContextManager[None]:
    """``running_out`` with the numbers of a stage. frames_step: of the model."""
    return running_out(lambda there: advice(config, frames_step, weights_bytes, there))


def advice(config: StageConfig, frames_step: int, weights_bytes: int, there_bytes: int) -> str:
    """The sentence: half the batch and twice the accumulation have the same gradient; with one clip, fewer frames and pixels."""
    data = config.data
    said = (
        f"Memory ran out: {there_bytes / GIB:.0f} GiB, of which the model's weights are {weights_bytes / GIB:.1f}, are too little for a "
        f"batch of {config.batch} of {data.frames} frames at {data.width}x{data.height}."
    )
    if config.batch > 1:
        half = config.batch // 2
        accumulate = -(-config.batch * config.accumulate // half)
        return f"{said} Set batch to {half} and accumulate to {accumulate}: the steps stay the same size."
    remedies = []
    if not config.gradient_checkpointing:
        remedies.append("gradient_checkpointing to true")
    frames = usable_frames((data.frames + 1) // 2, frames_step)
    if frames < data.frames:
        remedies.append(f"data.frames to {frames}")
    remedies.append(
        f"data.width and height to {data.width // 2} and {data.height // 2} (or what the model takes near it)"
    )
    return f"{said} Set {', or '.join(remedies)}."
