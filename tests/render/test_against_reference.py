"""The readable twin (reference/): that it is gsplat's torch code, and that the CPU renderer is the twin where gsplat has none.

Both twins compute in float64, so they agree closely; the kernels are held as in test_against_gsplat.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from perpetua.render import rasterization
from perpetua.render.reference import covariances, rasterize_reference

MEAN_DIFFERENCE = 1e-6  # float32 rounding, see test_against_gsplat.py
GRADIENT_DISTANCE = 1e-3
INPUTS = ("means", "quats", "scales", "covars", "opacities", "colors", "backgrounds", "viewmats")


def ortho(scene: dict[str, Any]) -> dict[str, Any]:
    Ks = torch.diag(torch.tensor([16.0, 17.0, 1.0])).repeat(len(scene["Ks"]), 1, 1).double()
    Ks[:, :2, 2] = scene["Ks"][:, :2, 2]
    return {**scene, "Ks": Ks}


@pytest.mark.parametrize("camera_model", ["pinhole", "ortho"])
@pytest.mark.parametrize("rasterize_mode", ["classic", "antialiased"])
@pytest.mark.parametrize("render_mode", ["RGB", "D", "ED", "RGB+D", "RGB+ED"])
def test_the_twin_is_gsplats_torch_code(
    camera_model: Any,
    rasterize_mode: Any,
    render_mode: Any,
    make_scene: Any,
    pull: Any,
    gsplat_reference: Any,
) -> None:
    scene = make_scene(80, 40, 30, cameras=2)
    if camera_model == "ortho":
        scene = ortho(scene)
    scene["backgrounds"] = torch.tensor([[0.25, 0.5, 0.75], [0, 0, 1]], dtype=torch.float64)
    options = {"camera_model": camera_model, "rasterize_mode": rasterize_mode, "render_mode": render_mode}
    results = []
    for draw in (gsplat_reference, rasterize_reference):
        given = {
            name: value.clone().requires_grad_(name != "Ks") if torch.is_tensor(value) else value
            for name, value in scene.items()
        }
        image, alpha = draw(**given, **options)[:2]
        pull(image, alpha)
        results.append((image, alpha, {name: given[name].grad for name in INPUTS if name in given}))
    (image, alpha, gradients), (twin_image, twin_alpha, twin_gradients) = results
    torch.testing.assert_close(twin_image, image, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(twin_alpha, alpha, rtol=1e-9, atol=1e-9)
    for name, gradient in gradients.items():
        if name == "colors" and not render_mode.startswith("RGB"):
            assert twin_gradients[name] is None
        elif gradient is not None and bool(gradient.any()):
            torch.testing.assert_close(twin_gradients[name], gradient, rtol=1e-7, atol=1e-7, msg=name)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_the_twins_harmonics_are_gsplats(degree: int, make_scene: Any, gsplat_reference: Any) -> None:
    scene = make_scene(80, 40, 30)
    random = torch.Generator().manual_seed(degree)
    scene["colors"] = 0.4 * torch.randn(80, 16, 3, generator=random, dtype=torch.float64)
    expected, _ = gsplat_reference(**scene, sh_degree=degree)
    torch.testing.assert_close(
        rasterize_reference(**scene, sh_degree=degree)[0], expected, rtol=1e-9, atol=1e-9
    )


@pytest.fixture(scope="session")
def agree(both: Any, pull: Any, relative: Any) -> Callable[..., torch.Tensor]:
    """Check the CPU renderer's image, alpha and all gradients of one scene against the twin's; returns the image."""

    def check(scene: dict[str, Any], packed: bool = True, chunk: int = 32, **options: Any) -> torch.Tensor:
        exact, single = both(scene)
        for made in (exact, single):
            made["viewmats"].requires_grad_(True)
        expected, expected_alpha, _ = rasterize_reference(**exact, **options)
        image, alpha, _ = rasterization(**single, **options, packed=packed, channel_chunk=chunk)
        assert image.shape == expected.shape
        assert alpha.shape == expected_alpha.shape
        difference = (image.double() - expected).abs() / (1 + expected.detach().abs())
        assert difference.mean() < MEAN_DIFFERENCE
        assert (alpha.double() - expected_alpha).abs().mean() < MEAN_DIFFERENCE
        pull(expected, expected_alpha)
        pull(image, alpha)
        for name in INPUTS:
            if isinstance(exact.get(name), torch.Tensor) and exact[name].grad is not None:
                assert relative(single[name].grad, exact[name].grad) < GRADIENT_DISTANCE, name
        return image

    return check


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 8, 11])
@pytest.mark.parametrize("render_mode", ["RGB", "RGB+ED"])
def test_any_number_of_channels(channels: int, render_mode: Any, make_scene: Any, agree: Any) -> None:
    agree(make_scene(120, 50, 40, seed=channels, channels=channels), render_mode=render_mode)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 7, 8, 32])
def test_channel_chunk_changes_nothing(chunk: int, packed: bool, make_scene: Any, agree: Any) -> None:
    scene = make_scene(150, 50, 40, channels=7)
    scene["backgrounds"] = torch.rand(1, 7, generator=torch.Generator().manual_seed(0)).double()
    agree(scene, packed, chunk, render_mode="RGB+ED")


def test_covariances_in_place_of_quaternions(make_scene: Any, agree: Any, both: Any) -> None:
    scene = make_scene(200)
    covars = covariances(scene["quats"], scene["scales"]).float().double()
    image = agree({**scene, "quats": None, "scales": None, "covars": covars})
    _, single = both(scene)
    same, _, _ = rasterization(**single)
    assert (image - same).abs().mean() < 1e-5


@pytest.mark.parametrize("rasterize_mode", ["classic", "antialiased"])
def test_radius_clip(rasterize_mode: Any, make_scene: Any, both: Any, agree: Any) -> None:
    scene = make_scene(200)
    image = agree(scene, radius_clip=9.0, rasterize_mode=rasterize_mode)
    _, single = both(scene)
    unchanged, _, _ = rasterization(**single, rasterize_mode=rasterize_mode)
    assert (image - unchanged).abs().mean() > 1e-4


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("batch", [(2,), (1,), (2, 3)])
@pytest.mark.parametrize("colors", ["shared", "of each camera", "harmonics"])
def test_batches_of_scenes(
    batch: tuple[int, ...], packed: bool, colors: str, make_scene: Any, agree: Any
) -> None:
    total = torch.Size(batch).numel()
    made = [make_scene(40, 40, 24, seed=seed, cameras=2) for seed in range(total)]
    scene = {
        name: torch.stack([one[name] for one in made]).reshape(*batch, *value.shape)
        if torch.is_tensor(value)
        else value
        for name, value in made[0].items()
    }
    random = torch.Generator().manual_seed(0)
    scene["backgrounds"] = torch.rand(*batch, 2, 3, generator=random).double()
    options: dict[str, Any] = {"render_mode": "RGB+D", "rasterize_mode": "antialiased"}
    if colors == "of each camera":
        scene["colors"] = torch.rand(*batch, 2, 40, 3, generator=random).double()
    elif colors == "harmonics":
        scene["colors"] = (0.3 * torch.randn(*batch, 40, 4, 3, generator=random)).double()
        options["sh_degree"] = 1
    image = agree(scene, packed, **options)
    assert image.shape == (*batch, 2, 24, 40, 4)
