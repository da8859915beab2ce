"""The objectives against closed forms: fields whose losses one can write down."""

from __future__ import annotations

import math

import pytest
import torch

from perpetua.phys4d.train.clips import TrainingClip, cut
from perpetua.phys4d.train.config import DataPlan, Weights
from perpetua.phys4d.train.losses import (
    CHARBONNIER_EPS2,
    depth_loss,
    flow_matching,
    heads_losses,
    l1_l2,
    motion_loss,
    physics_losses,
    rgb_warp_loss,
    warp_loss,
)
from perpetua.phys4d.train.readings import Readings
from perpetua.phys4d.train.warp import backward_warp

B, T, H, W = 2, 3, 12, 20


def batch_of(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    still = torch.zeros(B, T - 1, H, W)
    known = torch.ones(B, T - 1, H, W, dtype=torch.bool)
    return {
        "rgb": torch.zeros(B, 3, T, H, W), "depth": torch.full((B, T, H, W), 2.0),
        "flow": torch.zeros(B, T - 1, 2, H, W), "flow_known": known,
        "rise": still, "rise_known": known, "occluded": still, "occluded_known": known,
    } | changes  # fmt: skip


def readings(
    depth: torch.Tensor | float = 2.0, flow: tuple[float, float] = (0.0, 0.0), rise: float = 0.0
) -> Readings:
    field = torch.tensor(flow).view(1, 1, 2, 1, 1).expand(B, T - 1, 2, H, W).clone()
    depths = torch.full((B, T, H, W), depth) if isinstance(depth, float) else depth
    still = torch.zeros(B, T - 1, H, W)
    return Readings(depths, field, still + rise, still)


def ramp(t: int, slope: float, speed: float) -> torch.Tensor:
    """[H, W] m: depth that rises to the right and moves to the right."""
    x = torch.arange(W, dtype=torch.float32)
    return (3 + slope * (x - speed * t)).expand(H, W)


def test_regression_is_the_mean_of_the_error_and_its_square_where_known():
    where = torch.tensor([True, True, False])
    assert float(l1_l2(torch.tensor([1.0, 2, 9]), torch.tensor([0.5, 4, 0]), where)) == pytest.approx(
        (0.75 + 6) / 2
    )
    nothing = l1_l2(torch.ones(3, requires_grad=True), torch.zeros(3), torch.zeros(3, dtype=torch.bool))
    assert float(nothing.detach()) == 0
    nothing.backward()


def test_depth_counts_in_metres_between_10_cm_and_10_m():
    true = torch.full((B, T, H, W), 2.0)
    true[..., :5] = 0
    true[..., 5:7] = 80
    assert float(depth_loss(readings(2.5), batch_of(depth=true))) == pytest.approx(0.5 + 0.25)


def test_motion_counts_in_hundredths_of_the_width():
    found = motion_loss(readings(flow=(0.4, 0.0), rise=0.1), batch_of())
    unit = W / 100
    flow = (0.4 / unit + (0.4 / unit) ** 2) / 2  # one of two components is off
    assert float(found) == pytest.approx(flow + 0.1 + 0.01 + math.log(2), rel=1e-5)


def test_what_is_not_known_teaches_nothing():
    unknown = torch.zeros(B, T - 1, H, W, dtype=torch.bool)
    batch = batch_of(
        depth=torch.zeros(B, T, H, W), flow_known=unknown, rise_known=unknown, occluded_known=unknown
    )
    assert float(heads_losses(readings(7.0, (5.0, 1.0), 3.0), batch)["loss"]) == 0


def test_backward_warp_looks_up_where_matter_went():
    image = torch.arange(H * W, dtype=torch.float32).view(1, 1, H, W)
    flow = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, H, W)
    warped = backward_warp(image, flow)
    assert torch.allclose(warped[0, 0, :-1, :-2], image[0, 0, 1:, 2:], atol=1e-3)
    assert float(warped[0, 0, -1].abs().max()) == 0
    half = backward_warp(image, torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, H, W))
    assert torch.allclose(half[0, 0, :, :-1], image[0, 0, :, :-1] + 0.5, atol=1e-3)


