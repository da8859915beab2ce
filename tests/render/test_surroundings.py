"""What torch is set to, and what is done with the results, changes no picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from perpetua.errors import RenderError
from perpetua.render import Motion, rasterization, render_layers
from perpetua.render.motion import axes_of
from perpetua.render.numba_backend.meta import TILE_LISTS
from perpetua.scene import Camera, Gaussians


def draw(mode: str = "RGB+D", channels: int = 3) -> tuple[Tensor, dict[str, Tensor], dict]:
    """A picture of 600 Gaussians, what it is differentiable in, and meta."""
    random = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random, dtype=torch.float32)

    leaves = {
        "means": torch.cat([4 * numbers(600, 2) - 2, 3 + numbers(600, 1)], 1),
        "quats": numbers(600, 4) - 0.5,
        "scales": 0.05 * numbers(600, 3),
        "opacities": numbers(600),
        "colors": numbers(600, channels),
        "backgrounds": numbers(1, channels),
    }
    for leaf in leaves.values():
        leaf.requires_grad_(True)
    viewmats = torch.eye(4, dtype=torch.float32)[None]
    Ks = torch.tensor([[[500.0, 0, 320], [0, 500.0, 180], [0, 0, 1]]], dtype=torch.float32)
    image, _, meta = rasterization(
        **leaves, viewmats=viewmats, Ks=Ks, width=640, height=360, render_mode=mode
    )
    weights = numbers(*image.shape)
    (image * weights).sum().backward()
    return image.detach(), {name: leaf.grad for name, leaf in leaves.items()}, meta


@pytest.fixture
def default_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def equal(first: tuple, second: tuple) -> bool:
    gradients = all(torch.equal(first[1][name], second[1][name]) for name in first[1])
    return torch.equal(first[0], second[0]) and gradients


MODES = ("RGB", "RGB+D", "RGB+ED")


@pytest.fixture(scope="module")
def expected() -> dict[str, tuple]:
    """What is drawn as torch is by itself."""
    return {mode: draw(mode) for mode in MODES} | {"one channel": draw("RGB", 1)}


@pytest.mark.parametrize("mode", MODES)
def test_torchs_default_type_changes_no_bit(expected: dict, mode: str, default_double: None) -> None:
    drawn = draw(mode)
    assert drawn[0].dtype == torch.float32
    assert equal(drawn, expected[mode])


def test_torchs_threads_change_no_bit(expected: dict, one_torch_thread: None) -> None:
    assert equal(draw("RGB", 1), expected["one channel"])


def test_autocast_changes_no_bit() -> None:
    """Neither the flow, whose places in the image are beyond what bfloat16 tells apart, nor the gradient of conics."""

    def flow_and_gradient() -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(0)
        means = torch.rand(50, 3, generator=random) + torch.tensor([-0.5, -0.5, 2.0])
        quats, scales = torch.randn(50, 4, generator=random), torch.full((50, 3), 0.05)
        colors = torch.rand(50, 3, generator=random)
        splats = Gaussians.from_colors(means, quats, scales, torch.full((50,), 0.8), colors)
        camera = Camera(np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), np.eye(4), 64, 48)
        motion = Motion(axes_of(quats, scales), means + 0.03, axes_of(quats, scales))
        flow = render_layers(splats, camera, motion=motion).flow
        assert flow is not None
        means.requires_grad_(True)
        viewmats, Ks = torch.eye(4)[None], torch.tensor([[[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]])
        _, _, meta = rasterization(means, quats, scales, splats.opacities, colors, viewmats, Ks, 64, 48)
        meta["conics"].square().sum().backward()
        assert means.grad is not None
        return flow, means.grad

    expected = flow_and_gradient()
    with torch.autocast("cpu", torch.bfloat16):
        found = flow_and_gradient()
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_may_be_changed_in_place(mode: str) -> None:
    means = torch.tensor([[0.0, 0, 3]], requires_grad=True)
    image, _, _ = rasterization(
        means,
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.full((1, 3), 0.3),
        torch.tensor([0.5]),
        torch.full((1, 3), 0.5),
        torch.eye(4)[None],
        torch.tensor([[[30.0, 0, 8], [0, 30.0, 8], [0, 0, 1]]]),
        16,
        16,
        render_mode=mode,
    )
    weights = torch.rand(image.shape)
    (kept,) = torch.autograd.grad((image.clamp(0, 10) * weights).sum(), means, retain_graph=True)
    (image.clamp_(0, 10) * weights).sum().backward()
    torch.testing.assert_close(means.grad, kept, rtol=0, atol=0)


def test_tile_lists_are_there_by_name(expected: dict) -> None:
    meta = expected["RGB"][2]
    for name in TILE_LISTS:
        assert name in meta
        assert meta.get(name) is meta[name]
    assert "isect" not in meta
    assert meta.get("isect", 3) == 3


def test_no_batches_are_named() -> None:
    none = {
        name: torch.zeros(0, 2, n) for name, n in (("means", 3), ("quats", 4), ("scales", 3), ("colors", 3))
    }
    cameras = {"viewmats": torch.zeros(0, 1, 4, 4), "Ks": torch.zeros(0, 1, 3, 3)}
    with pytest.raises(RenderError, match="has no batches"):
        rasterization(**none, **cameras, opacities=torch.zeros(0, 2), width=8, height=8)
