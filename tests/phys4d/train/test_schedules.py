"""Schedules against closed forms: for Gaussian data the best prediction is linear, and the variance on the way can be followed exactly."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from perpetua.phys4d.train.noising import noised
from perpetua.phys4d.train.schedules import Ddpm, RectifiedFlow, Schedule

SPREAD = 0.6
"""Standard deviation of the data, a Gaussian about 0."""


def ddpm(last: float = 0.0, steps: int = 1000) -> Ddpm:
    abar = torch.linspace(1, 0, steps + 1, dtype=torch.float64)[1:] ** 2
    return Ddpm(abar * (1 - last) + last)


def best(schedule: Schedule, t: float) -> float:
    """The factor f of the best prediction f x of the model's target, for data N(0, SPREAD^2)."""
    a, s = (float(level) for level in schedule.levels(torch.tensor([t], dtype=torch.float64)))
    total = a**2 * SPREAD**2 + s**2
    z, n = a * SPREAD**2 / total, s / total  # E[z | x] / x, E[n | x] / x
    return n - z if isinstance(schedule, RectifiedFlow) else a * n - s * z


def variance_after(schedule: Schedule, steps: int, exploration: float, until: float) -> tuple[float, float]:
    """(variance of x at the first time at or below ``until``, that time) of a sampling from noise of variance 1."""
    variance = 1.0
    times = schedule.times(steps)
    for t, t_next in pairwise(times):
        x = torch.ones(1, dtype=torch.float64)
        step = schedule.step(x, best(schedule, t) * x, t, t_next, exploration)
        variance = float(step.mean) ** 2 * variance + step.std**2
        if t_next <= until:
            return variance, t_next
    raise AssertionError("the sampling has no such time")


def true_variance(schedule: Schedule, t: float) -> float:
    a, s = (float(level) for level in schedule.levels(torch.tensor([t], dtype=torch.float64)))
    return a**2 * SPREAD**2 + s**2


@pytest.mark.parametrize("exploration", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("t", [0.9, 0.6, 0.2])
@pytest.mark.parametrize("kind", ["flow", "ddpm"])
def test_a_short_step_keeps_the_marginal_to_second_order(kind, t, exploration):
    """From the variance that is true at t a step leads to that at t', whatever its noise, but for an error of its length squared."""
    schedule: Schedule = RectifiedFlow() if kind == "flow" else ddpm(steps=1_000_000)
    errors = []
    for length in (2e-2, 1e-2):
        x = torch.ones(1, dtype=torch.float64)
        step = schedule.step(x, best(schedule, t) * x, t, t - length, exploration)
        variance = float(step.mean) ** 2 * true_variance(schedule, t) + step.std**2
        errors.append(abs(variance - true_variance(schedule, t - length)))
    assert errors[0] < 0.02
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.15, abs=1e-6)


