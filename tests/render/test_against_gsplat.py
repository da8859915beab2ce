"""The CPU renderer against gsplat's own torch code in float64: images and the gradient of every input.

The kernels compute in float32: a pixel value carries a few 1e-7 of rounding, and where rounding decides whether
a Gaussian passes the 1/255 threshold at a pixel, that pixel may differ by up to 1/255. So images are held to a mean
difference of 1e-6, and gradients to a relative L2 distance of 1e-3. Small images, where one such pixel would decide the
mean, are of scenes in which no pixel is so close to a threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from perpetua.render import rasterization
from perpetua.render.reference import covariances
from perpetua.render.reference.composite import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from perpetua.render.reference.project import project

MEAN_DIFFERENCE = 1e-6
GRADIENT_DISTANCE = 1e-3
INPUTS = ("means", "quats", "scales", "covars", "opacities", "colors", "backgrounds", "viewmats")
MODELS = ("pinhole", "ortho")
MODES = ("classic", "antialiased")


@pytest.fixture(scope="session")
def agree(both: Any, pull: Any, relative: Any, gsplat_reference: Any) -> Callable[..., torch.Tensor]:
    """Check the image, alpha and every gradient of a scene; returns the image."""

    def check(scene: dict[str, Any], packed: bool = True, **options: Any) -> torch.Tensor:
        exact, single = both(scene)
        for made in (exact, single):
            made["viewmats"].requires_grad_(True)
        expected, expected_alpha = gsplat_reference(**exact, **options)
        image, alpha, _ = rasterization(**single, **options, packed=packed)
        # Colours are of order 1; depths are compared relative to their size.
        difference = (image.double() - expected).abs() / (1 + expected.detach().abs())
        assert image.shape == expected.shape
        assert difference.mean() < MEAN_DIFFERENCE
        assert (alpha.double() - expected_alpha).abs().mean() < MEAN_DIFFERENCE
        pull(expected, expected_alpha)
        pull(image, alpha)
        for name in INPUTS:
            if isinstance(exact.get(name), torch.Tensor) and exact[name].grad is not None:
                found = single[name].grad
                found = torch.zeros_like(single[name]) if found is None else found
                if (
                    name == "covars"
                ):  # gsplat's torch code reads both halves of the matrix, its kernels the upper one
                    exact[name].grad = torch.triu(exact[name].grad) + torch.triu(exact[name].grad.mT, 1)
                assert relative(found, exact[name].grad) < GRADIENT_DISTANCE, name
        return image

    return check


def seen_by_parallel_rays(scene: dict[str, Any]) -> dict[str, Any]:
    """The scene with a K in pixels per metre, for which it fills an orthographic view about as a pinhole's."""
    Ks = scene["Ks"].clone()
    Ks[:, 0, 0], Ks[:, 1, 1] = scene["width"] / 5, 1.1 * scene["width"] / 5
    return {**scene, "Ks": Ks.float().double()}


def with_camera(scene: dict[str, Any], camera_model: str) -> dict[str, Any]:
    return scene if camera_model == "pinhole" else seen_by_parallel_rays(scene)


@pytest.mark.parametrize("render_mode", ["RGB", "D", "ED", "RGB+D", "RGB+ED"])
@pytest.mark.parametrize("with_background", [False, True])
def test_render_modes(render_mode: Any, with_background: bool, make_scene: Any, agree: Any) -> None:
    scene = make_scene(600)
    if with_background:
        scene["backgrounds"] = torch.tensor([[0.25, 0.5, 0.75]], dtype=torch.float64)
    agree(scene, render_mode=render_mode)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("camera_model", MODELS)
@pytest.mark.parametrize("rasterize_mode", MODES)
def test_cameras_and_modes(
    rasterize_mode: Any, camera_model: Any, packed: bool, make_scene: Any, agree: Any
) -> None:
    scene = with_camera(make_scene(600), camera_model)
    agree(scene, packed, rasterize_mode=rasterize_mode, camera_model=camera_model, render_mode="RGB+ED")


@pytest.mark.parametrize("camera_model", MODELS)
@pytest.mark.parametrize("rasterize_mode", MODES)
def test_covariances(rasterize_mode: Any, camera_model: Any, make_scene: Any, agree: Any) -> None:
    scene = with_camera(make_scene(300), camera_model)
    covars = covariances(scene.pop("quats"), scene.pop("scales")).float().double()
    scene |= {"quats": None, "scales": None, "covars": covars}
    agree(scene, rasterize_mode=rasterize_mode, camera_model=camera_model)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spherical_harmonics(degree: int, packed: bool, make_scene: Any, agree: Any) -> None:
    scene = make_scene(300)
    random = torch.Generator().manual_seed(degree)
    scene["colors"] = (0.4 * torch.randn(300, 16, 3, generator=random)).double()
    agree(scene, packed, sh_degree=degree)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("per_camera", [False, True])
