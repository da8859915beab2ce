"""The third stage's parts: log-probabilities, advantages, PPO's objective, and the reward on worlds one can write down."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from perpetua.errors import TrainingError
from perpetua.phys4d.train.clips import ClipFolders, cut
from perpetua.phys4d.train.config import DataPlan
from perpetua.phys4d.train.ppo import advantages, clipped_objective, divergence
from perpetua.phys4d.train.readings import Readings
from perpetua.phys4d.train.reward import TrueWorld
from perpetua.phys4d.train.sampling import log_probability
from perpetua.phys4d.train.schedules import RectifiedFlow, Step

SHAPE = (2, 3, 4, 5, 6)
MADE = torch.tensor([False, True, True, True])


def test_log_probability_is_that_of_a_gaussian_over_what_is_generated():
    draw = torch.Generator().manual_seed(0)
    mean, x = (torch.randn(SHAPE, generator=draw) for _ in range(2))
    normal = torch.distributions.Normal(mean, 0.3)
    expected = normal.log_prob(x)[:, :, 1:].flatten(1).mean(1)
    assert torch.allclose(log_probability(x, Step(mean, 0.3), MADE), expected, atol=1e-5)


def test_divergence_is_that_of_two_gaussians():
    draw = torch.Generator().manual_seed(1)
    one, two = (torch.randn(SHAPE, generator=draw) for _ in range(2))
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(one, 0.3), torch.distributions.Normal(two, 0.3)
    )
    expected = kl[:, :, 1:].mean()
    assert torch.allclose(divergence(Step(one, 0.3), Step(two, 0.3), MADE), expected, rtol=1e-4)


def test_advantages_are_relative_to_the_group():
    found = advantages(np.array([-0.3, -0.1, -0.2]))
    spread = np.std([-0.3, -0.1, -0.2]) + 1e-3
    assert torch.allclose(found, torch.tensor([-0.1, 0.1, 0.0]) / spread, atol=1e-5)
    assert torch.equal(advantages(np.full(4, -0.7)), torch.zeros(4))
    assert float(advantages(np.array([0.0] * 50 + [-9.0])).min()) == -3.0


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope"),
    [(1.0, 2.0, True), (1.3, 2.0, False), (0.7, 2.0, True), (1.3, -2.0, True), (0.7, -2.0, False)],
)
def test_ppo_stops_pushing_once_a_step_is_likely_enough(ratio, advantage, slope):
    log_prob = torch.tensor([math.log(ratio)], requires_grad=True)
    loss, clipped = clipped_objective(log_prob, torch.zeros(1), torch.tensor([advantage]), 0.2)
    loss.backward()
    assert log_prob.grad is not None
    expected = -min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert (float(log_prob.grad) != 0) == slope
    assert float(clipped) == (ratio != 1.0)


def _batch(clips, number: int) -> dict[str, torch.Tensor]:
    plan = DataPlan(folder="", frames=9, width=64, height=32)
    item = cut(ClipFolders(clips).read(number), plan, np.random.default_rng(0))
    return {key: value[None] for key, value in item.items()}


def _seen(batch: dict[str, torch.Tensor], nearer: float = 0.0) -> Readings:
    return Readings(batch["depth"] - nearer, batch["flow"], batch["rise"], batch["occluded"])


def test_the_reward_is_minus_the_distance_to_the_true_world(clips):
    batch = _batch(clips, 2)
    world = TrueWorld(batch, "right")
    rewards, moving = world.rewards(_seen(batch), -5.0)
    assert rewards.tolist() == [0.0]
    assert moving[0] == int((batch["flow"].norm(dim=2) > 0.3).sum())
    # the disc 1 mm nearer: both ways every point is about a millimetre, along its own ray, from the right one
    near, _ = world.rewards(_seen(batch, 1e-3), -5.0)
    assert near[0] == pytest.approx(-2e-3, rel=0.1)
    far, _ = world.rewards(_seen(batch, 0.2), -5.0)
    assert far[0] < 20 * near[0]
    assert world.rewards(_seen(batch, 1.0), -0.01)[0].tolist() == [-0.01]


def test_a_still_video_of_a_moving_world_gets_the_worst_reward_and_is_counted(clips):
    batch = _batch(clips, 2)
    still = _seen(batch)._replace(flow=torch.zeros_like(batch["flow"]))
    rewards, moving = TrueWorld(batch, "right").rewards(still, -1.5)
    assert (rewards.tolist(), moving.tolist()) == ([-1.5], [0])


def test_no_reward_without_a_truth(clips):
    batch = _batch(clips, 2) | {"posed": torch.tensor([False])}
    with pytest.raises(TrainingError, match="Clip 'right' lacks depth, flow or cameras"):
        TrueWorld(batch, "right")
    still = _batch(clips, 2)
    still["flow"] = torch.zeros_like(still["flow"])
    world = TrueWorld(still, "still")
    assert not world.moves
    assert world.rewards(_seen(_batch(clips, 2)), -1.5)[0].tolist() == [0.0]


class _Gaussian:
    """The flow of data N(theta, 0.3^2) in closed form: what a perfect model of it would predict."""

    def __init__(self, theta: torch.Tensor) -> None:
        self.theta = theta

    def velocity(self, x: torch.Tensor, t: float) -> torch.Tensor:
        spread2 = 0.3**2
        total = (1 - t) ** 2 * spread2 + t**2
        return (t - (1 - t) * spread2) / total * (x - (1 - t) * self.theta) - self.theta


def _trained_mean(kl: float) -> float:
    """Where stage 3's own steps move the mean of generated numbers, from 0, when those near 1 are rewarded."""
    made, schedule, draw = torch.tensor([True]), RectifiedFlow(), torch.Generator().manual_seed(0)
    policy, reference = _Gaussian(torch.zeros(1, requires_grad=True)), _Gaussian(torch.zeros(1))
    optimizer = torch.optim.Adam([policy.theta], 0.04)
    for _ in range(50):
        x = torch.randn((48, 1, 1, 1, 1), generator=draw)
        states, old = [x], []
        with torch.no_grad():
            for t, t_next in pairwise(schedule.times(5)):
                step = schedule.step(x, policy.velocity(x, t), t, t_next, 0.7)
                x = step.mean + step.std * torch.randn(x.shape, generator=draw)
                if step.std:
                    old.append(log_probability(x, step, made))
                states.append(x)
        better = advantages(-(x - 1).square().flatten().double().numpy())
        for k, (t, t_next) in enumerate(list(pairwise(schedule.times(5)))[:-1]):
            step, kept = (
                schedule.step(states[k], m.velocity(states[k], t), t, t_next, 0.7)
                for m in (policy, reference)
            )
            loss, _ = clipped_objective(log_probability(states[k + 1], step, made), old[k], better, 0.2)
            (loss + kl * divergence(step, kept, made)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(policy.theta.detach())


def test_the_policy_moves_to_what_is_rewarded_and_is_held_by_the_divergence():
    free, held = _trained_mean(0.0), _trained_mean(50.0)
    assert 0.7 < free < 1.3
    assert 0 < held < 0.5 * free
