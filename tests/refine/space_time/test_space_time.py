"""The signal, the bridge, the network and the refiner; what training makes of them is tested with the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perpetua.errors import RefinerError
from perpetua.progress import Progress
from perpetua.refine.space_time import SpaceTimeRefiner, weights
from perpetua.refine.space_time.bridge import MOTION_SIGMA, PICTURE_SIGMA, between, refine
from perpetua.refine.space_time.network import MOST_CHANGE, PATCH, Shape, SpaceTimeUNet
from perpetua.refine.space_time.refiner import WINDOW, refine_video
from perpetua.refine.space_time.signal import (
    CARRIED,
    IN_SIGHT,
    PICTURE,
    SIGNAL,
    condition_of,
    depth_of,
    flow_of,
    nearness_unit,
    picture_of,
    signal_of,
)

SMALL = Shape((8, 16), 1)


def video(frames: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """rgb, depth and flow of a batch of one."""
    g = torch.Generator().manual_seed(seed)
    depth = torch.rand(1, frames, height, width, generator=g) + 0.4
    depth[:, :, 0] = 0
    return (
        torch.rand(1, frames, height, width, 3, generator=g),
        depth,
        3 * torch.randn(1, frames - 1, height, width, 2, generator=g),
    )


def test_a_signal_holds_the_video_and_knows_no_unit_of_length() -> None:
    rgb, depth, flow = video(3, 6, 8)
    unit = nearness_unit(depth)
    signal = signal_of(rgb, depth, flow, unit)
    assert signal.shape == (1, 6, 3, 6, 8)
    assert torch.allclose(picture_of(signal), rgb, atol=1e-6)
    assert torch.allclose(depth_of(signal, unit), depth, rtol=1e-4)
    assert torch.allclose(flow_of(signal), flow, atol=1e-5)
    far = 7.0 * depth
    assert torch.allclose(signal_of(rgb, far, flow, nearness_unit(far)), signal, atol=1e-5)
    assert nearness_unit(torch.zeros(1, 2, 4, 4)).item() == 1.0


def test_the_bridge_has_the_marginals_it_says() -> None:
    g = torch.Generator().manual_seed(1)
    fine, coarse = torch.full((1, 6, 4, 64, 64), 0.3), torch.full((1, 6, 4, 64, 64), -0.2)
    noise = torch.randn(fine.shape, generator=g)
    for s in (0.0, 0.25, 1.0):
        x = between(fine, coarse, noise, torch.tensor([s]))
        for channels, sigma in ((slice(0, 3), PICTURE_SIGMA), (slice(3, 6), MOTION_SIGMA)):
            part = x[:, channels]
            assert part.mean().item() == pytest.approx((1 - s) * 0.3 - s * 0.2, abs=0.01)
            assert part.std().item() == pytest.approx(s * sigma, abs=0.01)


class Knows(nn.Module):
    """A network that knows the fine signal."""

    def __init__(self, fine: Tensor, coarse: Tensor) -> None:
        super().__init__()
        self.difference = fine - coarse
        self.levels: list[float] = []

    def forward(self, x: Tensor, condition: Tensor, s: Tensor) -> Tensor:
        self.levels.append(s.item())
        return self.difference


def test_the_flow_ends_at_what_the_network_predicts_and_follows_the_bridge() -> None:
    fine, coarse = torch.randn(1, 6, 2, 8, 8), torch.randn(1, 6, 2, 8, 8)
    condition = torch.zeros(1, 11, 2, 8, 8)
    for steps in (1, 4):
        network = Knows(fine, coarse)
        found = refine(network, coarse, condition, steps, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
        assert torch.allclose(found, fine, atol=1e-5)
        assert network.levels == pytest.approx(np.linspace(1, 0, steps + 1)[:-1].tolist())


def test_an_untrained_network_changes_nothing_at_any_size() -> None:
    network = SpaceTimeUNet(SMALL)
    for frames, height, width in ((1, 8, 8), (5, 13, 22)):
        rgb, depth, flow = video(frames, height, width)
        coarse = signal_of(rgb, depth, flow, nearness_unit(depth))
        condition = condition_of(coarse, torch.ones(1, frames, height, width), rgb[:, 0])
        assert condition.shape == (1, 11, frames, height, width)
        assert torch.equal(refine(network, coarse, condition, 1, torch.Generator().manual_seed(3)), coarse)
    assert sum(p.numel() for p in SpaceTimeUNet().parameters()) * 2 < 16e6


def test_the_gate_leads_to_the_carried_frame_and_what_is_added_is_bounded() -> None:
    network = SpaceTimeUNet(SMALL)
    assert network.leave.bias is not None
    rgb, depth, flow = video(3, 8, 8)
    coarse = signal_of(rgb, depth, torch.zeros_like(flow), nearness_unit(depth))
    condition = condition_of(coarse, torch.ones(1, 3, 8, 8), torch.rand(1, 8, 8, 3))
    in_sight = condition[:, IN_SIGHT] > 0
    assert in_sight[:, :, 0].all()
    with torch.no_grad():
        bias = network.leave.bias.view(SIGNAL + 1, PATCH**2)
        bias[SIGNAL] = 20.0
        found = coarse + network(coarse, condition, torch.ones(1))
        assert torch.allclose(found[:, PICTURE], condition[:, CARRIED], atol=1e-5)
        assert torch.equal(found[:, PICTURE.stop :], coarse[:, PICTURE.stop :])
        bias[SIGNAL], bias[:3] = 0.0, 100.0
        changed = network(coarse, condition, torch.ones(1))[:, PICTURE]
    assert torch.allclose(changed, torch.full_like(changed, MOST_CHANGE))


def test_every_part_of_the_network_sees_its_neighbours_in_space_and_time() -> None:
    torch.manual_seed(0)
    network = SpaceTimeUNet(SMALL)
    nn.init.normal_(network.leave.weight, 0, 0.1)
    x = torch.randn(1, 6, 5, 16, 16, requires_grad=True)
    out = network(x, torch.zeros(1, 11, 5, 16, 16), torch.ones(1))
    out[0, 0, 2, 8, 8].backward()
    assert x.grad is not None
    seen = x.grad.abs().sum((0, 1))
    assert (seen[:, 8, 8] > 0).all()
    assert (seen[2, 8, ::4] > 0).all()


def test_weights_come_back_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    network = SpaceTimeUNet(SMALL)
    nn.init.normal_(network.leave.weight, 0, 0.1)
    path = tmp_path / "weights.safetensors"
    weights.save(path, network, '{"clips": 3}', half=True)
    back, about = weights.load(path)
    assert about == '{"clips": 3}'
    assert back.shape == SMALL
    assert torch.allclose(back.leave.weight, network.leave.weight, atol=1e-3)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RefinerError, match=r"weights\.safetensors"):
        weights.load(path)
    for options, says in (
        ({"weights": str(tmp_path / "none")}, "no file"),
        ({"weights": str(path), "steps": 0}, "steps"),
        ({"weights": str(path), "strength": 1.0}, "no option 'strength'"),
    ):
        with pytest.raises(RefinerError, match=says):
            SpaceTimeRefiner(**options)


def test_a_long_video_is_refined_in_windows_without_a_seam() -> None:
    network = SpaceTimeUNet(SMALL)
    frames = 2 * WINDOW + 3
    rgb, depth, flow = (t[0].numpy() for t in video(frames, 8, 10))
    alpha = np.ones((frames, 8, 10), np.float32)
    found = refine_video(network, rgb, depth, flow, alpha, rgb[0], 1, Progress())
    assert np.abs(found.rgb - rgb).max() < 1e-5
    assert np.abs(found.flow - flow).max() < 1e-4
    assert np.abs(found.depth - depth)[depth > 0].max() < 1e-3