def test_several_cameras(packed: bool, per_camera: bool, make_scene: Any, agree: Any) -> None:
    scene = make_scene(300, cameras=3)
    random = torch.Generator().manual_seed(3)
    scene["backgrounds"] = torch.rand(3, 3, generator=random).double()
    if per_camera:
        scene["colors"] = torch.rand(3, 300, 3, generator=random).double()
    agree(scene, packed, render_mode="RGB+D")


@pytest.mark.parametrize("packed", [False, True])
def test_harmonics_of_each_camera(packed: bool, make_scene: Any, agree: Any) -> None:
    scene = make_scene(200, cameras=2)
    random = torch.Generator().manual_seed(3)
    scene["colors"] = (0.3 * torch.randn(2, 200, 9, 3, generator=random)).double()
    agree(scene, packed, sh_degree=2)


@pytest.mark.parametrize(
    "options",
    [{"near_plane": 4.0, "far_plane": 7.0}, {"eps2d": 0.05}, {"eps2d": 4.0, "rasterize_mode": "antialiased"}],
    ids=lambda options: next(iter(options)),
)
def test_options(options: dict[str, Any], make_scene: Any, agree: Any) -> None:
    agree(make_scene(300), **options)


def few(
    means: list[list[float]],
    scales: list[float] | None = None,
    opacity: float = 0.8,
    size: float = 0.1,
    width: int = 50,
    height: int = 38,
) -> dict[str, Any]:
    """A few Gaussians before a camera at the origin that looks along z, each turned its own way."""
    count = len(means)
    random = torch.Generator().manual_seed(11)
    scene: dict[str, Any] = {
        "means": torch.tensor(means).reshape(count, 3) + 0.01 * torch.randn(count, 3, generator=random),
        "quats": torch.randn(count, 4, generator=random),
        "scales": size * torch.tensor(scales or [1.0, 0.6, 1.7]).repeat(count, 1),
        "opacities": torch.full((count,), opacity),
        "colors": torch.rand(count, 3, generator=random),
        "viewmats": torch.eye(4)[None],
        "Ks": torch.tensor([[[40.0, 0, width / 2], [0, 42.0, height / 2], [0, 0, 1]]]),
    }
    return {**{name: t.double() for name, t in scene.items()}, "width": width, "height": height}


EDGES: dict[str, dict[str, Any]] = {
    "behind the camera": few([[0, 0, -3.0], [0.3, 0.2, -0.2], [0.1, 0, 3.0], [0, 0.2, 0.005]]),
    "on the border": few([[-1.9, 0, 3.0], [1.9, 0.1, 3.0], [0, -1.4, 3.0], [0.1, 1.4, 3.0], [2.5, 1.9, 3.5]]),
    "tiny": few([[0, 0, 3.0], [0.4, 0.1, 5.0], [-0.3, 0.2, 4.0]], size=1e-6),
    "huge": few([[0, 0, 3.0], [0.4, 0.1, 5.0], [-0.3, 0.2, 4.0]], size=300.0, opacity=0.4),
    "needles": few([[0, 0, 3.0], [0.4, 0.1, 4.0]], scales=[60.0, 0.02, 0.01], opacity=0.9),
    "opaque stack": few([[0, 0, 2.0 + 0.1 * k] for k in range(30)], size=2.0, opacity=0.85),
    "fully opaque stack": few([[0, 0, 2.0 + 0.1 * k] for k in range(30)], size=0.3, opacity=1.0),
    "empty view": few([[9.0, 0, 3.0], [0, -9.0, 3.0], [0, 0, -2.0]]),
    "one": few([[0.2, -0.1, 3.0]]),
    "one, faint": few([[0.2, -0.1, 3.0]], opacity=0.02),
    "none": few([]),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("camera_model", MODELS)
@pytest.mark.parametrize("rasterize_mode", MODES)
@pytest.mark.parametrize("edge", EDGES)
def test_edges(edge: str, rasterize_mode: Any, camera_model: Any, packed: bool, agree: Any) -> None:
    scene = with_camera(EDGES[edge], camera_model)
    for render_mode in ("RGB+D", "RGB+ED"):
        options = {"rasterize_mode": rasterize_mode, "camera_model": camera_model}
        agree(scene, packed, **options, render_mode=render_mode)


@pytest.mark.parametrize("camera_model", MODELS)
def test_needles_given_as_covariances(camera_model: Any, agree: Any) -> None:
    """2,250 times as long as wide: the entries of their covariance cancel to a five-millionth."""
    for seed in range(6):
        scene = few([[0.02, 0.03, 3.0], [0.3, 0.1, 4.0]], scales=[90.0, 0.04, 0.04], opacity=0.9)
        scene["quats"] = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed)).double()
        scene["covars"] = covariances(scene["quats"], scene["scales"]).float().double()
        scene["quats"] = scene["scales"] = None
        scene = with_camera(scene, camera_model)
        agree(scene, rasterize_mode="antialiased", camera_model=camera_model, render_mode="RGB+D")


