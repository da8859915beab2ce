"""Noise levels read off real schedulers, and schedulers that begin late."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from perpetua.refine.diffusion.schedule import beginning_at, ddpm_levels, flow_levels


def schedulers() -> dict[str, Any]:
    from diffusers import CogVideoXDDIMScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

    return {
        "euler": FlowMatchEulerDiscreteScheduler(shift=5.0),
        "unipc": UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
        ),
        "ddim": CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    }


@pytest.mark.parametrize("name", ["euler", "unipc", "ddim"])
def test_levels_go_from_noise_to_clean(name: str) -> None:
    scheduler = schedulers()[name]
    scheduler.set_timesteps(10)
    levels = (ddpm_levels if name == "ddim" else flow_levels)(scheduler)
    assert levels.steps == 10
    assert levels.noise[0] > 0.99
    assert (levels.noise.diff() < 0).all()
    torch.testing.assert_close(levels.noise[-1], torch.tensor(0.0, dtype=torch.float64), atol=0.04, rtol=0)
    whole = levels.signal**2 + levels.noise**2 if name == "ddim" else levels.signal + levels.noise
    torch.testing.assert_close(whole, torch.ones_like(whole))


@pytest.mark.parametrize("name", ["euler", "unipc", "ddim"])
def test_a_mix_is_what_the_scheduler_would_make(name: str) -> None:
    scheduler = schedulers()[name]
    scheduler.set_timesteps(10)
    levels = (ddpm_levels if name == "ddim" else flow_levels)(scheduler)
    clean, noise = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    at = scheduler.timesteps[6:7]
    theirs = (
        scheduler.scale_noise(clean, at, noise) if name == "euler" else scheduler.add_noise(clean, noise, at)
    )
    torch.testing.assert_close(levels.mix(6, clean, noise), theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["euler", "unipc", "ddim"])
def test_a_late_beginning_ends_where_the_whole_does(name: str) -> None:
    """A model that knows the truth leads any mix back to it, from any step."""
    whole = schedulers()[name]
    whole.set_timesteps(10)
    levels = (ddpm_levels if name == "ddim" else flow_levels)(whole)
    clean, noise = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    late = beginning_at(beginning_at(whole, 2), 6)
    assert inspect.signature(late.set_timesteps) == inspect.signature(whole.set_timesteps)
    late.set_timesteps(10)
    assert len(late.timesteps) == 4
    torch.testing.assert_close(late.timesteps, whole.timesteps[6:])
    sample = levels.mix(6, clean, noise)
    for k, t in enumerate(late.timesteps, 6):
        if name == "ddim":
            said = (
                levels.signal[k] * noise - levels.noise[k] * clean
            )  # velocity of a variance preserving process
        else:
            said = noise - clean
        sample = late.step(said.float(), t, sample, return_dict=False)[0]
    torch.testing.assert_close(sample, clean, atol=2e-2, rtol=1e-2)


def test_strength_is_the_share_of_steps_that_is_run() -> None:
    scheduler = schedulers()["euler"]
    scheduler.set_timesteps(20)
    levels = flow_levels(scheduler)
    assert [levels.first_step(s) for s in (0.0, 0.25, 1.0)] == [20, 15, 0]
