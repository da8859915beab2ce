"""Gradients against finite differences, which no derivation can get wrong in the same way."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perpetua.render import rasterization
from perpetua.render.numba_backend.threads import GAUSSIANS_A_RANGE
from perpetua.render.reference import covariances, rasterize_reference

STEP = 1e-6  # of a parameter's scale; the twin computes in float64


def soft_scene(count: int = 12) -> dict[str, Any]:
    """Broad, half-transparent Gaussians: none near a threshold, where the image jumps and has no derivative."""
    random = torch.Generator().manual_seed(5)
    scene: dict[str, Any] = {
        "means": torch.randn(count, 3, generator=random) * torch.tensor([1.0, 0.7, 0.3])
        + torch.tensor([0, 0, 4.0]),
        "quats": torch.randn(count, 4, generator=random),
        "scales": 0.6 + torch.rand(count, 3, generator=random),
        "opacities": 0.1 + 0.2 * torch.rand(count, generator=random),
        "colors": torch.rand(count, 3, generator=random),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[14.0, 0, 10], [0, 15.0, 7], [0, 0, 1]]]),
    }
    return {**{k: v.double() for k, v in scene.items()}, "width": 20, "height": 14}


def value(image: torch.Tensor, alpha: torch.Tensor, *_: Any) -> torch.Tensor:
    """An uneven, smooth function of everything that is drawn."""
    weights = torch.linspace(0.5, 1.5, image.numel(), dtype=image.dtype).reshape(image.shape)
    return (weights * image * image).mean() + (weights[..., :1] * alpha).mean()


def derivative(scene: dict[str, Any], name: str, direction: torch.Tensor, **options: Any) -> float:
    """Central difference of `value` of the twin's image along a direction of one input."""
    ahead, behind = (
        value(*rasterize_reference(**{**scene, name: scene[name] + sign * STEP * direction}, **options))
        for sign in (1, -1)
    )
    return float(ahead - behind) / (2 * STEP)


@pytest.mark.parametrize("camera_model", ["pinhole", "ortho"])
@pytest.mark.parametrize("rasterize_mode", ["classic", "antialiased"])
@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "colors", "covars", "viewmats"])
def test_directional_derivatives(name: str, rasterize_mode: Any, camera_model: Any, both: Any) -> None:
    scene = soft_scene()
    options: dict[str, Any] = {"render_mode": "RGB+ED", "eps2d": 2.0}  # a blur that opacities pay for
    options |= {"rasterize_mode": rasterize_mode, "camera_model": camera_model}
    if camera_model == "ortho":
        scene["Ks"][:, 0, 0], scene["Ks"][:, 1, 1] = 3.5, 3.75
    if name == "covars":
        covars = covariances(scene["quats"], scene["scales"])
        scene = {**scene, "covars": covars, "quats": None, "scales": None}
    _, single = both(scene)
    single["viewmats"].requires_grad_(True)
    image, alpha, _ = rasterization(**single, **options)
    value(image, alpha).backward()

    random = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = torch.randn(scene[name].shape, generator=random, dtype=torch.float64)
        if name == "covars":
            direction = direction + direction.transpose(-1, -2)
        expected = derivative(scene, name, direction, **options)
        found = single[name].grad.double()
        if name == "covars":
            found, direction = torch.triu(found), torch.triu(direction)
        assert float((found * direction).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_twins_own_gradients() -> None:
    scene = soft_scene(3)
    names = ("means", "quats", "scales", "opacities", "colors")
    fixed = {k: v for k, v in scene.items() if k not in names}

    def draw(*parameters: torch.Tensor) -> torch.Tensor:
        given: dict[str, Any] = {**dict(zip(names, parameters)), **fixed}
        return value(*rasterize_reference(**given, render_mode="RGB+D"))

    assert torch.autograd.gradcheck(draw, [scene[n].requires_grad_(True) for n in names])


@pytest.mark.parametrize("name", ["means", "viewmats", "colors"])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_harmonics_turn_with_the_view(degree: int, name: str, both: Any) -> None:
    scene = soft_scene()
    random = torch.Generator().manual_seed(degree)
    scene["colors"] = 0.3 * torch.randn(12, (degree + 1) ** 2, 3, generator=random, dtype=torch.float64)
    _, single = both(scene)
    single["viewmats"].requires_grad_(True)
    image, alpha, _ = rasterization(**single, sh_degree=degree)
    value(image, alpha).backward()
    direction = torch.randn(scene[name].shape, generator=random, dtype=torch.float64)
    expected = derivative(scene, name, direction, sh_degree=degree)
    assert float((single[name].grad.double() * direction).sum()) == pytest.approx(
        expected, rel=1e-3, abs=1e-6
    )


def test_gradients_through_several_cameras_add_up(make_scene: Any, both: Any) -> None:
    scene = make_scene(200, cameras=2)
    _, together = both(scene)
    image, alpha, _ = rasterization(**together)
    (image.square().sum() + alpha.sum()).backward()
    separate = []
    for c in range(2):
        _, one = both({**scene, "viewmats": scene["viewmats"][c : c + 1], "Ks": scene["Ks"][c : c + 1]})
        image, alpha, _ = rasterization(**one)
        (image.square().sum() + alpha.sum()).backward()
        separate.append(one)
    for name in ("means", "quats", "scales", "opacities", "colors"):
        torch.testing.assert_close(
            together[name].grad, separate[0][name].grad + separate[1][name].grad, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("size", [0.05, 1.5], ids=["narrow", "wide"])
def test_clamped_alphas_have_no_gradient(size: float, both: Any, pull: Any, relative: Any) -> None:
    """Opaque Gaussians on pixel centres, where alpha is held at 0.999: no shape or opacity changes it there.

    A narrow one is held at its own pixel only; a wide one at some pixels around it too, which would pull on its shape.
    """
    focal, depth, width, height = 32.0, 2.0, 48, 32
    pixels = torch.tensor([[8.5, 9.5], [24.5, 15.5], [39.5, 20.5]])
    places = (pixels - torch.tensor([width / 2, height / 2])) * depth / focal
    count = len(pixels) if size < 1 else 1
    veil = [[0.1, -0.05, 1.5]]  # half-transparent, before them all
    scene: dict[str, Any] = {
        "means": torch.cat([torch.tensor(veil), torch.cat([places, torch.full((3, 1), depth)], -1)[:count]]),
        "quats": torch.tensor([[0.9, 0.1, -0.2, 0.3]]).repeat(1 + count, 1),
        "scales": size * torch.tensor([[1.0, 0.6, 0.8]]).repeat(1 + count, 1),
        "opacities": torch.tensor([0.5] + [1.0] * count),
        "colors": torch.tensor([[0.2, 0.9, 0.4]] + [[0.8, 0.3, 0.6]] * count),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]]),
        "backgrounds": torch.tensor([[0.5, 0.1, 0.7]]),
    }
    exact, single = both({**scene, "width": width, "height": height})
    pull(*rasterize_reference(**exact)[:2])
    pull(*rasterization(**single)[:2])
    for name in ("opacities", "means", "scales", "quats"):
        assert relative(single[name].grad[1:], exact[name].grad[1:]) < 1e-4, name