def test_the_expected_depth_of_one_gaussian_is_its_depth() -> None:
    """However faint it is: nothing divides by what little 1 - T keeps of a small alpha."""
    scene = {name: t.float() if torch.is_tensor(t) else t for name, t in EDGES["one, faint"].items()}
    for opacity in (0.0045, 0.02, 0.5):
        image, alpha, meta = rasterization(
            **{**scene, "opacities": torch.tensor([opacity])}, render_mode="ED"
        )
        seen = image[alpha > 0]
        assert len(seen) > 2
        torch.testing.assert_close(seen, meta["depths"].expand_as(seen), rtol=3e-7, atol=0)


def decided(scene: dict[str, Any], rasterize_mode: str, camera_model: str) -> bool:
    """Whether no pixel of any Gaussian is within 1e-4 of a threshold, and no two depths are, so that rounding decides nothing."""
    width, height = scene["width"], scene["height"]
    covars = covariances(scene["quats"], scene["scales"]) if scene["covars"] is None else scene["covars"]
    camera = (scene["viewmats"][0], scene["Ks"][0], width, height, 0.3, camera_model)
    z = scene["means"] @ scene["viewmats"][0, 2, :3] + scene["viewmats"][0, 2, 3]
    front = z > NEAR
    undecided = ((z - NEAR).abs() < 1e-3).any() | (torch.diff(z.sort().values) < 1e-4).any()
    if bool(undecided | (z.abs() < 1e-2).any()):  # gsplat's torch code divides by z before it looks at it
        return False
    found = project(scene["means"][front], covars[front], *camera)
    shown = scene["opacities"][front] * (found.compensations if rasterize_mode == "antialiased" else 1)
    order = torch.argsort(found.depths)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    d = found.means2d[:, None, None] - (torch.stack([x, y], -1) + 0.5)
    conics = torch.linalg.inv(found.image_covars)
    alphas = shown[:, None, None] * torch.exp(-0.5 * torch.einsum("nhwi,nij,nhwj->nhw", d, conics, d))
    drawn = torch.where(alphas < MIN_ALPHA, 0.0, alphas.clamp_max(MAX_ALPHA))
    through = torch.cumprod(1 - drawn[order], 0)
    pairs = ((alphas, MIN_ALPHA), (alphas, MAX_ALPHA), (through, MIN_TRANSMITTANCE))
    return not any(bool(((value / limit - 1).abs() < 1e-4).any()) for value, limit in pairs)


NEAR = 0.2


@st.composite
def scenes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A few Gaussians of any size, shape, opacity and place, in an image of any small size; and how to draw them."""
    count = draw(st.integers(1, 8))
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    size, spread = 10 ** draw(st.floats(-3, 0.5)), draw(st.floats(0, 3))
    least = draw(st.sampled_from([0.05, 0.5, 0.99]))
    angle, axis = (
        draw(st.floats(-3, 3)),
        torch.nn.functional.normalize(torch.randn(3, generator=random), dim=0),
    )
    turn = torch.linalg.matrix_exp(angle * torch.linalg.cross(torch.eye(3), axis.expand(3, 3)))
    viewmat = torch.eye(4)
    viewmat[:3, :3] = turn
    viewmat[2, 3] = draw(st.floats(-1, 6))
    camera_model = draw(st.sampled_from(MODELS))
    focal = 30.0 if camera_model == "pinhole" else 8.0
    scene: dict[str, Any] = {
        "means": spread * torch.randn(count, 3, generator=random),
        "quats": torch.randn(count, 4, generator=random),
        "scales": size * torch.rand(count, 3, generator=random) + 1e-3,
        "covars": None,
        "opacities": least + (1 - least) * torch.rand(count, generator=random),
        "colors": torch.rand(count, 3, generator=random),
        "backgrounds": torch.rand(1, 3, generator=random),
        "viewmats": viewmat[None],
        "Ks": torch.tensor([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]]),
    }
    options: dict[str, Any] = {"camera_model": camera_model, "rasterize_mode": draw(st.sampled_from(MODES))}
    if draw(st.booleans()):
        scene["covars"] = covariances(scene["quats"], scene["scales"])
        scene["quats"] = scene["scales"] = None
    exact = {name: t if t is None else t.double() for name, t in scene.items()}
    scene = {**exact, "width": width, "height": height}
    assume(decided(scene, **options))
    degree = draw(st.sampled_from([None, 0, 1, 2, 3]))
    if degree is not None:
        options["sh_degree"] = degree
        bases = (degree + 1) ** 2
        scene["colors"] = (0.4 * torch.randn(count, bases, 3, generator=random)).double()
    return scene, {**options, "near_plane": NEAR, "packed": draw(st.booleans())}


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(made=scenes(), render_mode=st.sampled_from(["RGB", "D", "RGB+D"]))
def test_any_small_scene(made: tuple[dict[str, Any], dict[str, Any]], render_mode: Any, agree: Any) -> None:
    """Not the expected depth: where a pixel sees one Gaussian, the gradient of its depth to shape and opacity is zero but for
    rounding, and some of these scenes have no other pixels. EDGES has it, beside colours."""
    scene, options = made
    agree(scene, **options, render_mode=render_mode)