@pytest.mark.parametrize("exploration", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(
    "schedule", [RectifiedFlow(), RectifiedFlow(3.0), ddpm()], ids=["flow", "shifted", "ddpm"]
)
def test_whole_samplings_keep_the_marginals(schedule, exploration):
    """At every time the variance is a_t^2 c^2 + s_t^2, whatever the noise of the steps, up to an error that shrinks with their length (that of
    the flow's first steps, where g grows without bound, only as steps^(-exploration^2))."""
    for until in (0.8, 0.4, 0.1, 0.0):
        variance, t = variance_after(schedule, 500, exploration, until)
        assert variance == pytest.approx(true_variance(schedule, t), abs=0.02)


def test_the_score_that_the_flow_sde_uses_is_that_of_gaussian_data():
    """s = -(x + (1 - t) v) / t must be -x / variance: the step's mean says what was used."""
    t, dt, exploration = 0.6, -0.01, 0.7
    x = torch.tensor([1.3], dtype=torch.float64)
    schedule = RectifiedFlow()
    v = best(schedule, t) * x
    g2 = exploration**2 * t / (1 - t)
    score = -x / ((1 - t) ** 2 * SPREAD**2 + t**2)
    step = schedule.step(x, v, t, t + dt, exploration)
    assert torch.allclose(step.mean, x + (v - g2 * score / 2) * dt)
    assert step.std == pytest.approx((g2 * -dt) ** 0.5)


def test_sampled_steps_are_gaussians_of_that_mean_and_deviation():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(20000, generator=draw, dtype=torch.float64)
    variance = 1.0
    schedule = RectifiedFlow()
    times = schedule.times(50)
    for t, t_next in pairwise(times):
        one = schedule.step(
            torch.ones(1, dtype=torch.float64), torch.tensor([best(schedule, t)]), t, t_next, 0.7
        )
        variance = float(one.mean) ** 2 * variance + one.std**2
        step = schedule.step(x, best(schedule, t) * x, t, t_next, 0.7)
        x = step.mean + step.std * torch.randn(x.shape, generator=draw, dtype=torch.float64)
    assert float(x.var()) == pytest.approx(variance, rel=0.05)
    assert float(((x / x.std()) ** 4).mean()) == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize("exploration", [0.0, 0.5, 1.0])
def test_ddim_with_noise_is_exact_for_data_of_one_point(exploration):
    """Where E[z | x] is known for sure, x_t ~ N(a z, s^2) holds at every time however long the steps are (Song et al. 2021, lemma 1)."""
    schedule, point = ddpm(), 0.7
    mean, variance = 0.0, 1.0
    times = schedule.times(7)
    for t, t_next in pairwise(times):
        a, s = (float(level) for level in schedule.levels(torch.tensor([t], dtype=torch.float64)))

        def predicted(x: torch.Tensor, a: float = a, s: float = s) -> torch.Tensor:
            return a * (x - a * point) / s - s * point

        ends = [
            schedule.step(x, predicted(x), t, t_next, exploration)
            for x in (torch.tensor([0.0], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64))
        ]
        slope = float(ends[1].mean - ends[0].mean)
        mean, variance = float(ends[0].mean) + slope * mean, slope**2 * variance + ends[0].std ** 2
        a, s = (float(level) for level in schedule.levels(torch.tensor([t_next], dtype=torch.float64)))
        assert mean == pytest.approx(a * point, abs=1e-9)
        assert variance == pytest.approx(s**2, abs=1e-9)


@pytest.mark.parametrize(
    "schedule", [RectifiedFlow(), ddpm(), ddpm(0.01)], ids=["flow", "ddpm", "ddpm with signal left"]
)
def test_mix_target_and_clean_belong_together(schedule):
    draw = torch.Generator().manual_seed(1)
    clean = torch.randn(4, 3, 2, 5, 6, generator=draw)
    mix = noised(schedule, clean, (0.2, 1.0), draw)
    assert torch.allclose(schedule.clean(mix.noisy, mix.target, mix.t), clean, atol=1e-5)
    assert bool((mix.t >= 0.2).all())
    assert bool((mix.t <= 1.0).all())
    nothing = schedule.mix(clean, torch.randn(clean.shape, generator=draw), torch.zeros(4))
    assert torch.equal(nothing, clean)


def test_times_are_those_of_the_samplers_of_diffusers():
    from diffusers import CogVideoXDDIMScheduler, FlowMatchEulerDiscreteScheduler

    flow = FlowMatchEulerDiscreteScheduler(shift=5.0)
    ours = RectifiedFlow(5.0)
    flow.set_timesteps(sigmas=[1 - k / 8 for k in range(8)])
    assert torch.allclose(torch.tensor(ours.times(8)), flow.sigmas, atol=1e-6)

    cog = CogVideoXDDIMScheduler(
        prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True
    )
    cog.set_timesteps(10)
    mine = Ddpm(cog.alphas_cumprod)
    times = torch.tensor(mine.times(10))
    assert mine.model_time(times[:-1]).tolist() == cog.timesteps.tolist()
    abar = cog.alphas_cumprod[cog.timesteps].float()
    assert torch.allclose(mine.levels(times[:-1])[0], abar.sqrt(), atol=1e-6)

    # one step of theirs is one of ours
    x, output = torch.randn(2, 3), torch.randn(2, 3)
    theirs = cog.step(output, cog.timesteps[4], x, return_dict=False)[0]
    assert torch.allclose(mine.step(x, output, *mine.times(10)[4:6], 0.0).mean, theirs, atol=1e-5)
