"""The CPU renderer against gsplat's own torch code in float64: images and every gradient.

The kernels compute in float32: a pixel value carries a few 1e-7 of rounding, and where rounding decides whether
a Gaussian passes the 1/255 threshold at a pixel, that pixel may differ by up to 1/255. So images are held to a mean
difference of 1e-6, and gradients to a relative L2 distance of 1e-3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from perpetua.render import rasterization

MEAN_DIFFERENCE = 1e-6
GRADIENT_DISTANCE = 1e-3


@pytest.mark.parametrize(
    ("render_mode", "with_background"), [("RGB", False), ("RGB", True), ("RGB+D", True), ("RGB+ED", True)]
)
def test_image_and_gradients(
    render_mode: Any,
    with_background: bool,
    make_scene: Any,
    both: Any,
    pull: Any,
    relative: Any,
    gsplat_reference: Any,
) -> None:
    scene = make_scene(600)
    if with_background:
        scene["backgrounds"] = torch.tensor([[0.25, 0.5, 0.75]], dtype=torch.float64)
    exact, single = both(scene)
    expected, expected_alpha = gsplat_reference(**exact, render_mode=render_mode)
    image, alpha, _ = rasterization(**single, render_mode=render_mode)

    difference = (image.double() - expected).abs()
    assert difference[..., :3].mean() < MEAN_DIFFERENCE
    assert (alpha.double() - expected_alpha).abs().mean() < MEAN_DIFFERENCE
    if render_mode != "RGB":
        assert (difference[..., 3] / (1 + expected[..., 3].abs())).mean() < MEAN_DIFFERENCE

    pull(expected, expected_alpha)
    pull(image, alpha)
    for name in ("means", "quats", "scales", "opacities", "colors", "backgrounds"):
        if name in exact:
            assert relative(single[name].grad, exact[name].grad) < GRADIENT_DISTANCE, name


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spherical_harmonics(
    degree: int, make_scene: Any, both: Any, pull: Any, relative: Any, gsplat_reference: Any
) -> None:
    scene = make_scene(300)
    random = torch.Generator().manual_seed(degree)
    scene["colors"] = (0.4 * torch.randn(300, 16, 3, generator=random)).double()
    exact, single = both(scene)
    expected, expected_alpha = gsplat_reference(**exact, sh_degree=degree)
    image, alpha, _ = rasterization(**single, sh_degree=degree)
    assert (image.double() - expected).abs().mean() < MEAN_DIFFERENCE
    pull(expected, expected_alpha)
    pull(image, alpha)
    for name in ("means", "colors"):
        assert relative(single[name].grad, exact[name].grad) < GRADIENT_DISTANCE, name


def test_projection_has_gsplats_meta(
    make_scene: Callable[..., Any], both: Any, gsplat_reference: Any
) -> None:
    from gsplat.cuda import _torch_impl as gsplat

    exact, single = both(make_scene(300))
    covars, _ = gsplat._quat_scale_to_covar_preci(exact["quats"], exact["scales"], True, False)
    radii, means2d, depths, conics, _ = gsplat._fully_fused_projection(
        exact["means"], covars, exact["viewmats"], exact["Ks"], 80, 48
    )
    _, _, meta = rasterization(**single, packed=False)
    seen = (meta["radii"] > 0).all(-1)
    assert seen.sum() > 100
    assert (radii[seen] > 0).all()
    assert (meta["radii"][seen] <= radii[seen]).all()  # gsplat's torch code does not shrink them by opacity
    for name, expected in (("means2d", means2d), ("depths", depths), ("conics", conics)):
        torch.testing.assert_close(meta[name][seen].double(), expected[seen], rtol=2e-4, atol=2e-4)