def test_depth_that_moves_with_the_flow_has_no_warp_loss_and_another_flow_has_one_in_closed_form():
    slope, speed = 0.05, 2.0
    depth = torch.stack([ramp(t, slope, speed) for t in range(T)]).expand(B, T, H, W)
    assert float(warp_loss(readings(depth, (speed, 0.0)), batch_of())) == pytest.approx(0, abs=1e-5)
    assert float(warp_loss(readings(depth, (speed + 1, 0.0)), batch_of())) == pytest.approx(slope, rel=1e-4)


def test_matter_that_goes_away_must_grow_in_depth_as_is_known():
    depth = torch.stack([torch.full((H, W), 2.0 + 0.1 * t) for t in range(T)]).expand(B, T, H, W)
    rise = torch.full((B, T - 1, H, W), 0.1)
    assert float(warp_loss(readings(depth), batch_of(rise=rise))) == pytest.approx(0, abs=1e-6)
    unknown = torch.zeros(B, T - 1, H, W, dtype=torch.bool)
    assert float(warp_loss(readings(depth), batch_of(rise=rise, rise_known=unknown))) == pytest.approx(
        0.1, rel=1e-4
    )


def test_what_is_hidden_next_is_not_compared():
    depth = torch.full((B, T, H, W), 2.0)
    depth[:, 1:, :, :5] = 1.0  # something comes in front
    hidden = torch.zeros(B, T - 1, H, W)
    hidden[:, 0, :, :5] = 1
    assert float(warp_loss(readings(depth), batch_of())) > 0.05
    assert float(warp_loss(readings(depth), batch_of(occluded=hidden))) == 0


def test_rgb_warp_is_charbonniers_of_the_pictures():
    video = torch.zeros(B, 3, T, H, W)
    video[:, :, 1:] = 0.2  # a tenth brighter, in [0, 1], from the first frame to the second
    expected = ((0.01 + CHARBONNIER_EPS2) ** 0.5 + CHARBONNIER_EPS2**0.5) / 2
    assert float(rgb_warp_loss(readings(), batch_of(rgb=video))) == pytest.approx(expected, rel=1e-4)


def test_only_what_the_model_makes_counts_in_flow_matching():
    error = torch.full((B, 4, 3, 2, 2), -1.0)
    error[:, :, 0] = 100
    assert float(flow_matching(error, torch.tensor([False, True, True]))) == 1


def test_the_second_stage_weighs_its_terms():
    weights = Weights(flow_matching=2.0, depth=0.5, motion=0.0, warp=3.0, rgb_warp=0.25)
    error = torch.ones(B, 4, 3, 2, 2)
    parts = physics_losses(
        error, torch.ones(3, dtype=torch.bool), readings(2.5, (1.0, 0.0)), batch_of(), weights
    )
    expected = sum(getattr(weights, name) * float(value) for name, value in parts.items() if name != "loss")
    assert float(parts["loss"]) == pytest.approx(expected)
    assert set(parts) == {"loss", "flow_matching", "depth", "motion", "warp", "rgb_warp"}


def test_the_losses_of_a_true_world_are_nothing(clips):
    """Readings that say what is true of a simulated clip have no depth, motion or warp loss but that of pixels half over an edge."""
    from perpetua.phys4d.train.clips import ClipFolders

    clip = ClipFolders(clips).read(2)
    assert isinstance(clip, TrainingClip)
    import numpy as np

    plan = DataPlan(folder="", frames=9, width=64, height=32)
    batch = {k: v[None] for k, v in cut(clip, plan, np.random.default_rng(0)).items()}
    sure = torch.where(batch["occluded"] > 0.5, 40.0, -40.0)
    seen = Readings(batch["depth"], batch["flow"], batch["rise"], sure)
    assert float(depth_loss(seen, batch)) == 0
    assert float(motion_loss(seen, batch)) == pytest.approx(0, abs=1e-6)
    assert float(warp_loss(seen, batch)) == pytest.approx(0, abs=1e-6)
    away = seen._replace(flow=seen.flow + 1)
    assert float(warp_loss(away, batch)) > 0.01
