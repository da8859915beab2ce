"""Layers: what moves, drawn alone and laid over a background that is drawn once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perpetua.render import render_frame
from perpetua.render.film import NOTHING_DEPTH, Layer, compose, render_layer
from perpetua.scene import Camera, Gaussians


@pytest.fixture
def camera() -> Camera:
    """At the origin, looking along +z."""
    K = np.array([[40.0, 0, 24], [0, 40.0, 16], [0, 0, 1]])
    return Camera(K, np.eye(4), 48, 32)


def wall(z: float, color: tuple[float, float, float], half: float, step: float = 0.1) -> Gaussians:
    """A square of splats across the view at depth z, m, so dense that it is opaque."""
    line = torch.arange(-half, half + step / 2, step)
    x, y = torch.meshgrid(line, line, indexing="ij")
    count = x.numel()
    means = torch.stack([x.flatten(), y.flatten(), torch.full((count,), z)], -1)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1)
    scales = torch.tensor([[step, step, 1e-3]]).repeat(count, 1)
    return Gaussians.from_colors(
        means, quats, scales, torch.full((count,), 0.95), torch.tensor([color]).repeat(count, 1)
    )


def test_layers_are_the_picture_of_all_splats(camera: Camera) -> None:
    back, front = wall(5.0, (0.2, 0.4, 0.9), 4.0), wall(3.0, (0.9, 0.3, 0.1), 0.4)
    laid = compose(render_layer(front, camera), render_layer(back, camera))
    whole = render_frame(Gaussians.cat([back, front]), camera)
    assert (laid.rgb - whole.rgb).abs().max() < 0.01
    assert laid.rgb[16, 24, 0] > 0.85
    assert laid.rgb[2, 2, 2] > 0.85
    assert laid.depth[16, 24].item() == pytest.approx(3.0, abs=0.01)
    assert laid.depth[2, 2].item() == pytest.approx(5.0, abs=0.01)


def test_a_nearer_background_stays_in_front(camera: Camera) -> None:
    laid = compose(
        render_layer(wall(6.0, (1, 0, 0), 1.0), camera), render_layer(wall(5.0, (0, 0, 1), 4.0), camera)
    )
    assert (laid.alpha < 0.05).all()
    assert laid.rgb[16, 24, 2] > 0.9


def test_depth_of_nothing_is_far(camera: Camera) -> None:
    layer = render_layer(wall(3.0, (1, 0, 0), 0.2), camera)
    assert layer.depth[0, 0] == NOTHING_DEPTH
    assert layer.alpha[0, 0] == 0


def test_gradient_reaches_the_moving_splats(camera: Camera) -> None:
    front = wall(3.0, (0.9, 0.3, 0.1), 0.3)
    means = front.means.clone().requires_grad_(True)
    moving = Gaussians(means, front.quats, front.log_scales, front.opacity_logits, front.sh)
    backdrop = render_layer(wall(5.0, (0.2, 0.4, 0.9), 4.0), camera)
    picture: Layer = compose(render_layer(moving, camera), backdrop)
    picture.rgb[:, 24:, 0].sum().backward()  # more red in the right half: move to the right
    assert means.grad is not None
    assert means.grad[:, 0].sum() > 0
