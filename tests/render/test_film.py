"""Layers: what moves, drawn alone and laid over a background that is drawn once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from perpetua.render import NOTHING_DEPTH, Layers, Motion, render_layers
from perpetua.render.film import compose
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
    laid = compose(render_layers(front, camera), render_layers(back, camera))
    whole = render_layers(Gaussians.cat([back, front]), camera)
    assert (laid.rgb - whole.rgb).abs().max() < 0.01
    assert laid.rgb[16, 24, 0] > 0.85
    assert laid.rgb[2, 2, 2] > 0.85
    assert laid.depth[16, 24].item() == pytest.approx(3.0, abs=0.01)
    assert laid.depth[2, 2].item() == pytest.approx(5.0, abs=0.01)


def test_a_nearer_background_stays_in_front(camera: Camera) -> None:
    laid = compose(
        render_layers(wall(6.0, (1, 0, 0), 1.0), camera), render_layers(wall(5.0, (0, 0, 1), 4.0), camera)
    )
    assert (laid.alpha < 0.05).all()
    assert laid.rgb[16, 24, 2] > 0.9


def test_depth_of_nothing_is_far(camera: Camera) -> None:
    layer = render_layers(wall(3.0, (1, 0, 0), 0.2), camera)
    assert layer.depth[0, 0] == NOTHING_DEPTH
    assert layer.alpha[0, 0] == 0


def test_gradient_reaches_the_moving_splats(camera: Camera) -> None:
    front = wall(3.0, (0.9, 0.3, 0.1), 0.3)
    means = front.means.clone().requires_grad_(True)
    moving = Gaussians(means, front.quats, front.log_scales, front.opacity_logits, front.sh)
    backdrop = render_layers(wall(5.0, (0.2, 0.4, 0.9), 4.0), camera)
    picture: Layers = compose(render_layers(moving, camera), backdrop)
    picture.rgb[:, 24:, 0].sum().backward()  # more red in the right half: move to the right
    assert means.grad is not None
    assert means.grad[:, 0].sum() > 0


def test_other_images_are_laid_over_each_other_too(camera: Camera) -> None:
    """Normals, flow and masks of an object that moves before a still background are those of one picture of all splats."""
    back, front = wall(5.0, (0.2, 0.4, 0.9), 4.0), wall(3.0, (0.9, 0.3, 0.1), 0.4)
    moved = replace(front, means=front.means + torch.tensor([0.2, 0.0, 0.0]))
    parts = [
        render_layers(
            splats,
            camera,
            normals=True,
            motion=motion,
            objects=torch.full((len(splats),), number),
            object_count=1,
        )
        for splats, motion, number in (
            (front, Motion.between(front, moved), 0),
            (back, Motion.still(back), -1),
        )
    ]
    laid = compose(*parts)
    whole = render_layers(
        Gaussians.cat([back, front]),
        camera,
        normals=True,
        motion=Motion.cat([Motion.still(back), Motion.between(front, moved)]),
        objects=torch.cat([torch.full((len(back),), -1), torch.zeros(len(front), dtype=torch.int64)]),
    )
    for name in ("normals", "flow", "masks"):
        assert (getattr(laid, name) - getattr(whole, name)).abs().max() < 0.06, name
    assert laid.flow is not None
    assert laid.flow[16, 24, 0].item() == pytest.approx(0.2 * 40 / 3, abs=0.01)
    assert laid.extra is None


def test_a_splat_on_a_table_seen_at_a_grazing_angle_is_seen_whole() -> None:
    camera = Camera(np.array([[160.0, 0, 96], [0, 160.0, 64], [0, 0, 1]]), np.eye(4), 192, 128)
    away = torch.arange(0.7, 1.6, 0.01)
    x, z = (a.flatten() for a in torch.meshgrid(torch.arange(-0.3, 0.3, 0.01), away, indexing="ij"))
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(len(x), 1)
    table = Gaussians.from_colors(
        torch.stack([x, torch.full_like(x, 0.3), z], -1),
        quats,
        torch.tensor([[0.01, 1e-3, 0.01]]).repeat(len(x), 1),
        torch.full((len(x),), 0.95),
        torch.tensor([[0.0, 0.0, 1.0]]).repeat(len(x), 1),
    )
    grain = Gaussians.from_colors(
        torch.tensor([[0.0, 0.3, 1.0]]), quats[:1], torch.full((1, 3), 0.008), torch.tensor([0.95]), torch.tensor([[1.0, 0, 0]])
    )  # fmt: skip
    alone, laid = (
        render_layers(grain, camera),
        compose(render_layers(grain, camera), render_layers(table, camera)),
    )
    assert alone.alpha.max() > 0.8
    torch.testing.assert_close(laid.alpha, alone.alpha, rtol=0, atol=0.05)
