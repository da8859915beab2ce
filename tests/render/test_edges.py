"""Views and Gaussians at the edge of what can be drawn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from perpetua.render import rasterization

WIDTH, HEIGHT = 37, 21  # not a multiple of the tile size


def draw(
    means: list[list[float]],
    size: float = 0.05,
    opacity: float = 0.8,
    width: int = WIDTH,
    height: int = HEIGHT,
    **options: Any,
) -> tuple[Tensor, Tensor, dict[str, Any], dict[str, Any]]:
    """Draw round white Gaussians in front of a camera at the origin that looks along z; sends a gradient back."""
    count = len(means)
    parameters: dict[str, Any] = {
        "means": torch.tensor(means).reshape(count, 3),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        "scales": torch.full((count, 3), size),
        "opacities": torch.full((count,), opacity),
        "colors": torch.ones(count, 3),
    }
    for tensor in parameters.values():
        tensor.requires_grad_(True)
    K = torch.tensor([[[30.0, 0, width / 2], [0, 30.0, height / 2], [0, 0, 1]]])
    camera: dict[str, Any] = {"viewmats": torch.eye(4)[None], "Ks": K, "width": width, "height": height}
    image, alpha, meta = rasterization(**parameters, **camera, packed=False, **options)
    (image.sum() + alpha.sum()).backward()
    assert torch.isfinite(image).all()
    for name, tensor in parameters.items():
        if name == "colors" and options.get("render_mode") in ("D", "ED"):
            continue
        assert tensor.grad is not None, name
        assert torch.isfinite(tensor.grad).all(), name
    return image.detach(), alpha.detach(), meta, parameters


@pytest.mark.parametrize("render_mode", ["RGB", "ED", "RGB+ED"])
def test_no_gaussians_show_the_background(render_mode: Any) -> None:
    image, alpha, meta, _ = draw([], render_mode=render_mode, backgrounds=torch.tensor([[0.2, 0.4, 0.6]]))
    assert (alpha == 0).all()
    if "RGB" in render_mode:
        assert torch.equal(image[..., :3], torch.tensor([0.2, 0.4, 0.6]).expand(1, HEIGHT, WIDTH, 3))
    if "ED" in render_mode:
        assert (image[..., -1] == 0).all()
    assert meta["means2d"].shape == (1, 0, 2)


def test_one_gaussian_is_where_the_camera_puts_it() -> None:
    image, alpha, meta, parameters = draw([[0.2, -0.1, 3.0]], size=0.1, opacity=0.5)
    expected = torch.tensor([30 * 0.2 / 3 + WIDTH / 2, -30 * 0.1 / 3 + HEIGHT / 2])
    torch.testing.assert_close(meta["means2d"][0, 0].detach(), expected)
    row, column = divmod(int(alpha[0, :, :, 0].argmax()), WIDTH)
    assert (column, row) == (int(expected[0]), int(expected[1]))
    assert 0.4 < alpha.max() <= 0.5
    torch.testing.assert_close(image[..., :1], alpha)
    assert parameters["opacities"].grad > 0


def test_mean_on_a_pixel_centre_has_its_opacity_there() -> None:
    _, alpha, _, _ = draw([[0.0, 0.0, 3.0]], opacity=0.625)
    # 37 x 21: the optical axis meets the centre of pixel (18, 10).
    assert alpha[0, 10, 18, 0].item() == pytest.approx(0.625, abs=1e-6)


@pytest.mark.parametrize("z", [-3.0, 0.0, 0.005, 2e10])
def test_behind_the_camera_or_beyond_the_planes_is_not_drawn(z: float) -> None:
    _, alpha, meta, parameters = draw([[0.0, 0.0, z]])
    assert (alpha == 0).all()
    assert (meta["radii"] == 0).all()
    assert (parameters["means"].grad == 0).all()


@pytest.mark.parametrize("x", [-1.86, 1.86])
def test_on_the_border_half_of_it_shows(x: float) -> None:
    _, alpha, _, _ = draw([[x, 0.0, 3.0]], size=0.1)
    column = 0 if x < 0 else WIDTH - 1
    assert alpha[0, 10, column, 0] > 0.3
    assert (alpha[0, :, WIDTH // 2] == 0).all()


def test_huge_gaussian_fills_the_view() -> None:
    _, alpha, _, _ = draw([[0.0, 0.0, 3.0]], size=1e4, opacity=0.5)
    assert (alpha - 0.5).abs().max() < 1e-3


def test_huge_and_close_gaussian_is_finite() -> None:
    _, alpha, _, _ = draw([[0.004, 0.004, 0.011]], size=1e6, opacity=1.0)
    assert (alpha > 0.9).all()


def test_tiny_gaussian_is_not_lost() -> None:
    _, alpha, _, _ = draw([[0.0, 0.0, 3.0]], size=1e-7)
    assert alpha.max().item() == pytest.approx(0.8, abs=1e-3)


def test_opaque_gaussians_hide_what_is_behind() -> None:
    means = [[0.0, 0.0, 2.0 + 0.1 * i] for i in range(40)]
    image, alpha, _, parameters = draw(means, size=20.0, opacity=1.0)
    # A second one, at the greatest alpha there is, would bring the transmittance below its limit.
    assert alpha[0, 10, 18, 0].item() == pytest.approx(0.999, abs=1e-6)
    assert (parameters["colors"].grad[5:] == 0).all()
    assert image.max() <= 1


def test_fully_transparent_gaussians_are_not_drawn() -> None:
    _, alpha, _, _ = draw([[0.0, 0.0, 3.0]], opacity=0.0)
    assert (alpha == 0).all()


def test_equal_depths_keep_their_order() -> None:
    colors = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
    shared: dict[str, Any] = {
        "means": torch.tensor([[0.0, 0, 3], [0, 0, 3]]),
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(2, 1),
        "scales": torch.full((2, 3), 0.2),
        "opacities": torch.full((2,), 0.9),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[30.0, 0, 8], [0, 30.0, 8], [0, 0, 1]]]),
    }
    image, _, _ = rasterization(**shared, colors=colors, width=16, height=16)
    assert image[0, 8, 8, 0] > 3 * image[0, 8, 8, 1]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (17, 1), (1, 33)])
def test_image_sizes(width: int, height: int) -> None:
    image, alpha, _, _ = draw([[0.0, 0.0, 3.0]], size=1.0, width=width, height=height)
    assert image.shape == (1, height, width, 3)
    assert (alpha > 0.5).any()


def test_tensors_that_are_not_contiguous() -> None:
    random = torch.Generator().manual_seed(0)
    wide = torch.rand(50, 20, generator=random)
    wide[:, 2] += 2
    K = torch.tensor([[[30.0, 0, 16], [0, 30.0, 16], [0, 0, 1]]])
    parts: Any = (wide[:, 0:3], wide[:, 3:7], 0.1 * wide[:, 7:10], wide[:, 10], wide[:, 11:14])
    camera: Any = (torch.eye(4)[None], K, 32, 32)
    strided, _, _ = rasterization(*parts, *camera)
    packed, _, _ = rasterization(*[p.contiguous() for p in parts], *camera)
    assert torch.equal(strided, packed)


def test_gradient_reaches_means2d() -> None:
    parameters: Any = torch.tensor([[0.1, 0.0, 3.0]], requires_grad=True)
    K = torch.tensor([[[30.0, 0, 16], [0, 30.0, 16], [0, 0, 1]]])
    image, _, meta = rasterization(
        parameters,
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.full((1, 3), 0.1),
        torch.ones(1),
        torch.ones(1, 3),
        torch.eye(4)[None],
        K,
        32,
        32,
        packed=False,
    )
    meta["means2d"].retain_grad()
    (image[0, :, :16].sum()).backward()
    assert meta["means2d"].grad[0, 0, 0] < 0
    assert parameters.grad[0, 0] < 0
