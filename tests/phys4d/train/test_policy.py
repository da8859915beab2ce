"""The third stage's parts: log-probabilities, advantages, PPO's objective, and the reward on worlds one can write down."""

from __future__ import annotations

import math

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
from perpetua.phys4d.train.schedules import Step

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