def test_gaussians_out_of_view_leave_the_cameras_gradient(make_scene: Any, both: Any, pull: Any) -> None:
    """Sums over Gaussians are made in ranges of some thousands: those of different ranges must all arrive."""
    scene = make_scene(60, 40, 30)
    random = torch.Generator().manual_seed(0)
    scene["colors"] = 0.3 * torch.randn(60, 4, 3, generator=random, dtype=torch.float64)
    unseen = GAUSSIANS_A_RANGE
    crowded = dict(scene)
    for name in ("means", "quats", "scales", "opacities", "colors"):
        values = scene[name]
        between = values[:1].expand(unseen, *values.shape[1:])
        if name == "means":  # 100 m behind the camera
            between = between - 100 * scene["viewmats"][0, 2, :3]
        crowded[name] = torch.cat([values[:30], between, values[30:]])
    gradients = []
    for made in (scene, crowded):
        _, single = both(made)
        single["viewmats"].requires_grad_(True)
        pull(*rasterization(**single, sh_degree=1, packed=False)[:2])
        gradients.append(single["viewmats"].grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("looked_at", ["image", "alpha"])
def test_a_loss_may_look_at_the_image_or_its_alpha_alone(looked_at: str, make_scene: Any, both: Any) -> None:
    found = []
    for unseen in (False, True):
        _, single = both(make_scene(100, 40, 30))
        image, alpha, _ = rasterization(**single, render_mode="RGB+ED")
        seen, other = (image, alpha) if looked_at == "image" else (alpha, image)
        loss = seen.square().sum()
        (loss + 0.0 * other.sum() if unseen else loss).backward()
        found.append([single[name].grad for name in ("means", "quats", "scales", "opacities")])
    for alone, beside in zip(*found):
        assert torch.equal(alone, beside)
        assert alone.abs().max() > 0


def test_only_what_is_asked_gets_a_gradient(make_scene: Any, both: Any) -> None:
    _, scene = both(make_scene(100))
    for name in ("means", "quats", "scales", "opacities"):
        scene[name].requires_grad_(False)
    image, _, _ = rasterization(**scene)
    image.sum().backward()
    assert scene["colors"].grad is not None
    assert scene["means"].grad is None
    with torch.no_grad():
        image, _, _ = rasterization(**scene)
    assert not image.requires_grad


def test_needles_keep_their_digits(both: Any, pull: Any, relative: Any) -> None:
    """A Gaussian thousands of times longer than wide across the diagonal: float32 must not lose its thin side."""
    scene: dict[str, Any] = {
        "means": torch.tensor([[0.01, -0.02, 3.0], [0.3, 0.2, 4.0]]),
        "quats": torch.tensor([[0.92387953, 0.0, 0.0, 0.38268343], [0.9, 0.1, 0.2, -0.3]]),
        "scales": torch.tensor([[9.0, 1e-3, 1e-3], [7.0, 1e-3, 5e-4]]),
        "opacities": torch.tensor([0.9, 0.7]),
        "colors": torch.tensor([[1.0, 0.5, 0.2], [0.1, 0.9, 0.8]]),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[300.0, 0, 100], [0, 300.0, 75], [0, 0, 1]]]),
    }
    exact, single = both({**scene, "width": 200, "height": 150})
    expected, expected_alpha, _ = rasterize_reference(**exact)
    image, alpha, _ = rasterization(**single)
    difference = (image.double() - expected).abs()
    assert (
        difference.mean() < 1e-6
    )  # the usual formulas in float32 are off by 3e-4 here, and by 0.2 to 0.4 below
    pull(expected, expected_alpha)
    pull(image, alpha)
    for name in ("means", "quats", "scales", "opacities", "colors"):
        assert relative(single[name].grad, exact[name].grad) < 2e-2, name
