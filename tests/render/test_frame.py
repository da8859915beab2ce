"""`render_frame`: a camera of the engine, everything a frame needs in one pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perpetua.errors import RenderError
from perpetua.render import render_frame
from perpetua.scene import Camera, Gaussians


@pytest.fixture
def camera() -> Camera:
    """A Blender camera 4 m in front of the origin, looking along +y."""
    matrix = np.array([[1, 0, 0, 0], [0, 0, -1, -4], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
    return Camera.from_blender(matrix, 50.0, 64, 48)


@pytest.fixture
def gaussians() -> Gaussians:
    """A red Gaussian at the right and a green one at the left, a metre further from the camera."""
    return Gaussians.from_colors(
        torch.tensor([[0.8, 0.0, 0.0], [-0.8, 1.0, 0.0]]),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(2, 1),
        torch.full((2, 3), 0.15),
        torch.full((2,), 0.99),
        torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]),
    )


def test_colour_alpha_and_depth_are_where_the_gaussians_are(camera: Camera, gaussians: Gaussians) -> None:
    frame = render_frame(gaussians, camera)
    assert frame.rgb.shape == (48, 64, 3)
    assert frame.alpha.shape == frame.depth.shape == (48, 64)
    assert frame.extra is None
    pixels, depths = camera.project(gaussians.means.numpy().astype(np.float64))
    for index, (u, v) in enumerate(pixels.astype(int)):
        assert frame.alpha[v, u] > 0.9
        assert frame.rgb[v, u].argmax() == index
        assert frame.depth[v, u].item() == pytest.approx(depths[index], rel=1e-5)
    assert frame.alpha[0, 0] == 0
    assert frame.depth[0, 0] == 0


def test_background_is_behind_the_colours_only(camera: Camera, gaussians: Gaussians) -> None:
    channels = torch.tensor([[1.0, 5.0], [2.0, 6.0]])
    frame = render_frame(gaussians, camera, background=(0.1, 0.2, 0.3), channels=channels)
    torch.testing.assert_close(frame.rgb[0, 0], torch.tensor([0.1, 0.2, 0.3]))
    assert frame.extra is not None
    assert frame.extra.shape == (48, 64, 2)
    assert (frame.extra[0, 0] == 0).all()
    pixels, _ = camera.project(gaussians.means.numpy().astype(np.float64))
    for index, (u, v) in enumerate(pixels.astype(int)):
        torch.testing.assert_close(
            frame.extra[v, u] / frame.alpha[v, u], channels[index], rtol=1e-4, atol=1e-4
        )


def test_extra_channels_do_not_change_the_rest(camera: Camera, gaussians: Gaussians) -> None:
    plain = render_frame(gaussians, camera)
    more = render_frame(gaussians, camera, channels=torch.rand(2, 6))
    torch.testing.assert_close(more.rgb, plain.rgb)
    torch.testing.assert_close(more.depth, plain.depth)
    torch.testing.assert_close(more.alpha, plain.alpha)


def test_gradient_moves_a_gaussian_towards_the_picture(camera: Camera, gaussians: Gaussians) -> None:
    goal = render_frame(gaussians, camera).rgb
    offset = torch.tensor([0.1, 0.0, -0.05], requires_grad=True)
    first = last = float("inf")
    optimizer = torch.optim.Adam([offset], lr=0.01)
    for step in range(30):
        moved = Gaussians(
            gaussians.means + offset,
            *(gaussians.quats, gaussians.log_scales),
            *(gaussians.opacity_logits, gaussians.sh),
        )
        loss = (render_frame(moved, camera).rgb - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (loss.item() if step == 0 else first), loss.item()
    assert last < 0.01 * first
    assert offset.detach().abs().max() < 0.02


def test_background_must_fit_the_colours(camera: Camera, gaussians: Gaussians) -> None:
    with pytest.raises(RenderError, match="background must be 3 numbers, not 2"):
        render_frame(gaussians, camera, background=(0.0, 1.0))
