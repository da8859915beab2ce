"""The CPU renderer against the readable float64 twin (reference.py), over what the API offers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perpetua.render import rasterization
from perpetua.render.api import RENDER_MODES
from perpetua.render.reference import covariances, rasterize_reference

MEAN_DIFFERENCE = 1e-6  # float32 rounding, see test_against_gsplat.py
GRADIENT_DISTANCE = 1e-3
PARAMETERS = ("means", "quats", "scales", "opacities", "colors", "covars", "backgrounds")


@pytest.fixture
def agree(both: Any, pull: Any, relative: Any) -> Any:
    """Check image, alpha and all gradients of one scene."""

    def check(scene: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
        exact, single = both(scene)
        expected, expected_alpha, _ = rasterize_reference(**exact, **options)
        options.pop("channel_chunk", None)
        image, alpha, _ = rasterization(**single, **options)
        assert image.shape == expected.shape
        assert alpha.shape == expected_alpha.shape
        difference = (image.double() - expected).abs() / (1 + expected.abs())
        assert difference.mean() < MEAN_DIFFERENCE
        assert (alpha.double() - expected_alpha).abs().mean() < MEAN_DIFFERENCE
        pull(expected, expected_alpha)
        pull(image, alpha)
        for name in PARAMETERS:
            if isinstance(exact.get(name), torch.Tensor) and exact[name].grad is not None:
                assert relative(single[name].grad, exact[name].grad) < GRADIENT_DISTANCE, name
        return image, alpha

    return check


@pytest.mark.parametrize("render_mode", RENDER_MODES)
def test_render_modes(render_mode: Any, make_scene: Any, agree: Any) -> None:
    image, _ = agree(make_scene(200), render_mode=render_mode)
    assert image.shape[-1] == {"RGB": 3, "D": 1, "ED": 1, "RGB+D": 4, "RGB+ED": 4}[render_mode]


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 8, 11])
@pytest.mark.parametrize("render_mode", ["RGB", "RGB+ED"])
def test_any_number_of_channels(channels: int, render_mode: Any, make_scene: Any, agree: Any) -> None:
    agree(make_scene(120, 50, 40, seed=channels, channels=channels), render_mode=render_mode)


@pytest.mark.parametrize("chunk", [1, 3, 7, 8, 32])
def test_channel_chunk_changes_nothing(
    chunk: int, make_scene: Any, both: Any, pull: Any, relative: Any
) -> None:
    scene = make_scene(150, 50, 40, channels=7)
    scene["backgrounds"] = torch.rand(1, 7, generator=torch.Generator().manual_seed(0)).double()
    exact, single = both(scene)
    expected, expected_alpha, _ = rasterize_reference(**exact, render_mode="RGB+ED")
    image, alpha, _ = rasterization(**single, render_mode="RGB+ED", channel_chunk=chunk)
    assert (image.double() - expected).abs().mean() < 1e-5
    pull(expected, expected_alpha)
    pull(image, alpha)
    for name in ("means", "opacities", "colors", "backgrounds"):
        assert relative(single[name].grad, exact[name].grad) < GRADIENT_DISTANCE, name


def test_several_cameras_with_their_own_backgrounds(make_scene: Any, agree: Any) -> None:
    scene = make_scene(200, cameras=3)
    scene["backgrounds"] = torch.tensor([[0, 0, 0], [1, 0.5, 0], [0.25, 0.25, 1]], dtype=torch.float64)
    image, _ = agree(scene, render_mode="RGB+ED")
    assert image.shape == (3, 48, 80, 4)


def test_colors_of_each_camera(make_scene: Any, agree: Any) -> None:
    scene = make_scene(150, cameras=2)
    scene["colors"] = torch.rand(2, 150, 3, generator=torch.Generator().manual_seed(3)).double()
    agree(scene)


def test_harmonics_of_each_camera(make_scene: Any, agree: Any) -> None:
    scene = make_scene(150, cameras=2)
    scene["colors"] = (0.3 * torch.randn(2, 150, 9, 3, generator=torch.Generator().manual_seed(3))).double()
    agree(scene, sh_degree=2)
    agree(scene, sh_degree=1)


def test_covariances_in_place_of_quaternions(make_scene: Any, agree: Any, both: Any) -> None:
    scene = make_scene(200)
    covars = covariances(scene["quats"], scene["scales"]).float().double()
    image, _ = agree({**scene, "quats": None, "scales": None, "covars": covars})
    _, single = both(scene)
    same, _, _ = rasterization(**single)
    assert (image - same).abs().mean() < 1e-5


@pytest.mark.parametrize(
    "options",
    [{"radius_clip": 9.0}, {"near_plane": 4.0, "far_plane": 7.0}, {"eps2d": 0.05}, {"eps2d": 4.0}],
    ids=lambda options: next(iter(options)),
)
def test_options(options: dict[str, float], make_scene: Any, both: Any, agree: Any) -> None:
    scene = make_scene(200)
    image, _ = agree(scene, **options)
    _, single = both(scene)
    unchanged, _, _ = rasterization(**single)
    assert (image - unchanged).abs().mean() > 1e-4


@st.composite
def small_scenes(draw: st.DrawFn) -> dict[str, Any]:
    """A few Gaussians of any size, opacity and place, in an image of any small size."""
    count = draw(st.integers(1, 6))
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    spread = draw(st.floats(0, 3))
    size = draw(st.floats(1e-3, 3))
    opaque = draw(st.booleans())
    depth = draw(st.floats(-1, 6))
    means = spread * torch.randn(count, 3, generator=random) + torch.tensor([0, 0, depth])
    opacities = torch.rand(count, generator=random)
    scene: dict[str, Any] = {
        "means": means,
        "quats": torch.randn(count, 4, generator=random),
        "scales": size * torch.rand(count, 3, generator=random) + 1e-3,
        "opacities": torch.ones(count) if opaque else opacities,
        "colors": torch.rand(count, 3, generator=random),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[30.0, 0, width / 2], [0, 30.0, height / 2], [0, 0, 1]]]),
    }
    exact = {name: tensor.double() for name, tensor in scene.items()}
    return {**exact, "width": width, "height": height, "near_plane": 0.2}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(scene=small_scenes())
def test_any_small_scene(scene: dict[str, Any], both: Any, pull: Any) -> None:
    exact, single = both(scene)
    expected, expected_alpha, _ = rasterize_reference(**exact, render_mode="RGB+D")
    image, alpha, _ = rasterization(**single, render_mode="RGB+D")
    # One pixel of a tiny image may sit on the 1/255 threshold: bound the typical error, and the largest by its reach.
    difference = (image.double() - expected).abs() / (1 + expected.abs())
    assert difference.mean() < 1e-4
    assert (difference > 1e-4).double().mean() < 0.02
    pull(expected, expected_alpha)
    pull(image, alpha)
    for name in ("means", "quats", "scales", "opacities", "colors"):
        assert torch.isfinite(single[name].grad).all(), name
